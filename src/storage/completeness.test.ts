import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { lsn, maxLsn } from '../protocol/lsn.ts'
import { Completeness } from './completeness.ts'

describe('how far a segment is complete', () => {
  it('is where the announced point is reached: far above its chain when nothing was written to the group', () => {
    const complete = new Completeness(lsn(0), lsn(0))
    complete.announced(lsn(1_000), lsn(300), lsn(200))
    assert.equal(complete.to, 0)
    complete.reached(lsn(299))
    assert.equal(complete.to, 0)
    complete.reached(lsn(300))
    assert.equal(complete.to, 1_000)
    complete.unchanged(lsn(5_000), lsn(300))
    assert.equal(complete.to, 5_000)
  })

  it('stays where it was while a new point is not reached, and an older announcement changes nothing', () => {
    const complete = new Completeness(lsn(0), lsn(0))
    complete.announced(lsn(1_000), lsn(300), lsn(300))
    complete.announced(lsn(2_000), lsn(1_500), lsn(300))
    assert.deepEqual([complete.to, complete.point], [1_000, 1_500])
    complete.announced(lsn(1_200), lsn(300), lsn(300))
    complete.unchanged(lsn(2_500), lsn(300))
    assert.deepEqual([complete.to, complete.point], [1_000, 1_500])
    complete.reached(lsn(1_500))
    assert.equal(complete.to, 2_500)
  })

  it('never claims what is not there, however announcements come', () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = new Random(seed)
      // A group's records, and durable points of the volume with the group's last record at each.
      const records = Array.from({ length: 10 }, (_, i) => lsn((i + 1) * 100 - random.below(90)))
      const points = Array.from({ length: 12 }, () => lsn(random.between(0, 1_200)))
        .sort((a, b) => a - b)
        .map((vdl) => ({ vdl, last: records.findLast((at) => at <= vdl) ?? lsn(0) }))
      const complete = new Completeness(lsn(0), lsn(0))
      let scl = lsn(0)
      let before = complete.to
      for (let step = 0; step < 40; step++) {
        const { vdl, last } = random.pick(points)
        if (random.chance(0.5)) complete.announced(vdl, last, scl)
        else {
          scl = maxLsn(scl, random.pick(records))
          complete.reached(scl)
        }
        assert.ok(complete.to >= before)
        before = complete.to
        for (const at of records) assert.ok(at > complete.to || at <= scl, `complete to ${complete.to} without ${at}`)
      }
      const newest = points.at(-1)
      complete.announced(newest?.vdl ?? lsn(0), newest?.last ?? lsn(0), lsn(5_000))
      assert.equal(complete.to, newest?.vdl)
    }
  })

  it('is proved by peers without any announcement', () => {
    const complete = new Completeness(lsn(100), lsn(100))
    complete.proved(lsn(700))
    complete.proved(lsn(500))
    assert.equal(complete.to, 700)
  })

  it('is nothing when nothing is sure any more, and forgets only what was announced when an epoch ends', () => {
    const complete = new Completeness(lsn(0), lsn(0))
    complete.announced(lsn(1_000), lsn(300), lsn(300))
    complete.announced(lsn(2_000), lsn(1_500), lsn(300))
    complete.forgetPoint()
    complete.reached(lsn(1_500))
    assert.deepEqual([complete.to, complete.point], [1_000, 0])
    complete.announced(lsn(3_000), lsn(2_900), lsn(300))
    complete.lost()
    complete.reached(lsn(9_000))
    assert.deepEqual([complete.to, complete.point], [0, 0])
  })
})
