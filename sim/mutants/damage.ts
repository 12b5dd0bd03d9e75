/** Mutants of what mends damaged blocks. */
import type { Mutant } from './mutant.ts'

type Change = Pick<Mutant, 'name' | 'rule' | 'find' | 'replace'>

const of =
  (file: string, test: string) =>
  (change: Change): Mutant => ({
    ...change,
    file: `src/storage/${file}`,
    runner: { kind: 'test', file: test },
  })

const column = of('layers/column.ts', 'src/storage/layers/column.test.ts')
const history = of('layers/history.ts', 'src/storage/layers/column.test.ts')
const source = of('column-source.ts', 'test/features/history.test.ts')
const repair = of('column-repair.ts', 'test/features/history.test.ts')
const detaching = of('materialise.ts', 'test/features/history.test.ts')
const copy = of('layer-copy.ts', 'test/features/damage.test.ts')
const segment = of('segment.ts', 'test/features/damage.test.ts')
const repairs = of('repairs.ts', 'test/features/damage.test.ts')
const work = of('background-work.ts', 'test/features/damage.test.ts')
const damage = of('layers/layer-damage.ts', 'test/features/damage.test.ts')

export const DAMAGE_MUTANTS: readonly Mutant[] = [
  column({
    name: 'column not held together',
    rule: 'A delta is applied to exactly the version it was made against.',
    find: 'if (below === 0 || applies === below) return',
    replace: 'if (below >= 0) return',
  }),
  column({
    name: 'column hides what is newer',
    rule: 'A column stands for what is at or below the end of the layers, and for nothing newer.',
    find: 'if (old.some((ref) => ref.hi > upTo)) return undefined',
    replace: '',
  }),
  history({
    name: 'history without what is in memory',
    rule: 'A history has everything up to the LSN that was asked for, wherever it is.',
    find: 'of memtables.toReversed()) {',
    replace: 'of memtables.slice(0, 0)) {',
  }),
  history({
    name: 'history without range trims',
    rule: 'A history has everything up to the LSN that was asked for, wherever it is.',
    find: 'trims.filter((trim) => trim.lsn <= upTo)',
    replace: 'trims.filter((trim) => trim.lsn <= 0)',
  }),
  source({
    name: 'history of a copy that is behind',
    rule: 'Only who has everything up to an LSN can say what there is up to it.',
    find: 'if (segment.scl < upTo) throw',
    replace: 'if (segment.scl < 0) throw',
  }),
  source({
    name: 'history collected too far',
    rule: 'What a peer has folded with newer records is no substitute for what is below those.',
    find: 'if (layers.collectedTo > upTo)',
    replace: 'if (layers.collectedTo < 0)',
  }),
  source({
    name: 'history goes on from what was collected',
    rule: 'A history that takes several pages is that of one and the same past.',
    find: 'if (after > 0 && basis !== basisOf(segment, from))',
    replace: 'if (after < 0 && basis !== basisOf(segment, from))',
  }),
  repair({
    name: 'column without the grant of its source',
    rule: 'A collected LSN is refused.',
    find: 'segment.volume.adoptGrant(answer.grant)',
    replace: '',
  }),
  detaching({
    name: 'source with an ancestor left waiting',
    rule: 'A copy that was detached gets its blocks from one that was not, once that is detached as well.',
    find: "peers.call(address, 'materialise', { volume: volume.state.volume, group }, () => {})",
    replace: '',
  }),
  copy({
    name: 'source of a damaged copy not told',
    rule: 'Who finds damage in what another gave tells it, so that it mends itself.',
    find: "this.#host.peers.call(address, 'verify', { volume: volume.state.volume, group, layer: ref.id }, () => {})",
    replace: 'void address',
  }),
  segment({
    name: 'damaged blocks said to be in layers',
    rule: 'Damaged blocks are no reason for a tail to forget the log.',
    find: 'flushed: this.isWhole ? this.#flushed : ZERO_LSN',
    replace: 'flushed: this.#flushed',
  }),
  repairs({
    name: 'damage found meanwhile left alone',
    rule: 'Damage heals as long as every block is good on one full copy.',
    find: `      // What was found since it was done.
      this.mend(segment)`,
    replace: '',
  }),
  work({
    name: 'scrub begun anew',
    rule: 'Damage that nobody reads is found by scrubs, however much there is to look through.',
    find: 'this.#scrubNextMs && this.#scrub === undefined && this.#scrubQueue.length === 0',
    replace: 'this.#scrubNextMs',
  }),
  damage({
    name: 'damage of a file is that of one block',
    rule: 'A damaged index or file concerns every block that the layer stands for.',
    find: 'visible.map(({ fromBlock, toBlock }) => ({ from: fromBlock, to: toBlock }))',
    replace: 'visible.map(({ fromBlock }) => ({ from: fromBlock, to: fromBlock + 1 }))',
  }),
]
