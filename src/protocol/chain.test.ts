import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { someLog, type Written } from '../../test/generated-log.ts'
import { Chain, type Linked } from './chain.ts'
import { type Lsn, lsn } from './lsn.ts'

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

  it('goes on after a truncation as if what was cut had never come, whatever had come', () => {
    for (let seed = 0; seed < 300; seed++) {
      const random = new Random(seed)
      const old = someLog(random, 0, 8, 1)
      const arrived = random.shuffled(random.subset(old, 0.8))
      const chain = new Chain<Written>(lsn(0))
      let chained: Written[] = []
      for (const record of arrived) chain.offer(record, (next) => chained.push(next))
      const at = random.pick([lsn(0), ...chained.map((record) => record.lsn)])
      const to = lsn(10_000)
      // Records of the next epoch may have come before the truncation was heard of; they are kept.
      const next = someLog(random, to, 8, 1, { last: at, ends: new Map([[old[0]?.group ?? (0 as never), at]]) })
      const early = random.shuffled(random.subset(next, 0.3)).filter((record) => record.prevGroup > chain.scl)
      for (const record of early) chain.offer(record, (each) => chained.push(each))
      chained = chained.filter((record) => record.lsn <= at)
      const keeps = ({ lsn: end }: Linked): boolean => end <= at || end > to
      chain.restart(at, keeps, (each) => chained.push(each))
      for (const record of random.shuffled(random.subset(next, 0.9))) chain.offer(record, (each) => chained.push(each))
      const known = new Set([...chained, ...chain.waitingRecords()])
      const whole = [...old.filter((record) => record.lsn <= at)]
      for (const record of next) {
        if (!known.has(record)) break
        whole.push(record)
      }
      assert.deepEqual(chained, whole)
      assert.equal(chain.scl, whole.at(-1)?.lsn ?? 0)
    }
  })
})
