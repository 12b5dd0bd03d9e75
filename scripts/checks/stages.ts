import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { checkWithTally, checkWithTool } from './program.ts'
import { NOTHING, ONE_FAILED, ONE_SKIPPED, type Tally } from './tally.ts'
import { findTestFiles, runTestFiles, type TestFiles } from './test-files.ts'

/** Limits are for a busy machine with 2 cores: several times what a stage is expected to take. */
const MINUTE_MS = 60_000

/** Enough to meet every kind of fault many times over and still fit the 15 minutes of `npm test`. */
const SEEDS = 1_000

export interface Stage {
  readonly name: string
  readonly what: string
  /** `only`: parts of paths, to run just the test files that match. */
  run(only: readonly string[]): Promise<Tally>
}

const tool = (name: string, what: string, command: readonly string[]): Stage => ({
  name,
  what,
  run: () => checkWithTool(command, 5 * MINUTE_MS),
})

const tests = (name: string, what: string, files: TestFiles): Stage => ({
  name,
  what,
  run: async (only) => {
    const paths = findTestFiles(files, only)
    if (paths.length > 0) return runTestFiles(paths, files)
    console.log(`no test file in ${files.include.join(', ')}`)
    // A path that was asked for may well lie in another stage.
    return only.length > 0 ? NOTHING : ONE_SKIPPED
  },
})

const simulation: Stage = {
  name: 'sim',
  what: `${SEEDS} seeded runs of the storage protocol under faults`,
  run: async () => {
    if (existsSync('sim/main.ts')) {
      return checkWithTally(['npm', 'run', '--silent', 'sim', '--', '--seeds', `${SEEDS}`], 15 * MINUTE_MS)
    }
    console.log('there is no sim/main.ts')
    return ONE_FAILED
  },
}

/** In the order in which they run: what is fast and tells most comes first. */
export const STAGES: readonly Stage[] = [
  tool('types', 'the type checker', ['node_modules/.bin/tsc']),
  tool('lint', 'the formatter and linter', ['node_modules/.bin/biome', 'check', '--error-on-warnings']),
  tests('unit', 'unit and property tests', {
    include: ['{src,test,sim,bench,scripts}/**/*.test.ts'],
    exclude: ['sim/mutants.test.ts', 'test/processes/**'],
    atOnce: availableParallelism(),
    testLimitMs: 2 * MINUTE_MS,
    stageLimitMs: 8 * MINUTE_MS,
  }),
  simulation,
  tests('mutants', 'rules broken on purpose, which the simulator must notice', {
    include: ['sim/mutants.test.ts'],
    atOnce: 1,
    testLimitMs: 10 * MINUTE_MS,
    stageLimitMs: 15 * MINUTE_MS,
  }),
  tests('processes', 'real processes, disks and sockets', {
    include: ['test/processes/*.test.ts'],
    // They measure time and kill processes: one at a time.
    atOnce: 1,
    testLimitMs: 5 * MINUTE_MS,
    stageLimitMs: 25 * MINUTE_MS,
  }),
]
