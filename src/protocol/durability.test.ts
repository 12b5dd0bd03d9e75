import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { someLog, type Written } from '../../test/generated-log.ts'
import { Durability } from './durability.ts'
import { type GroupIndex, groupIndex, type Lsn, lsn, maxLsn } from './lsn.ts'

describe('what the writer takes for durable', () => {
  it('is the longest prefix at quorum, and its last consistency point', () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = new Random(seed)
      const log = someLog(random, 0, 12, 3)
      const durability = new Durability(lsn(0), new Map())
      const durable = new Map<GroupIndex, Lsn>()
      let appended = 0
      for (let step = 0; step < 60; step++) {
        if (appended === 0 || (appended < log.length && random.chance(0.5))) {
          const record = log[appended++] as Written
          durability.appended(record.group, record.lsn, record.toCpl === 0)
        } else {
          const record = random.pick(log.slice(0, appended))
          const vdlBefore = durability.vdl
          const moved = durability.groupDurable(record.group, record.lsn)
          assert.equal(moved, durability.vdl > vdlBefore)
          durable.set(record.group, maxLsn(record.lsn, durable.get(record.group) ?? lsn(0)))
        }
        const known = log.slice(0, appended)
        const missing = known.findIndex((record) => record.lsn > (durable.get(record.group) ?? 0))
        const complete = missing < 0 ? known : known.slice(0, missing)
        const vdl = complete.findLast((record) => record.toCpl === 0)?.lsn ?? 0
        assert.equal(durability.vcl, complete.at(-1)?.lsn ?? 0)
        assert.equal(durability.vdl, vdl)
        for (let g = 0; g < 3; g++) {
          const point = known.findLast((record) => record.group === g && record.lsn <= vdl)?.lsn ?? 0
          assert.equal(durability.pointOf(groupIndex(g)), point)
        }
      }
    }
  })

  it('begins where the volume was opened, with the points that its groups had', () => {
    const [a, b, c] = [0, 1, 2].map(groupIndex) as [GroupIndex, GroupIndex, GroupIndex]
    const durability = new Durability(
      lsn(500),
      new Map([
        [a, lsn(500)],
        [b, lsn(300)],
      ]),
    )
    durability.addGroup(c, lsn(0))
    durability.addGroup(a, lsn(0))
    assert.deepEqual([durability.vcl, durability.vdl], [500, 500])
    assert.deepEqual(
      [a, b, c].map((group) => durability.pointOf(group)),
      [500, 300, 0],
    )
    durability.appended(b, lsn(1_000), true)
    assert.equal(durability.groupDurable(a, lsn(2_000)), false)
    assert.equal(durability.groupDurable(b, lsn(999)), false)
    assert.equal(durability.groupDurable(b, lsn(1_000)), true)
    assert.deepEqual(
      [a, b, c].map((group) => durability.pointOf(group)),
      [500, 1_000, 0],
    )
    assert.deepEqual([...durability.points().keys()].sort(), [a, b, c])
  })

  it('goes on over any number of records, and never back', () => {
    const group = groupIndex(0)
    const durability = new Durability(lsn(0), new Map([[group, lsn(0)]]))
    for (let i = 1; i <= 10_000; i++) {
      durability.appended(group, lsn(i * 100), i % 3 === 0)
      if (i % 7 === 0) durability.groupDurable(group, lsn((i - 2) * 100))
      if (i % 11 === 0) assert.equal(durability.groupDurable(group, lsn((i - 50) * 100)), false)
    }
    durability.groupDurable(group, lsn(1_000_000))
    assert.deepEqual([durability.vcl, durability.vdl, durability.pointOf(group)], [1_000_000, 999_900, 999_900])
  })

  it('stops when records are appended out of order', () => {
    const durability = new Durability(lsn(0), new Map())
    durability.appended(groupIndex(0), lsn(200), true)
    assert.throws(() => durability.appended(groupIndex(1), lsn(200), true), { code: 'Invariant' })
    assert.throws(() => durability.appended(groupIndex(1), lsn(100), true), { code: 'Invariant' })
  })
})
