import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import fc from 'fast-check'
import { applyRecord } from './delta.ts'
import { VolumeError } from './errors.ts'
import { pack, unpack } from './packing.ts'
import { openZstd, zlibZstd } from './real-zstd.ts'
import { FLAG_PACKED, FLAG_SPARSE, PAYLOAD_BYTES_MAX, RecordKind } from './record.ts'

const isCorrupt = (error: unknown): boolean => error instanceof VolumeError && error.code === 'Corrupt'

/** Bytes with repetitions of all lengths, and without. */
const payloads = fc
  .array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 60 })), { maxLength: 20 })
  .map((parts) =>
    Uint8Array.from(parts.flatMap(([bytes, times]) => Array.from({ length: times }, () => [...bytes]).flat())),
  )
  .filter(({ length }) => length <= PAYLOAD_BYTES_MAX)

function packed(payload: Uint8Array): Uint8Array {
  const into = new Uint8Array(payload.length)
  const length = pack(payload, into)
  assert.ok(length > 0)
  return into.slice(0, length)
}

describe('a packed payload', () => {
  it('holds what was packed, is shorter by an eighth, and of a multiple of four bytes', () => {
    fc.assert(
      fc.property(payloads, (payload) => {
        const into = new Uint8Array(payload.length + 8).fill(7)
        const length = pack(payload, into)
        if (length < 0) return assert.ok(into.every((byte) => byte === 7))
        assert.ok(length <= payload.length * 0.875 + 3)
        assert.equal(length % 4, 0)
        assert.deepEqual(unpack(into.subarray(0, length)), payload)
        assert.ok(
          into.subarray(length).every((byte) => byte === 7),
          'nothing behind it is touched',
        )
      }),
      { numRuns: 300 },
    )
  })

  it('may take the place of its payload', () => {
    const bytes = new Uint8Array(8192).fill(3)
    const length = pack(bytes, bytes)
    assert.deepEqual(unpack(bytes.slice(0, length)), new Uint8Array(8192).fill(3))
  })

  it('is read as it was written once', () => {
    const stored = Uint8Array.from(Buffer.from('6400000328b52ffd206445000010414101003f012c000000', 'hex'))
    assert.deepEqual(unpack(stored), new Uint8Array(100).fill(0x41))
  })

  it('is the longest that there is', () => {
    const payload = new Uint8Array(PAYLOAD_BYTES_MAX).map((_, i) => i >> 8)
    assert.deepEqual(unpack(packed(payload)), payload)
  })

  it('is refused when it is none, or holds more or less than it says', () => {
    const good = packed(new Uint8Array(500).fill(1))
    for (let length = 0; length < good.length; length++)
      assert.throws(() => unpack(good.subarray(0, length)), isCorrupt)
    for (const [at, value] of [
      [0, 0],
      [1, 255],
      [2, 255],
      [3, 255],
      [4, 0],
    ] as const) {
      const bad = good.slice()
      bad[at] = value
      assert.throws(() => unpack(bad), isCorrupt)
    }
  })

  it('makes the block that its record makes unpacked', () => {
    const next = new Uint8Array(1024).fill(9)
    const ranges = Uint8Array.of(1, 0, 30, 0, ...new Uint8Array(480).fill(5))
    const make = (kind: RecordKind, flags: number, payload: Uint8Array): Uint8Array => {
      const block = new Uint8Array(1024).fill(2)
      applyRecord({ kind, flags, payload }, block)
      return block
    }
    for (const [kind, flags, payload] of [
      [RecordKind.FULL, 0, next],
      [RecordKind.FULL, FLAG_SPARSE, ranges],
      [RecordKind.DELTA, 0, ranges],
    ] as const)
      assert.deepEqual(make(kind, flags | FLAG_PACKED, packed(payload)), make(kind, flags, payload))
  })
})

describe('the library in Node and node:zlib', () => {
  it('read what the other one wrote', () => {
    const own = openZstd(PAYLOAD_BYTES_MAX)
    assert.notEqual(own, zlibZstd, 'this Node shows its library')
    const payload = Uint8Array.from({ length: 5000 }, (_, i) => i % 100)
    for (const [writer, reader] of [
      [own, zlibZstd],
      [zlibZstd, own],
    ] as const) {
      const frame = new Uint8Array(5000)
      const length = writer.pack(payload, frame)
      assert.deepEqual(Uint8Array.from(reader.unpack(frame.subarray(0, length), 5000) ?? []), payload)
      assert.equal(reader.unpack(frame.subarray(0, length), 4999), undefined, 'no more than was asked for')
      assert.equal(reader.unpack(frame.subarray(0, length - 1), 5000), undefined)
      assert.equal(writer.pack(payload, new Uint8Array(8)), -1)
      assert.deepEqual(Uint8Array.from(zstdDecompressSync(frame.subarray(0, length))), payload)
    }
  })
})
