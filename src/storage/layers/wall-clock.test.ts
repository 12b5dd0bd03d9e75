import { deepEqual, equal } from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { lsn } from '../../protocol/lsn.ts'
import { Compaction } from './compaction.ts'
import { Dice, Workload } from './test/workload.ts'
import { lsnAt, wallClock } from './wall-clock.ts'

describe('wall clock', () => {
  it('finds the newest control record that is not after a time, in memtables and layers', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.boolean(), { minLength: 1, maxLength: 120 }), (seed, plan) => {
        const w = new Workload({ layerBytes: 800 })
        const dice = new Dice(seed)
        const compaction = new Compaction({ layers: w.layers })
        let wallMs = 5000
        for (const flush of plan) {
          wallMs += 1 + dice.below(2000)
          w.control(wallMs)
          if (dice.below(3) === 0) w.write(dice)
          if (!flush) continue
          w.flush()
          const edit = Workload.run(compaction.runJob())
          if (edit !== undefined) w.install(edit)
        }
        const newestFirst = w.controls.toReversed()
        deepEqual([...wallClock(w)], newestFirst)
        for (let i = 0; i < 20; i++) {
          const at = 4000 + dice.below(wallMs)
          deepEqual(
            lsnAt(w, at),
            newestFirst.find((c) => c.wallMs <= at),
          )
        }
      }),
      { numRuns: 40 },
    )
  })

  it('keeps of the control records below the cutoff the newest one only', () => {
    const w = new Workload()
    const compaction = new Compaction({ layers: w.layers, minGarbageBytes: 1 })
    for (let i = 1; i <= 50; i++) w.control(i * 1000)
    const cutoff = w.head
    for (let i = 51; i <= 60; i++) w.control(i * 1000)
    w.flush()
    compaction.setGrant({ cutoff: lsn(cutoff), pins: [] })
    w.install(Workload.run(compaction.runJob())!)
    equal([...wallClock(w)].length, 11)
    equal(lsnAt(w, 50_500)?.wallMs, 50_000)
    equal(lsnAt(w, 49_999), undefined)
  })
})
