/**
 * Mutants that seeds have to notice: rules between processes, which no test of one part can see. `seeds` is at
 * least twice the number of the first seed that failed when it was added.
 */
import type { Mutant } from './mutant.ts'

type Change = Pick<Mutant, 'name' | 'rule' | 'find' | 'replace'>

const of =
  (file: string) =>
  (seeds: number, change: Change): Mutant => ({ ...change, file: `src/${file}`, runner: { kind: 'seeds', seeds } })

const batch = of('storage/log-batch.ts')
const state = of('storage/durable-state.ts')
const nodeVolume = of('storage/node-volume.ts')
const segment = of('storage/segment.ts')
const gossip = of('storage/gossip.ts')
const collect = of('storage/layers/collect.ts')
const truncation = of('protocol/truncation.ts')
const open = of('volume/open.ts')
const writer = of('volume/writer.ts')
const retention = of('volume/volume-retention.ts')

export const SEED_MUTANTS: readonly Mutant[] = [
  batch(20, {
    name: 'acknowledged before it is durable',
    rule: 'A node acknowledges what is on stable storage.',
    find: 'this.#file?.writeDurable(',
    replace: 'this.#file?.write(',
  }),
  state(20, {
    name: 'state not synced',
    rule: 'A promise is on stable storage before it is given.',
    find: `    file.write(0, bytes)
    file.sync()`,
    replace: '    file.write(0, bytes)',
  }),
  nodeVolume(20, {
    name: 'fence promises nothing',
    rule: 'A fenced node takes nothing from lower epochs.',
    find: 'this.#promise(this.#state, epoch)',
    replace: '',
  }),
  nodeVolume(120, {
    name: 'older grant adopted',
    rule: 'Of two grants the one of the newer record counts.',
    find: 'if (grant.grantVersion <= this.#state.grantVersion) return',
    replace: '',
  }),
  segment(20, {
    name: 'nothing cut',
    rule: 'A new epoch cuts the log where it annulled it.',
    find: 'let end = cutBack(truncations, this.scl)',
    replace: 'let end = this.scl',
  }),
  segment(150, {
    name: 'flushed above the VDL',
    rule: 'Layers hold only what is durable.',
    find: ' && this.memory.frozen.maxLsn <= this.volume.vdl',
    replace: '',
  }),
  segment(40, {
    name: 'complete up to the VDL',
    rule: 'A node answers reads only up to where it is proved complete.',
    find: 'const complete = readPoint <= this.#complete.to',
    replace: 'const complete = readPoint <= this.volume.vdl',
  }),
  segment(20, {
    name: 'cutoff not checked',
    rule: 'A collected LSN is refused.',
    find: `    this.volume.checkReadPoint(readPoint)
    return`,
    replace: '    return',
  }),
  segment(20, {
    name: 'log released before it is flushed',
    rule: 'Log stays until layers hold it.',
    find: 'this.log.oldestFile(this.#flushed)',
    replace: 'this.log.oldestFile(this.scl)',
  }),
  gossip(20, {
    name: 'complete without a quorum',
    rule: 'Completeness is proved by a read quorum.',
    find: 'if (!satisfied(readQuorum(config), counts)) return false',
    replace: '',
  }),
  collect(20, {
    name: 'pins collected',
    rule: 'What a pin sees is kept.',
    find: 'grant.pins.filter((pin) => pin < cutoff)',
    replace: 'grant.pins.filter((pin) => pin < 0)',
  }),
  truncation(20, {
    name: 'only the last truncation',
    rule: 'Every truncation counts, as a copy may have missed several.',
    find: 'truncations.find((t) =>',
    replace: 'truncations.slice(-1).find((t) =>',
  }),
  {
    name: 'claimed epoch in force',
    rule: 'An epoch is in force once its truncation is recorded.',
    file: 'src/volume/volume-record.ts',
    find: 'volume.truncations.at(-1)?.epoch ?? 0',
    replace: 'volume.epoch',
    runner: { kind: 'test', file: 'src/volume/volume-record.test.ts' },
  },
  open(20, {
    name: 'any answer about the end of the log',
    rule: 'A copy that lost its log since it was fenced says nothing about the end of it.',
    find: 'if (value.scl >= scl) return',
    replace: 'if (value.scl >= 0) return',
  }),
  open(200, {
    name: 'opened before it is filled',
    rule: 'A volume is open when a write quorum of every group has its past.',
    find: '(reportOf(answers, config, member)?.scl ?? -1) >= point)',
    replace: '(reportOf(answers, config, member)?.scl ?? -1) >= 0)',
  }),
  writer(20, {
    name: 'sync answered early',
    rule: 'A sync is answered at the VDL.',
    find: 'if (waiter.lsn > vdl) break',
    replace: 'if (waiter.lsn > vdl + 400) break',
  }),
  writer(20, {
    name: 'trimmed block stays known',
    rule: 'A trimmed block is zeros at once.',
    find: 'this.#cache.dropRange(first, end)',
    replace: '',
  }),
  retention(50, {
    name: 'leases do not hold the cutoff',
    rule: 'What an open view reads is kept.',
    find: 'leases.reduce((lowest, lease) => minLsn(lowest, lease.lsn), to)',
    replace: 'to',
  }),
]
