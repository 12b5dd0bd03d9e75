import { equal, ok } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { lsn } from '../../protocol/lsn.ts'
import { flush } from './flush.ts'
import { Memtable } from './memtable.ts'
import { Dice, Workload } from './test/workload.ts'

describe('flush', () => {
  it('keeps every version of every block readable, at any read point', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 6 }),
        (seed, rounds) => {
          const dice = new Dice(seed)
          const w = new Workload()
          for (const writes of rounds) {
            for (let i = 0; i < writes; i++) w.write(dice)
            w.coalesce()
            w.checkAll([w.points[dice.below(w.points.length)]!])
            w.flush()
            w.checkAll(Array.from({ length: 3 }, () => w.points[dice.below(w.points.length)]!))
            if (dice.below(3) === 0) w.restart()
          }
          equal(w.layers.flushedTo, w.head)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('leaves at most 16 deltas above a base, where the memtable was not coalesced too', () => {
    const w = new Workload()
    const dice = new Dice(4)
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 300; i++) w.write(dice)
      w.flush()
      w.checkAll(Array.from({ length: 20 }, () => w.points[dice.below(w.points.length)]!))
    }
  })

  it('writes an image behind each seventeenth delta, counting those in older layers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        (runs, full) => {
          const w = new Workload()
          if (full) w.full(5, 1)
          let deepest = 0
          for (const deltas of runs) {
            for (let i = 0; i < deltas; i++) w.delta(5, i)
            w.flush()
            for (const point of w.points) {
              w.check(5, point)
              deepest = Math.max(deepest, w.read(5, point).deltas)
            }
          }
          equal(deepest, Math.min(16, w.points.length - (full ? 1 : 0)))
        },
      ),
    )
  })

  it('splits its files by block, and writes in slices', () => {
    const w = new Workload({ layerBytes: 2048 })
    const dice = new Dice(9)
    for (let i = 0; i < 400; i++) w.write(dice)
    w.flush()
    ok(w.layers.refs.length > 5)
    equal(w.layers.stackMax, 1)
    ok(w.disk.largestWrite <= 256 << 10)
  })

  it('removes what it wrote when it is ended', () => {
    const w = new Workload({ layerBytes: 2048 })
    const dice = new Dice(9)
    for (let i = 0; i < 400; i++) w.write(dice)
    w.active.freeze()
    const job = flush({ memtable: w.active, layers: w.layers })
    for (let i = 0; i < 4; i++) equal(job.next().done, false)
    ok(w.disk.files.size > 0)
    job.return({ add: [], hide: [] })
    equal(w.disk.files.size, 0)
    equal(w.disk.openFiles, 0)
  })
})

describe('memtable', () => {
  it('forgets what is above a truncation, as if it had never been there', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 80 }),
        fc.integer({ min: 0, max: 80 }),
        (seed, kept, dropped) => {
          const dice = new Dice(seed)
          const w = new Workload()
          for (let i = 0; i < kept; i++) w.write(dice)
          const end = w.head
          const entries = w.active.entries
          for (let i = 0; i < dropped; i++) w.write(dice)
          w.active.dropAbove(lsn(end))
          equal(w.active.maxLsn, end)
          equal(w.active.entries, entries)
          for (const [block, versions] of w.model)
            w.model.set(
              block,
              versions.filter((v) => v.lsn <= end),
            )
          w.checkAll()
          w.coalesce()
          w.head = end
          w.flush()
          w.checkAll()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('is empty after a truncation below its first record', () => {
    const w = new Workload()
    w.write(new Dice(1))
    w.active.dropAbove(lsn(0))
    equal(w.active.entries, 0)
    equal(w.active.maxLsn, 0)
    equal(new Memtable().bytes, w.active.bytes)
  })
})
