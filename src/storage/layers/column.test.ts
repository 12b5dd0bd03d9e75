import { equal, ok, throws } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { VolumeError } from '../../protocol/errors.ts'
import { CONTROL_BLOCK, type Lsn, lsn, ZERO_LSN } from '../../protocol/lsn.ts'
import { ColumnWriter } from './column.ts'
import { Compaction } from './compaction.ts'
import { type HistoryCursor, historyBasis, historyPage, readHistoryPage } from './history.ts'
import { BLOCK_END } from './layer-file.ts'
import type { ParentRead } from './read-block.ts'
import { scrub } from './scrub.ts'
import { BLOCKS, Dice, HOT_BLOCKS, Workload, type WorkloadSetting } from './test/workload.ts'
import { wallClock } from './wall-clock.ts'

/** One of several copies: like a workload that is played twice, but for when it writes layers and what it collects. */
class Copy extends Workload {
  readonly compaction: Compaction

  constructor(setting: WorkloadSetting = {}) {
    super(setting)
    this.compaction = new Compaction({ layers: this.layers, parentRead: this.parentRead, minGarbageBytes: 64 })
  }

  grant(cutoff: number, pins: readonly number[]): void {
    this.compaction.setGrant({ cutoff: lsn(cutoff), pins: pins.map(lsn) })
  }

  compact(): void {
    for (let edit = Workload.run(this.compaction.runJob()); edit; edit = Workload.run(this.compaction.runJob()))
      this.install(edit)
  }
}

/** Takes the blocks [from, to) of `into` anew from another copy; answers how many pages that took. */
function mend(into: Copy, source: Copy, from: number, to: number): number {
  const writer = new ColumnWriter(into.layers, from, to, into.base as Lsn)
  const range = { from, to, upTo: writer.upTo }
  let cursor: HistoryCursor = { block: from, after: ZERO_LSN }
  let pages = 0
  for (; cursor.block < to; pages++) {
    const page = historyPage(source, cursor, range, BLOCKS)
    ok(page.next.block > cursor.block || page.next.after > cursor.after)
    writer.append(readHistoryPage(page.bytes, cursor, range))
    cursor = page.next
  }
  const edit = writer.finish(to)
  ok(edit)
  into.install({ ...edit, collectedTo: source.layers.collectedTo })
  return pages
}

/** Turns over bytes of all layers of a copy where they hold the blocks [from, to). */
function spoil(copy: Copy, from: number, to: number): void {
  copy.layers.close()
  for (const ref of copy.layers.refs) {
    const file = copy.disk.files.get(`segment/${ref.file}`)
    const { index } = copy.layers.reader(ref)
    const [first, last] = [Math.max(from, ref.fromBlock), Math.min(to, ref.toBlock)]
    for (let g = index.lowerBound(first); first < last && g < index.lowerBound(last); g++)
      file!.bytes[index.offset[g]! + 20]! ^= 0xff
  }
}

const damages = (copy: Copy): number => Workload.run(scrub(copy.layers))!.damages.length

/** Two copies with the same records, of which each flushed and collected when it liked. */
function twoCopies(seed: number, rounds: readonly number[], setting: () => WorkloadSetting = () => ({})) {
  const [a, b] = [new Copy(setting()), new Copy({ ...setting(), layerBytes: 900 })]
  const dice = new Dice(seed)
  let cutoff = 0
  const pins: number[] = []
  for (const writes of rounds) {
    const round = dice.below(1 << 30)
    for (const copy of [a, b]) {
      const own = new Dice(round)
      for (let i = 0; i < writes; i++) copy.write(own)
      copy.coalesce()
    }
    if (dice.below(3) > 0) a.flush()
    if (dice.below(2) > 0) b.flush()
    // What is collected anywhere has to be in layers where it is to be mended.
    const points = a.points.filter((point) => point >= cutoff && point <= a.layers.flushedTo)
    if (points.length > 0 && dice.below(2) === 0) {
      const pin = points[dice.below(points.length)]!
      cutoff = points[dice.below(points.length)]!
      if (pin < cutoff) pins.push(pin)
      for (const copy of dice.below(2) === 0 ? [b] : [a, b]) {
        copy.grant(cutoff, pins)
        copy.compact()
      }
    }
  }
  const retained = [...a.points.filter((point) => point >= cutoff), ...pins]
  return { a, b, dice, retained: [...retained.filter((_, i) => i % 7 === 0), cutoff, ...pins] }
}

function checkBlocks(copy: Copy, points: readonly number[], from: number, to: number): void {
  for (const point of [copy.head, ...points]) {
    for (let block = from; block < Math.min(to, BLOCKS); block += block < HOT_BLOCKS ? 1 : 5) copy.check(block, point)
  }
}

const rounds = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 2, maxLength: 8 })
const range = fc.tuple(fc.integer({ min: 0, max: BLOCKS - 1 }), fc.constantFrom(1, 1, 3, 40, BLOCKS))

describe('a column', () => {
  it('taken from another copy is equal to what was there, at every point that is retained', () => {
    let found = 0
    fc.assert(
      fc.property(fc.integer(), rounds, range, (seed, writes, [from, count]) => {
        const { a, b, retained } = twoCopies(seed, writes)
        const to = Math.min(from + count, BLOCKS)
        spoil(a, from, to)
        found += damages(a)
        mend(a, b, from, to)
        equal(damages(a), 0)
        checkBlocks(a, retained, 0, BLOCKS)
        // The layers work on as any others do.
        a.flush()
        a.compact()
        checkBlocks(a, retained, 0, BLOCKS)
      }),
      { numRuns: 40 },
    )
    ok(found > 100, `${found} blocks were damaged`)
  })

  it('is that of a branch, too, over what its ancestor shows', () => {
    fc.assert(
      fc.property(fc.integer(), rounds, range, (seed, writes, [from, count]) => {
        const parent = new Copy()
        const dice = new Dice(seed)
        for (let i = 0; i < 100; i++) parent.write(dice)
        parent.flush()
        const branched = parent.head
        const parentRead: ParentRead = (block, point) => parent.read(block, Math.min(point, branched))
        const { a, b, retained } = twoCopies(seed, writes, () => ({ base: lsn(branched), parentRead }))
        const lowest = Math.min(...a.layers.refs.map(({ lo }) => lo))
        mend(a, b, from, Math.min(from + count, BLOCKS))
        checkBlocks(a, retained, 0, BLOCKS)
        // What is copied from the ancestor when the branch is detached goes below.
        ok(a.layers.refs.every(({ lo }) => lo >= Math.min(lowest, branched)))
      }),
      { numRuns: 20 },
    )
  })

  it('of all blocks has the range trims and the wall clock, too', () => {
    const { a, b } = twoCopies(3, [40, 60, 60, 20])
    const times = JSON.stringify([...wallClock(a)])
    ok(a.controls.length > 3)
    for (const ref of a.layers.refs) a.disk.files.delete(`segment/${ref.file}`)
    mend(a, b, 0, BLOCK_END)
    equal(JSON.stringify([...wallClock(a)]), times)
    checkBlocks(a, a.points, 0, BLOCKS)
    // Files that were lost: nothing but the new ones is left.
    equal(a.disk.files.size, a.layers.refs.length)
  })

  it('of control records alone can be mended', () => {
    const [a, b] = [new Copy(), new Copy()]
    for (const copy of [a, b]) for (const wallMs of [1000, 2000]) copy.control(wallMs)
    a.flush()
    const times = JSON.stringify([...wallClock(a)])
    equal(a.controls.length, 2)
    spoil(a, CONTROL_BLOCK, BLOCK_END)
    throws(() => [...wallClock(a)], { code: 'Corrupt' })
    mend(a, b, CONTROL_BLOCK, BLOCK_END)
    equal(JSON.stringify([...wallClock(a)]), times)
  })

  it('goes on where a page ended, inside of a block whose history is larger than a page', () => {
    const [a, b] = [new Copy({ blockBytes: 4096 }), new Copy({ blockBytes: 4096 })]
    for (const copy of [a, b]) {
      copy.full(2, 9)
      for (let i = 0; i < 200; i++) copy.full(3, i & 0xff)
      for (let i = 0; i < 40; i++) copy.delta(3, i)
      copy.full(4, 1)
      copy.flush()
    }
    spoil(a, 3, 4)
    // A page of block 2 alone, some of block 3, the last with the rest of it, one of block 4.
    ok(mend(a, b, 0, 10) >= 6)
    equal(damages(a), 0)
    for (const point of a.points) for (const block of [2, 3, 4]) a.check(block, point)
  })

  it('leaves newer layers alone, and is refused when one was merged with what it stands for', () => {
    const { a, b } = twoCopies(9, [60])
    for (const copy of [a, b]) copy.flush()
    const begin = (): ColumnWriter => new ColumnWriter(a.layers, 0, 10, ZERO_LSN)
    const [early, late] = [begin(), begin()]
    for (let round = 0; round < 3; round++) {
      a.full(3, round)
      a.flush()
    }
    const edit = early.finish(10)
    ok(edit !== undefined && edit.hide.length === 1)
    early.discard()
    a.full(3, 3)
    a.flush()
    a.compact()
    equal(late.finish(10), undefined)
    late.discard()
  })

  it('is refused when versions do not fit each other', () => {
    const { a, b } = twoCopies(9, [60, 60])
    const other = new Copy()
    other.full(5, 1)
    for (let i = 0; i < 3; i++) other.delta(5, i)
    const writer = new ColumnWriter(a.layers, 0, BLOCKS, ZERO_LSN)
    const whole = { from: 0, to: BLOCKS, upTo: lsn(a.head) }
    const pageOf = (copy: Copy, after: Lsn) => {
      const cursor = { block: 5, after }
      return readHistoryPage(historyPage(copy, cursor, { ...whole, to: 6 }, BLOCKS).bytes, cursor, whole)
    }
    writer.append(pageOf(b, ZERO_LSN))
    throws(() => writer.append(pageOf(other, other.points[1] as Lsn)), /applies to \d+, not to \d+/)
    writer.discard()
  })
})

describe('the basis of a history', () => {
  it('stays while layers are only written and merged, and changes when garbage is collected', () => {
    const copy = new Copy()
    const seen = new Set<string>()
    for (let round = 0; round < 9; round++) {
      copy.full(3, round)
      copy.flush()
      copy.compact()
      seen.add(historyBasis(copy, 3))
    }
    equal(seen.size, 1)
    copy.trim(3, 1)
    copy.flush()
    copy.grant(copy.head, [])
    copy.compact()
    equal(seen.has(historyBasis(copy, 3)), false)
  })
})

describe('a page of history', () => {
  it('that was cut or changed is refused, or has nothing that was not asked for', () => {
    const { b } = twoCopies(2, [30, 10])
    const cursor = { block: 0, after: ZERO_LSN }
    const asked = { from: 0, to: 20, upTo: lsn(b.head) }
    const { bytes } = historyPage(b, cursor, asked, BLOCKS)
    readHistoryPage(bytes, cursor, asked)
    const refused = (page: Uint8Array): boolean => {
      try {
        const { blocks } = readHistoryPage(page, cursor, asked)
        ok(blocks.every(({ block }) => block < 20))
        return false
      } catch (error) {
        ok(error instanceof VolumeError && error.code === 'BadRequest', String(error))
        return true
      }
    }
    let count = 0
    for (let length = 0; length < bytes.length; length++) if (refused(bytes.slice(0, length))) count++
    ok(count > bytes.length * 0.9)
    const dice = new Dice(1)
    for (let i = 0; i < 2000; i++) {
      const changed = bytes.slice()
      changed[dice.below(bytes.length)]! ^= 1 << dice.below(8)
      refused(changed)
    }
  })
})
