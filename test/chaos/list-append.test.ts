import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { listAppendAnomalies, type Operation, type Transaction } from './list-append.ts'

const append = (key: number, value: number): Operation => ({ kind: 'append', key, value })
const read = (key: number, ...values: number[]): Operation => ({ kind: 'read', key, values })

/** Transactions with the numbers 0, 1, 2 ..., all of them committed. */
const committed = (...all: (readonly Operation[])[]): Transaction[] =>
  all.map((operations, id) => ({ id, outcome: 'committed', operations }))

const found = (transactions: readonly Transaction[], final: Record<number, number[]>): string[] =>
  listAppendAnomalies(transactions, new Map(Object.entries(final).map(([key, values]) => [Number(key), values]))).map(
    ({ name }) => name,
  )

describe('list-append histories', () => {
  it('are serializable when one came after the other', () => {
    const history = committed([append(1, 1)], [read(1, 1), append(1, 2)], [read(1, 1, 2), append(2, 1), read(2, 1)])
    assert.deepEqual(found(history, { 1: [1, 2], 2: [1] }), [])
  })

  it('may hold what a client was told nothing of, and may not', () => {
    const history: Transaction[] = [
      { id: 0, outcome: 'unknown', operations: [append(1, 1)] },
      { id: 1, outcome: 'unknown', operations: [append(1, 2)] },
    ]
    assert.deepEqual(found(history, { 1: [2] }), [])
  })

  it('lost: what was acknowledged is not there', () => {
    assert.deepEqual(found(committed([append(1, 1)]), { 1: [] }), ['lost append'])
    assert.deepEqual(found(committed([append(1, 1)]), {}), ['lost append'])
  })

  it('phantom and duplicate', () => {
    assert.deepEqual(found([], { 1: [7] }), ['phantom'])
    assert.deepEqual(found(committed([append(1, 1)]), { 1: [1, 1] }), ['duplicate'])
  })

  it('another order than the one at the end', () => {
    const history = committed([append(1, 1)], [append(1, 2)], [read(1, 2)])
    assert.deepEqual(found(history, { 1: [1, 2] }), ['other order'])
  })

  it('internal: a transaction that does not see itself', () => {
    assert.deepEqual(found(committed([append(1, 1), read(1)]), { 1: [1] }), ['internal'])
    assert.deepEqual(found(committed([append(1, 1)], [read(1), read(1, 1)]), { 1: [1] }), ['internal'])
  })

  it('G0: two that overwrite each other', () => {
    const history = committed([append(1, 1), append(2, 1)], [append(1, 2), append(2, 2)])
    assert.deepEqual(found(history, { 1: [1, 2], 2: [2, 1] }), ['G0'])
  })

  it('G1a: what was rolled back is seen, by a transaction or at the end', () => {
    const failed: Transaction = { id: 9, outcome: 'failed', operations: [append(1, 1)] }
    assert.deepEqual(found([failed], { 1: [1] }), ['G1a'])
    assert.deepEqual(found([failed, ...committed([read(1, 1)])], { 1: [] }), ['G1a', 'other order'])
  })

  it('G1b: a transaction is seen in its middle', () => {
    const history = committed([append(1, 1), append(1, 2)], [read(1, 1)])
    assert(found(history, { 1: [1, 2] }).includes('G1b'))
  })

  it('G1c: two that have seen each other', () => {
    const history = committed([append(1, 1), read(2, 1)], [append(2, 1), read(1, 1)])
    assert.deepEqual(found(history, { 1: [1], 2: [1] }), ['G1c'])
  })

  it('G-single: one that has seen half of another', () => {
    const history = committed([append(1, 1), append(2, 1)], [read(1, 1), read(2)])
    assert.deepEqual(found(history, { 1: [1], 2: [1] }), ['G-single'])
  })

  it('G2: two that have overlooked each other (write skew)', () => {
    const history = committed([read(1), append(2, 1)], [read(2), append(1, 1)])
    assert.deepEqual(found(history, { 1: [1], 2: [1] }), ['G2'])
  })

  it('G2 over three transactions, beside others that are in order', () => {
    const history = committed(
      [read(1), append(2, 1)],
      [read(2), append(3, 1)],
      [read(3), append(1, 1)],
      [read(1, 1), read(2, 1), read(3, 1)],
    )
    assert.deepEqual(found(history, { 1: [1], 2: [1], 3: [1] }), ['G2'])
  })

  it('has no complaint about any serial history', () => {
    const operation = fc.record({ key: fc.nat(3), appends: fc.boolean() })
    fc.assert(
      fc.property(fc.array(fc.array(operation, { minLength: 1, maxLength: 4 }), { maxLength: 30 }), (plan) => {
        const lists: Record<number, number[]> = {}
        let value = 0
        const history = plan.map(
          (operations, id): Transaction => ({
            id,
            outcome: 'committed',
            operations: operations.map(({ key, appends }) => {
              const list = lists[key] ?? []
              lists[key] = list
              if (!appends) return read(key, ...list)
              list.push(++value)
              return append(key, value)
            }),
          }),
        )
        assert.deepEqual(found(history, lists), [])
      }),
    )
  })

  it('complains about a long chain whose last has overlooked its first', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 40 }), (length) => {
        // Each has read the one before it, and the last has overlooked the first.
        const chain = Array.from({ length }, (_, i) => [
          ...(i === 0 ? [append(1000, 1)] : [read(i - 1, 1)]),
          append(i, 1),
          ...(i === length - 1 ? [read(1000)] : []),
        ])
        const final = Object.fromEntries([...chain.keys(), 1000].map((key) => [key, [1]]))
        assert.deepEqual(found(committed(...chain), final), ['G-single'])
      }),
    )
  })
})
