import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { Chain, type Linked } from './chain.ts'
import { Durability } from './durability.ts'
import { type GroupIndex, groupIndex, type Lsn, lsn, maxLsn } from './lsn.ts'
import type { RecordSummary } from './message.ts'
import { logEnd } from './recovery.ts'
import { annulledTo, isAnnulled } from './truncation.ts'

interface Written extends RecordSummary, Linked {
  readonly group: GroupIndex
}

/** A log of mini-transactions over some groups, from an LSN on. */
function someLog(random: Random, from: number, mtrs: number, groups: number): Written[] {
  const ends = new Map<GroupIndex, Lsn>()
  const log: Written[] = []
  let last = lsn(from)
  for (let m = 0; m < mtrs; m++) {
    const lengths = Array.from({ length: random.between(1, 4) }, () => random.between(60, 100))
    lengths.forEach((length, i) => {
      const group = groupIndex(random.below(groups))
      const at = lsn(last + length)
      const toCpl = lengths.slice(i + 1).reduce((sum, n) => sum + n, 0)
      log.push({ lsn: at, prevVolume: last, prevGroup: ends.get(group) ?? lsn(0), toCpl, group })
      ends.set(group, at)
      last = at
    })
  }
  return log
}

describe('the chain of a segment', () => {
  it('ends before the first record that is missing, whatever order, loss or repetition', () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = new Random(seed)
      const log = someLog(random, 0, 10, 1)
      const arrived = random.subset(log, 0.9)
      const chain = new Chain<Written>(lsn(0))
      const chained: Written[] = []
      for (const record of random.shuffled([...arrived, ...random.subset(arrived)])) {
        chain.offer(record, (next) => chained.push(next))
      }
      const gap = log.findIndex((record) => !arrived.includes(record))
      const whole = gap < 0 ? log : log.slice(0, gap)
      assert.deepEqual(chained, whole)
      assert.equal(chain.scl, whole.at(-1)?.lsn ?? 0)
      assert.equal(chain.highest, arrived.at(-1)?.lsn ?? 0)
      assert.equal(chain.waiting, arrived.length - whole.length)
      for (const record of log) assert.equal(chain.knows(record), arrived.includes(record))
    }
  })

  it('stops when two records claim one place', () => {
    const chain = new Chain<Linked>(lsn(100))
    const take = () => {}
    assert.equal(chain.offer({ lsn: lsn(300), prevGroup: lsn(200) }, take), 'waiting')
    assert.equal(chain.offer({ lsn: lsn(300), prevGroup: lsn(200) }, take), 'known')
    assert.throws(() => chain.offer({ lsn: lsn(310), prevGroup: lsn(200) }, take), { code: 'Invariant' })
    assert.throws(() => chain.offer({ lsn: lsn(120), prevGroup: lsn(50) }, take), { code: 'Invariant' })
    assert.equal(chain.offer({ lsn: lsn(90), prevGroup: lsn(50) }, take), 'known')
  })

  it('starts again where a truncation cut it', () => {
    const chain = new Chain<Linked>(lsn(0))
    const chained: Lsn[] = []
    const take = (record: Linked): void => void chained.push(record.lsn)
    for (const [at, prev] of [
      [100, 0],
      [300, 200],
      [900, 500],
    ] as const) {
      chain.offer({ lsn: lsn(at), prevGroup: lsn(prev) }, take)
    }
    chain.restart(lsn(50), (record) => record.lsn !== 300, take)
    assert.deepEqual([chain.scl, chain.waiting, chain.highest], [50, 1, 900])
    chain.offer({ lsn: lsn(500), prevGroup: lsn(50) }, take)
    assert.equal(chain.scl, 900)
    assert.deepEqual(chained, [100, 500, 900])
  })
})

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
})

describe('the end of a log', () => {
  it('is the last consistency point before the first record that no read quorum has', () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = new Random(seed)
      const log = someLog(random, 0, 12, 3)
      const held = random.subset(log, 0.95)
      const points = log.filter((record) => record.toCpl === 0).map((record) => record.lsn)
      const gap = log.findIndex((record) => !held.includes(record))
      const whole = gap < 0 ? log : log.slice(0, gap)
      const vdl = whole.findLast((record) => record.toCpl === 0)?.lsn ?? lsn(0)
      const announced = random.pick([lsn(0), ...points.filter((point) => point <= vdl)])
      assert.deepEqual(logEnd(announced, random.shuffled(held), []), { vcl: whole.at(-1)?.lsn ?? 0, vdl })
    }
  })

  it('leaves out what earlier openings annulled, and goes on behind it', () => {
    const record = (at: number, prevVolume: number): RecordSummary => ({
      lsn: lsn(at),
      prevVolume: lsn(prevVolume),
      toCpl: 0,
    })
    const cut = [{ epoch: 2, from: lsn(100), to: lsn(1_000) }]
    const summaries = [record(100, 0), record(200, 100), record(300, 200), record(1_060, 100)]
    assert.deepEqual(logEnd(lsn(0), summaries, cut), { vcl: 1_060, vdl: 1_060 })
    assert.deepEqual(logEnd(lsn(0), summaries.slice(0, 3), cut), { vcl: 100, vdl: 100 })
  })

  it('a range annuls what is above its begin, up to its end', () => {
    const cuts = [
      { epoch: 2, from: lsn(100), to: lsn(200) },
      { epoch: 3, from: lsn(400), to: lsn(500) },
    ]
    const annulled = [100, 101, 200, 201, 400, 401, 500, 501].map((at) => isAnnulled(cuts, lsn(at)))
    assert.deepEqual(annulled, [false, true, true, false, false, true, true, false])
    assert.equal(annulledTo(cuts, lsn(0)), 500)
    assert.equal(annulledTo(cuts, lsn(600)), 600)
  })
})
