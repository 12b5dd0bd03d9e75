import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { someLog, type Written } from '../../test/generated-log.ts'
import { type GroupIndex, type Lsn, lsn } from './lsn.ts'
import type { RecordSummary } from './message.ts'
import { logEnd } from './recovery.ts'
import { annulledTo, coveredBy, isAnnulled, type Truncation } from './truncation.ts'

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

  it('is found after any number of openings, though copies still hold what earlier ones annulled', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed)
      const truncations: Truncation[] = []
      /** All that some copy may still hold; of the present history, what is durable. */
      const held: Written[] = []
      let history: Written[] = []
      let start = lsn(0)
      for (let epoch = 1; epoch <= 5; epoch++) {
        const ends = new Map<GroupIndex, Lsn>()
        for (const record of history) ends.set(record.group, record.lsn)
        const log = someLog(random, start, random.between(1, 6), 2, { last: history.at(-1)?.lsn ?? lsn(0), ends })
        const durable = random.between(0, log.length)
        const kept = [...log.slice(0, durable), ...random.subset(log.slice(durable + 1))]
        held.push(...kept)
        const whole = [...history, ...log.slice(0, durable)]
        const vdl = whole.findLast((record) => record.toCpl === 0)?.lsn ?? lsn(0)
        const announced = random.pick([
          history.at(-1)?.lsn ?? lsn(0),
          ...whole
            .filter(({ toCpl, lsn: at }) => toCpl === 0 && at >= (history.at(-1)?.lsn ?? 0))
            .map(({ lsn: at }) => at),
        ])
        assert.equal(logEnd(announced, random.shuffled(held), truncations).vdl, vdl, `seed ${seed}, epoch ${epoch}`)
        const floor = Math.max(log.at(-1)?.lsn ?? 0, annulledTo(truncations, lsn(0)))
        truncations.push({ epoch: epoch + 1, from: vdl, to: lsn(floor + 1_000) })
        start = annulledTo(truncations, vdl)
        history = whole.filter((record) => record.lsn <= vdl)
      }
    }
  })
})

describe('a truncation', () => {
  it('covers what one by one is above its begin and up to its end, the first that does', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = new Random(seed)
      const cuts = Array.from({ length: random.below(4) }, (_, i) => {
        const from = random.below(30)
        return { epoch: i + 2, from: lsn(from), to: lsn(from + random.below(10)) }
      })
      for (let at = 0; at < 45; at++) {
        const covering = cuts.filter(({ from, to }) =>
          Array.from({ length: to - from }, (_, i) => from + 1 + i).includes(lsn(at)),
        )
        assert.equal(coveredBy(cuts, lsn(at)), covering[0])
        assert.equal(isAnnulled(cuts, lsn(at)), covering.length > 0)
      }
    }
  })

  it('ends where the highest of all ends', () => {
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
