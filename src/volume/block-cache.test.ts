import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { blockNumber, type Lsn, lsn } from '../protocol/lsn.ts'
import { BlockCache } from './block-cache.ts'

const BYTES = 16
const filled = (value: number): Uint8Array => new Uint8Array(BYTES).fill(value)
const held = (cache: BlockCache, blocks: number): number[] =>
  Array.from({ length: blocks }, (_, block) => block).filter((block) => cache.get(blockNumber(block)) !== undefined)

describe('the cache of blocks', () => {
  it('never drops what is not durable, answers the newest only, and is bounded by what is durable', () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ what: fc.constant('put' as const), block: fc.nat(40) }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('get' as const), block: fc.nat(40) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('drop' as const), block: fc.nat(40), count: fc.nat(50) }) },
      {
        weight: 1,
        arbitrary: fc.record({
          what: fc.constant('durable' as const),
          part: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
      },
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.array(step, { maxLength: 200 }), (max, steps) => {
        const cache = new BlockCache(BYTES, max * BYTES)
        const newest = new Map<number, { readonly value: number; readonly lsn: Lsn }>()
        let [next, vdl] = [1, 0]
        for (const each of steps) {
          if (each.what === 'put') {
            const at = lsn(next++)
            newest.set(each.block, { value: at & 0xff, lsn: at })
            cache.put(blockNumber(each.block), filled(at & 0xff), at, lsn(vdl))
          } else if (each.what === 'drop') {
            cache.dropRange(each.block, each.block + each.count)
            for (let block = each.block; block < each.block + each.count; block++) newest.delete(block)
          } else if (each.what === 'durable') vdl = Math.round(vdl + (next - 1 - vdl) * each.part)
          else {
            const found = cache.get(blockNumber(each.block))
            const expected = newest.get(each.block)
            if (found === undefined)
              assert.ok(expected === undefined || expected.lsn <= vdl, 'the only copy was dropped')
            else assert.deepEqual([found.bytes, found.lsn], [filled(expected?.value ?? -1), expected?.lsn])
          }
          const pending = [...newest].filter(([, { lsn: at }]) => at > vdl).map(([block]) => block)
          const present = held(cache, 41)
          for (const block of pending) assert.ok(present.includes(block), `block ${block} is not durable and gone`)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('lets go of the block that was used least recently', () => {
    const cache = new BlockCache(BYTES, 3 * BYTES)
    for (const block of [1, 2, 3]) cache.put(blockNumber(block), filled(block), lsn(block), lsn(9))
    cache.get(blockNumber(1))
    cache.put(blockNumber(2), filled(20), lsn(4), lsn(9))
    cache.put(blockNumber(4), filled(4), lsn(5), lsn(9))
    assert.equal(cache.get(blockNumber(3)), undefined)
    assert.deepEqual(cache.get(blockNumber(2))?.bytes, filled(20))
    assert.deepEqual(held(cache, 9), [1, 2, 4])
  })

  it('holds more than its bound while that is not durable, and gets back to it', () => {
    const cache = new BlockCache(BYTES, 10 * BYTES)
    for (let block = 0; block < 500; block++) cache.put(blockNumber(block), filled(1), lsn(block + 1), lsn(0))
    assert.equal(held(cache, 500).length, 500)
    for (let block = 500; block < 600; block++) cache.put(blockNumber(block), filled(1), lsn(block + 1), lsn(block))
    assert.equal(held(cache, 600).length, 10)
    const { bytes } = cache
    for (let block = 600; block < 2_000; block++) cache.put(blockNumber(block), filled(1), lsn(block + 1), lsn(block))
    assert.equal(cache.bytes, bytes, 'memory is used again')
    assert.ok(bytes <= 1024 * 1024, 'one slab')
  })

  it('keeps a copy: neither the giver nor room that is given again changes a block', () => {
    const cache = new BlockCache(BYTES, 2 * BYTES)
    const given = filled(1)
    cache.put(blockNumber(1), given, lsn(1), lsn(0))
    given.fill(9)
    assert.deepEqual(cache.get(blockNumber(1))?.bytes, filled(1))
    for (let block = 2; block < 50; block++) cache.put(blockNumber(block), filled(block), lsn(block), lsn(block - 1))
    for (const block of held(cache, 50)) assert.deepEqual(cache.get(blockNumber(block))?.bytes, filled(block))
  })

  it('drops a range, narrow or wide', () => {
    for (const wide of [false, true]) {
      const cache = new BlockCache(BYTES, 100 * BYTES)
      for (let block = 0; block < 20; block++) cache.put(blockNumber(block), filled(1), lsn(1), lsn(1))
      cache.dropRange(5, wide ? 2 ** 34 : 8)
      assert.deepEqual(held(cache, 20).length, wide ? 5 : 17)
      assert.equal(cache.get(blockNumber(5)), undefined)
    }
  })
})
