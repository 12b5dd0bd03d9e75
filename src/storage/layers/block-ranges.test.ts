import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { BlockRanges } from './block-ranges.ts'

const END = 40
const step = fc.record({
  what: fc.constantFrom('add', 'add', 'remove'),
  from: fc.integer({ min: 0, max: END - 1 }),
  count: fc.integer({ min: 1, max: 12 }),
})

describe('a set of blocks', () => {
  it('has what was added and not removed since, in as few ranges as can be', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const ranges = new BlockRanges()
        const model = new Set<number>()
        for (const { what, from, count } of steps) {
          const blocks = Array.from({ length: count }, (_, i) => from + i)
          if (what === 'add') {
            const isNew = blocks.some((block) => !model.has(block))
            for (const block of blocks) model.add(block)
            assert.equal(ranges.add(from, from + count), isNew)
          } else {
            for (const block of blocks) model.delete(block)
            ranges.remove(from, from + count)
          }
          const found = [...ranges]
          const listed = found.flatMap(({ from: first, to }) => Array.from({ length: to - first }, (_, i) => first + i))
          assert.deepEqual(
            listed,
            [...model].sort((a, b) => a - b),
          )
          for (const [i, range] of found.entries()) assert.ok(i === 0 || range.from > (found[i - 1]?.to ?? 0))
          assert.equal(ranges.isEmpty, model.size === 0)
          assert.equal(ranges.count(20), [...model].filter((block) => block < 20).length)
          const next = Math.min(...[...model].filter((block) => block >= 20))
          assert.equal(Math.max(20, ranges.firstFrom(20)?.from ?? Number.POSITIVE_INFINITY), next)
        }
      }),
    )
  })
})
