/** Mutants of `src/storage`. */
import type { Mutant } from './mutant.ts'

type Change = Pick<Mutant, 'name' | 'rule' | 'find' | 'replace'>

const log = (change: Change): Mutant => ({
  ...change,
  file: 'src/storage/log-files.ts',
  runner: { kind: 'test', file: 'sim/hot-log.test.ts' },
})

export const STORAGE_MUTANTS: readonly Mutant[] = [
  log({
    name: 'spare taken over without a sync',
    rule: 'What a killed process left of a log file is made durable before it is used.',
    find: 'if (whole) handle.sync()',
    replace: '',
  }),
  log({
    name: 'names taken over without a sync',
    rule: 'What a killed process renamed is made durable before it is relied on.',
    find: `    disk.syncFolder(LOG_FOLDER)
    this.current?.handle.sync()`,
    replace: '    this.current?.handle.sync()',
  }),
  log({
    name: 'file begun under a name that is not durable',
    rule: 'A log file has its name durably before anything is written to it.',
    find: `    this.#disk.rename(sparePath(slot), path)
    this.#disk.syncFolder(LOG_FOLDER)`,
    replace: '    this.#disk.rename(sparePath(slot), path)',
  }),
]
