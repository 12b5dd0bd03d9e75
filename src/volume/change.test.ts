import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VolumeError } from '../protocol/errors.ts'
import { blockNumber } from '../protocol/lsn.ts'
import { aligned, BLOCKS_MAX, type Change, checkBlock, checkChanges, TRANSACTION_BYTES_MAX } from './change.ts'

const BYTES = 256
const put = (block: number, bytes = BYTES): Change => ({ block: blockNumber(block), bytes: new Uint8Array(bytes) })
const trim = (first: number, count: number): Change => ({ trim: blockNumber(first), count })
const badRequest = (error: unknown): boolean => error instanceof VolumeError && error.code === 'BadRequest'
const NO_BLOCKS = [-1, 0.5, BLOCKS_MAX, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]

describe('changes', () => {
  it('are taken from the first block to the last', () => {
    checkChanges([], BYTES)
    checkChanges([put(0), put(BLOCKS_MAX - 1)], BYTES)
    checkChanges([trim(0, BLOCKS_MAX), trim(BLOCKS_MAX - 1, 1), trim(5, 1), trim(5, 1)], BYTES)
    checkBlock(0)
    checkBlock(BLOCKS_MAX - 1)
  })

  it('are refused for blocks that there are not', () => {
    for (const block of NO_BLOCKS) {
      assert.throws(() => checkChanges([put(block)], BYTES), badRequest)
      assert.throws(() => checkChanges([trim(block, 1)], BYTES), badRequest)
      assert.throws(() => checkBlock(block), badRequest)
    }
    for (const count of [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, BLOCKS_MAX]) {
      assert.throws(() => checkChanges([trim(1, count)], BYTES), badRequest, `${count} blocks`)
    }
  })

  it('are refused for a block of another size, and for one that is written twice', () => {
    for (const bytes of [0, BYTES - 1, BYTES + 1]) assert.throws(() => checkChanges([put(1, bytes)], BYTES), badRequest)
    assert.throws(() => checkChanges([put(1), put(2), put(1)], BYTES), badRequest)
  })

  it('are refused when they are more than a node takes at once', () => {
    const most = TRANSACTION_BYTES_MAX / BYTES
    const many = Array.from({ length: most + 1 }, (_, block) => put(block))
    checkChanges(many.slice(1), BYTES)
    assert.throws(() => checkChanges(many, BYTES), badRequest)
  })
})

describe('bytes to be compared', () => {
  it('begin at a multiple of four, and are copied only when they do not', () => {
    const buffer = new Uint8Array(64).map((_, i) => i)
    for (let offset = 0; offset < 8; offset++) {
      const bytes = buffer.subarray(offset, offset + 16)
      const result = aligned(bytes)
      assert.deepEqual(result, bytes)
      assert.equal(result.byteOffset % 4, 0)
      assert.equal(result === bytes, offset % 4 === 0)
    }
  })

  it('begin there also when they are a Buffer, whose slices are no copies', () => {
    const pool = Buffer.from(new Uint8Array(64).buffer, 3, 32).fill(7)
    const result = aligned(pool)
    assert.equal(result.byteOffset % 4, 0)
    assert.deepEqual(Uint8Array.from(result), new Uint8Array(32).fill(7))
  })
})
