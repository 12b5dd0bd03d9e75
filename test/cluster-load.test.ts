/** The judge of the proofs: whether it notices what they are there to notice. */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import type pg from 'pg'
import { type Lsn, lsn } from '../src/protocol/lsn.ts'
import { ClusterLoad } from './cluster-load.ts'
import { FAILED_ON_PURPOSE } from './tpcb.ts'
import { until } from './waiting.ts'

/** Of a client: transfers 0 and 1 are acknowledged, 2 is rolled back, 3 acknowledged, of 4 nobody knows. */
const ANSWERS = ['done', 'done', 'fails', 'done', 'ends'] as const
const CLIENTS = 2

describe('what is there at an LSN, held against what clients were told', () => {
  let load: ClusterLoad
  /** Everything was asked for after this, and was durable by that. */
  const after = lsn(1000)
  let by: Lsn

  before(async () => {
    let asked = 0
    const connect = async (): Promise<pg.Client> => {
      if (asked >= CLIENTS * ANSWERS.length) throw new Error('nobody listens')
      let answer = 0
      const query = async (): Promise<void> => {
        asked++
        const next = ANSWERS[answer++]
        if (next === 'fails') throw Object.assign(new Error('not this one'), { code: FAILED_ON_PURPOSE })
        if (next === 'ends') throw new Error('Connection terminated unexpectedly')
      }
      return { query, end: async () => {} } as unknown as pg.Client
    }
    // The volume does not move on until all is done.
    const bounds = async () =>
      asked < CLIENTS * ANSWERS.length ? undefined : { durable: lsn(4000), reached: lsn(5000) }
    load = new ClusterLoad({ connect, bounds }, 1, CLIENTS, after)
    load.start()
    await until('all are asked', () => asked === CLIENTS * ANSWERS.length)
    await load.stop()
    by = lsn(5000)
  })

  const present = (...numbers: readonly (readonly number[])[]): Map<number, Set<number>> =>
    new Map(numbers.map((of, client) => [client, new Set(of)]))

  it('is right with everything that was acknowledged, and what nobody knows or not', () => {
    assert.equal(load.acknowledged, 6)
    assert.deepEqual(load.problems, [])
    for (const at of [undefined, by, lsn(9000)]) {
      assert.deepEqual(load.judge(present([0, 1, 3], [0, 1, 3, 4]), at), [])
    }
  })

  it('may be anything in between, in the order of each client', () => {
    for (const there of [[], [0], [0, 1], [0, 1, 3]]) assert.deepEqual(load.judge(present(there, [0]), lsn(3000)), [])
    const [problem, ...others] = load.judge(present([0, 3], []), lsn(3000))
    assert.equal(problem, 'transfer 3 of client 0 is there and 1 before it is not')
    assert.deepEqual(others, [])
  })

  it('is wrong without one that was acknowledged', () => {
    for (const at of [undefined, by]) {
      const problems = load.judge(present([0, 1], [0, 1, 3]), at)
      assert.deepEqual(problems, ['transfer 3 of client 0 was acknowledged by 5000 and is not there'])
    }
    assert.equal(load.judge(present(), undefined).length, 6)
  })

  it('is wrong with one that was asked for later', () => {
    const problems = load.judge(present([0], []), after)
    assert.deepEqual(problems, ['transfer 0 of client 0 was asked for after 1000 and is there'])
    assert.deepEqual(load.judge(present([], []), after), [])
  })

  it('is wrong with one that was rolled back, or that nobody asked for', () => {
    assert.deepEqual(load.judge(present([0, 1, 2, 3], [0, 1, 3])), [
      'transfer 2 of client 0 was rolled back and is there',
    ])
    assert.deepEqual(load.judge(present([0, 1, 3, 77], [0, 1, 3])), ['client 0 never asked for 77'])
    assert.deepEqual(load.judge(present([0, 1, 3], [0, 1, 3], [0])), ['there is no client 2'])
  })

  it('settles what nobody knew, once', () => {
    load.settle(present([0, 1, 3], [0, 1, 3, 4]))
    assert.deepEqual(load.judge(present([0, 1, 3, 4], [0, 1, 3])), [
      'transfer 4 of client 0 was rolled back and is there',
      'transfer 4 of client 1 was acknowledged by undefined and is not there',
    ])
  })
})
