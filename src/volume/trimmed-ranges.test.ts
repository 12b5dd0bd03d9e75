import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { lsn } from '../protocol/lsn.ts'
import { TrimmedRanges } from './trimmed-ranges.ts'

describe('trimmed ranges', () => {
  it('hold every block of a trim until that is durable', () => {
    const trim = fc.record({ first: fc.nat(30), count: fc.integer({ min: 1, max: 10 }) })
    fc.assert(
      fc.property(fc.array(trim, { maxLength: 10 }), fc.nat(12), (trims, vdl) => {
        const ranges = new TrimmedRanges()
        for (const [i, { first, count }] of trims.entries()) ranges.add(first, first + count, lsn(i + 1))
        ranges.durable(lsn(vdl))
        for (let block = 0; block < 45; block++) {
          const expected = trims.some(({ first, count }, i) => i + 1 > vdl && block >= first && block < first + count)
          assert.equal(ranges.has(block), expected)
        }
      }),
    )
  })
})
