import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { applyRanges, applyRecord, diff, GRANULE_BYTES } from './delta.ts'
import type { VolumeError } from './errors.ts'
import { groupIndex, lsn } from './lsn.ts'
import {
  decodeRecords,
  encodeRecord,
  FLAG_SPARSE,
  type RecordHeader,
  RecordKind,
  recordBytes,
  visibleFrom,
} from './record.ts'

const corrupt = (error: VolumeError): boolean => error.code === 'Corrupt'

function encode(records: readonly (readonly [RecordHeader, Uint8Array])[]): Uint8Array {
  const bytes = new Uint8Array(records.reduce((sum, [, payload]) => sum + recordBytes(payload.length), 0))
  const view = new DataView(bytes.buffer)
  let offset = 0
  for (const [header, payload] of records) offset = encodeRecord(bytes, view, offset, header, payload)
  assert.equal(offset, bytes.length)
  return bytes
}

/** Numbers above 32 bits, each field with a value of its own. */
function someRecord(random: Random): [RecordHeader, Uint8Array] {
  const big = (): number => random.u32() * 2 ** 21 + random.below(2 ** 21)
  const header: RecordHeader = {
    kind: random.pick(Object.values(RecordKind)),
    flags: random.below(2),
    group: groupIndex(random.u32()),
    block: random.u32(),
    volumeEpoch: random.u32(),
    toCpl: random.u32(),
    lsn: lsn(big()),
    prevVolume: lsn(big()),
    prevGroup: lsn(big()),
    prevBlock: lsn(big()),
  }
  return [header, random.fill(new Uint8Array(random.below(100)))]
}

describe('a record', () => {
  it('is read as it was written, also among others', () => {
    const random = new Random(1)
    for (let run = 0; run < 100; run++) {
      const records = Array.from({ length: random.between(1, 4) }, () => someRecord(random))
      const bytes = encode(records)
      const read = decodeRecords(bytes)
      assert.equal(read.length, records.length)
      read.forEach(({ payload, encoded, ...header }, i) => {
        assert.deepEqual(header, records[i]?.[0])
        assert.deepEqual(payload, records[i]?.[1])
        assert.equal(encoded.length, recordBytes(payload.length))
      })
    }
  })

  it('is refused when any of its bits changed or its end is missing', () => {
    const random = new Random(2)
    const bytes = encode([[someRecord(random)[0], random.fill(new Uint8Array(20))]])
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice()
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.throws(() => decodeRecords(changed), corrupt, `bit ${bit}`)
    }
    for (let length = 1; length < bytes.length; length++) {
      assert.throws(() => decodeRecords(bytes.slice(0, length)), corrupt, `${length} bytes`)
    }
  })

  it('is visible from the end of its mini-transaction on', () => {
    assert.equal(visibleFrom({ lsn: lsn(100), toCpl: 0 }), 100)
    assert.equal(visibleFrom({ lsn: lsn(100), toCpl: 60 }), 160)
  })
})

describe('a delta', () => {
  const changed = (random: Random, before: Uint8Array): Uint8Array => {
    const next = before.slice()
    for (let i = random.below(6); i > 0; i--) {
      const from = random.below(next.length)
      random.fill(next.subarray(from, from + random.between(1, 40)))
    }
    return next
  }

  it('brings one version to the next, and holds only granules that differ', () => {
    const random = new Random(3)
    for (let run = 0; run < 500; run++) {
      const before = random.fill(new Uint8Array(256))
      const next = changed(random, before)
      const out = new Uint8Array(512)
      const length = diff(before, next, out)
      const payload = out.subarray(0, length)
      const result = before.slice()
      applyRanges(payload, result)
      assert.deepEqual(result, next)

      let different = 0
      for (let at = 0; at < 256; at += GRANULE_BYTES) {
        const end = at + GRANULE_BYTES
        if (Buffer.compare(before.subarray(at, end), next.subarray(at, end)) !== 0) different++
      }
      let carried = 0
      for (let at = 0; at < payload.length; ) {
        const count = (payload[at + 2] as number) | ((payload[at + 3] as number) << 8)
        carried += count
        at += 4 + count * GRANULE_BYTES
      }
      assert.equal(carried, different)
      assert.equal(length === 0, different === 0)
    }
  })

  it('sees a change of any single word', () => {
    for (let word = 0; word < 64; word++) {
      const before = new Uint8Array(256)
      const next = new Uint8Array(256)
      next[word * 4] = 1
      const out = new Uint8Array(64)
      assert.equal(diff(before, next, out), 4 + GRANULE_BYTES, `word ${word}`)
      // And one beside a granule that differs anyway.
      next[((word ^ 4) % 64) * 4] = 1
      const result = before.slice()
      applyRanges(out.slice(0, diff(before, next, out)), result)
      assert.deepEqual(result, next)
    }
  })

  it('says so when it does not fit', () => {
    const random = new Random(4)
    const before = new Uint8Array(256)
    const next = random.fill(new Uint8Array(256))
    assert.equal(diff(before, next, new Uint8Array(259)), -1)
    assert.equal(diff(before, next, new Uint8Array(260)), 260)
  })

  it('is refused when it does not fit its block', () => {
    const block = new Uint8Array(64)
    const range = (first: number, count: number, bytes: number): Uint8Array =>
      Uint8Array.of(first, 0, count, 0, ...new Array<number>(bytes).fill(1))
    applyRanges(range(3, 1, 16), block)
    assert.throws(() => applyRanges(range(4, 1, 16), block), corrupt)
    assert.throws(() => applyRanges(range(0, 2, 16), block), corrupt)
    assert.throws(() => applyRanges(Uint8Array.of(1, 0), block), corrupt)
  })
})

describe('applying a record', () => {
  const apply = (kind: RecordKind, flags: number, payload: Uint8Array): number[] => {
    const block = new Uint8Array(32).fill(9)
    applyRecord({ kind, flags, payload }, block)
    return [...block]
  }
  const half = Uint8Array.of(1, 0, 1, 0, ...new Array<number>(16).fill(5))
  const sixteen = (value: number): number[] => new Array<number>(16).fill(value)

  it('replaces, changes or clears the block', () => {
    assert.deepEqual(apply(RecordKind.FULL, 0, new Uint8Array(32).fill(7)), [...sixteen(7), ...sixteen(7)])
    assert.deepEqual(apply(RecordKind.FULL, FLAG_SPARSE, half), [...sixteen(0), ...sixteen(5)])
    assert.deepEqual(apply(RecordKind.DELTA, 0, half), [...sixteen(9), ...sixteen(5)])
    assert.deepEqual(apply(RecordKind.TRIM, 0, new Uint8Array(4)), [...sixteen(0), ...sixteen(0)])
  })

  it('refuses a full record of another size, and what changes no block', () => {
    assert.throws(() => apply(RecordKind.FULL, 0, new Uint8Array(31)), corrupt)
    assert.throws(() => apply(RecordKind.CONTROL, 0, new Uint8Array(8)), corrupt)
  })
})
