import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Candidate, choosePromotion, walPosition } from './promotion.ts'

const GIB = 1 << 30
const candidate = (name: string, change: Partial<Candidate> = {}): Candidate => ({
  name,
  tier: 1,
  memoryBytes: GIB,
  walLsn: '0/1000',
  ...change,
})
const chosen = (...candidates: readonly Candidate[]): string | undefined => choosePromotion(candidates)?.name

const candidates = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    tier: fc.integer({ min: 0, max: 3 }),
    memoryBytes: fc.constantFrom(GIB, 2 * GIB),
    walLsn: fc.constantFrom(null, '0/FFFFFFFF', '1/0', '0/9'),
  }),
  { selector: ({ name }) => name },
)

describe('positions in the WAL', () => {
  it('are compared as numbers, not as texts', () => {
    assert.equal(walPosition('0/9') < walPosition('0/10'), true)
    assert.equal(walPosition('0/FFFFFFFF') + 1, walPosition('1/0'))
    assert.equal(walPosition('A/0') > walPosition('9/FFFFFFFF'), true)
  })
  it('that nobody knows are before all others', () => {
    for (const text of [null, '', 'x/1', '0/123456789', '0/1 ']) assert.equal(walPosition(text), -1)
    assert.equal(walPosition('0/0'), 0)
  })
})

describe('who is promoted', () => {
  it('nobody, when there is none', () => assert.equal(choosePromotion([]), undefined))
  it('first by tier, whatever the size', () =>
    assert.equal(chosen(candidate('a', { tier: 2, memoryBytes: 8 * GIB }), candidate('b')), 'b'))
  it('then by size, however far it is', () =>
    assert.equal(chosen(candidate('a', { walLsn: '5/0' }), candidate('b', { memoryBytes: 2 * GIB })), 'b'))
  it('then by how far it is', () =>
    assert.equal(chosen(candidate('a', { walLsn: '0/9' }), candidate('b', { walLsn: '0/10' })), 'b'))
  it('then by name, so that asking twice gives the same', () =>
    assert.equal(chosen(candidate('b'), candidate('a')), 'a'))

  it('is the same in whatever order they are given, and nobody is before it', () => {
    fc.assert(
      fc.property(candidates, (all) => {
        const best = choosePromotion(all)
        assert.deepEqual(choosePromotion([...all].reverse()), best)
        for (const each of all) {
          assert(best !== undefined && best.tier <= each.tier)
          if (best.tier === each.tier) assert(best.memoryBytes >= each.memoryBytes)
        }
      }),
    )
  })
})
