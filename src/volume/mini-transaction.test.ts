import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { sixMembers } from '../../test/six-members.ts'
import { applyRecord } from '../protocol/delta.ts'
import { CONTROL_BLOCK, type GroupIndex, type Lsn, lsn } from '../protocol/lsn.ts'
import { APPEND_HEADER_BYTES } from '../protocol/message.ts'
import {
  controlWallClockMs,
  decodeRecords,
  FLAG_PACKED,
  FLAG_SPARSE,
  RecordKind,
  type RedoRecord,
  trimCount,
} from '../protocol/record.ts'
import { MiniTransaction } from './mini-transaction.ts'
import { ReplicaGroup } from './replica-group.ts'

const BLOCK_BYTES = 128

const NEVER_PACKED = Number.POSITIVE_INFINITY

/** Everything that a group's builder holds, as it would be sent. */
const recordsOf = (group: ReplicaGroup): RedoRecord[] =>
  group.builder.empty ? [] : decodeRecords(group.builder.take().message.subarray(APPEND_HEADER_BYTES))

const groupOf = (group: number, last = 0): ReplicaGroup => new ReplicaGroup(sixMembers(group), lsn(last), 0)

/** One write against what is known of the block; the record that it makes. */
function written(
  next: Uint8Array,
  before?: { readonly bytes: Uint8Array; readonly lsn: Lsn },
  packBytesMin = NEVER_PACKED,
): RedoRecord | undefined {
  const group = groupOf(0)
  const transaction = new MiniTransaction(BLOCK_BYTES, packBytesMin)
  if (transaction.write(group, 3, next, before) < 0) return undefined
  transaction.seal(lsn(1000), lsn(900), 1, () => {})
  const [record] = recordsOf(group)
  return record
}

const filled = (value: number, bytes = BLOCK_BYTES): Uint8Array => new Uint8Array(bytes).fill(value)

describe('a mini-transaction', () => {
  it('becomes records that say what was asked: links, consistency point, and the blocks after them', () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed)
      const groups = [0, 1, 2].map((index) => groupOf(index))
      const model = new Map<string, { bytes: Uint8Array; lsn: Lsn }>()
      const ends = new Map<GroupIndex, Lsn>()
      const stored = new Map<string, { bytes: Uint8Array; lsn: Lsn }>()
      let [start, last] = [lsn(random.below(1_000)), lsn(0)]
      for (let round = 0; round < 12; round++) {
        const transaction = new MiniTransaction(BLOCK_BYTES, random.pick([16, NEVER_PACKED]))
        const blocks = random.shuffled([0, 1, 2, 3, 4, 5]).slice(0, random.between(1, 5))
        for (const block of blocks) {
          const group = random.pick(groups)
          const key = `${group.group} ${block}`
          const known = model.get(key)
          const next = known?.bytes.slice() ?? random.fill(new Uint8Array(BLOCK_BYTES))
          const from = random.below(BLOCK_BYTES)
          const changed = next.subarray(from, from + random.between(1, BLOCK_BYTES))
          if (random.chance(0.5)) random.fill(changed)
          else changed.fill(random.below(256))
          const record = transaction.write(group, block, next, known)
          if (record >= 0) model.set(key, { bytes: next, lsn: lsn(-1 - record) })
        }
        if (transaction.empty) continue
        const stretches: [GroupIndex, Lsn, boolean][] = []
        const cpl = transaction.seal(start, last, 7, (target, at, isCpl) => stretches.push([target.group, at, isCpl]))
        for (const each of model.values()) if (each.lsn < 0) each.lsn = transaction.lsnOf(-1 - each.lsn)
        const records = groups.flatMap(recordsOf).sort((a, b) => a.lsn - b.lsn)
        let before = last
        let at = start
        for (const record of records) {
          at = lsn(at + record.encoded.length)
          assert.deepEqual(
            [record.lsn, record.prevVolume, record.prevGroup, record.lsn + record.toCpl, record.volumeEpoch],
            [at, before, ends.get(record.group) ?? 0, cpl, 7],
          )
          ends.set(record.group, record.lsn)
          before = record.lsn
          const key = `${record.group} ${record.block}`
          const present = stored.get(key)
          if (record.kind === RecordKind.DELTA) assert.equal(record.prevBlock, present?.lsn)
          const bytes = present?.bytes.slice() ?? new Uint8Array(BLOCK_BYTES)
          applyRecord(record, bytes)
          stored.set(key, { bytes, lsn: record.lsn })
        }
        assert.equal(at, cpl)
        assert.deepEqual(stored, model)
        assert.deepEqual(stretches.at(-1)?.slice(1), [cpl, true])
        for (const [group, end] of stretches) {
          const inGroup = records.filter((record) => record.group === group && record.lsn <= end)
          assert.equal(inGroup.at(-1)?.lsn, end)
        }
        last = cpl
        // An opening in between leaves a gap of LSNs.
        start = random.chance(0.2) ? lsn(cpl + 10_000) : cpl
      }
    }
  })

  it('packs changes that are long enough, where that makes them shorter', () => {
    const packedOf = (next: Uint8Array, before?: { readonly bytes: Uint8Array; readonly lsn: Lsn }) => {
      const record = written(next, before, 64)
      return record === undefined ? undefined : { flags: record.flags, bytes: record.payload.length }
    }
    const noise = new Random(1).fill(new Uint8Array(BLOCK_BYTES))
    const before = { bytes: noise, lsn: lsn(9) }
    assert.deepEqual(packedOf(noise), { flags: 0, bytes: BLOCK_BYTES }, 'it would not be shorter')
    const whole = packedOf(filled(5))
    assert.ok(whole?.flags === FLAG_PACKED && whole.bytes < BLOCK_BYTES / 4)
    const half = packedOf(Uint8Array.from([...filled(5, BLOCK_BYTES / 2), ...filled(0, BLOCK_BYTES / 2)]))
    assert.ok(half?.flags === (FLAG_PACKED | FLAG_SPARSE) && half.bytes < BLOCK_BYTES / 4)
    const delta = packedOf(Uint8Array.from([...filled(5, 80), ...noise.subarray(80)]), before)
    assert.ok(delta?.flags === FLAG_PACKED && delta.bytes < 80)
    assert.deepEqual(packedOf(Uint8Array.from([...filled(5, 32), ...noise.subarray(32)]), before), {
      flags: 0,
      bytes: 36,
    })
  })

  it('has its trims and control records in the order in which they were asked for', () => {
    const group = groupOf(0, 50)
    const transaction = new MiniTransaction(BLOCK_BYTES, NEVER_PACKED)
    transaction.trim(group, 5, 9)
    transaction.write(group, 5, filled(1), undefined)
    transaction.control(group, 1_700_000_000_123)
    transaction.seal(lsn(100), lsn(50), 1, () => {})
    const [trim, full, control] = recordsOf(group) as [RedoRecord, RedoRecord, RedoRecord]
    assert.deepEqual([trim.kind, trim.block, trimCount(trim.payload), trim.prevGroup], [RecordKind.TRIM, 5, 9, 50])
    assert.deepEqual([full.kind, full.block, full.prevBlock], [RecordKind.FULL, 5, 0])
    assert.deepEqual([control.kind, control.block, control.toCpl], [RecordKind.CONTROL, CONTROL_BLOCK, 0])
    assert.equal(controlWallClockMs(control.payload), 1_700_000_000_123)
  })

  it('is nothing when no block changes, and cannot be sealed then', () => {
    const transaction = new MiniTransaction(BLOCK_BYTES, NEVER_PACKED)
    assert.equal(transaction.write(groupOf(0), 1, filled(4), { bytes: filled(4), lsn: lsn(10) }), -1)
    assert.ok(transaction.empty)
    assert.throws(() => transaction.seal(lsn(100), lsn(0), 1, () => {}), { code: 'Invariant' })
  })
})

describe('a block that is written', () => {
  const before = { bytes: filled(1), lsn: lsn(500) }
  const changed = (granules: number): Uint8Array => {
    const next = before.bytes.slice()
    next.fill(2, 0, granules * 16)
    return next
  }

  it('is a delta to its last version up to three quarters of a block, and whole above', () => {
    for (let granules = 1; granules <= 8; granules++) {
      const record = written(changed(granules), before)
      const payload = 4 + 16 * granules
      const isDelta = payload <= BLOCK_BYTES * 0.75
      assert.equal(record?.kind, isDelta ? RecordKind.DELTA : RecordKind.FULL, `${granules} granules`)
      assert.equal(record?.payload.length, isDelta ? payload : BLOCK_BYTES)
      assert.deepEqual([record?.flags, record?.prevBlock], [0, 500])
    }
  })

  it('whose last version is not known says all of its content, without its zeros where that is shorter', () => {
    const sparse = new Uint8Array(BLOCK_BYTES)
    sparse.fill(3, 16, 32)
    for (const [next, flags, bytes] of [
      [sparse, FLAG_SPARSE, 20],
      [filled(3), 0, BLOCK_BYTES],
      [new Uint8Array(BLOCK_BYTES), FLAG_SPARSE, 0],
    ] as const) {
      for (const unknown of [undefined, { bytes: filled(0), lsn: lsn(0) }]) {
        const record = written(next, unknown)
        assert.deepEqual(
          [record?.kind, record?.flags, record?.payload.length, record?.prevBlock],
          [RecordKind.FULL, flags, bytes, 0],
        )
        const block = filled(9)
        applyRecord(record as RedoRecord, block)
        assert.deepEqual(block, next)
      }
    }
  })

  it('with zeros over something is no empty record', () => {
    const record = written(new Uint8Array(BLOCK_BYTES), before)
    const block = before.bytes.slice()
    applyRecord(record as RedoRecord, block)
    assert.deepEqual(block, new Uint8Array(BLOCK_BYTES))
  })
})

describe('a frame', () => {
  it('holds what was laid into it, however much, behind the record that it names', () => {
    const group = groupOf(0, 77)
    const expected: Uint8Array[] = []
    let [start, last] = [lsn(1_000), lsn(77)]
    for (let i = 0; i < 200; i++) {
      const transaction = new MiniTransaction(BLOCK_BYTES, NEVER_PACKED)
      const bytes = new Uint8Array(BLOCK_BYTES).map((_, at) => i * 31 + at)
      transaction.write(group, i, bytes, undefined)
      expected.push(bytes)
      last = transaction.seal(start, last, 1, () => {})
      start = last
    }
    const frame = group.builder.take()
    assert.deepEqual([frame.after, frame.last], [77, last])
    assert.ok(group.builder.empty)
    const records = decodeRecords(frame.message.subarray(APPEND_HEADER_BYTES))
    assert.equal(records.length, 200)
    for (const [i, record] of records.entries()) {
      const block = new Uint8Array(BLOCK_BYTES)
      applyRecord(record, block)
      assert.deepEqual(block, expected[i])
    }
  })

  it('that was sent is not written to by the next', () => {
    const group = groupOf(0)
    const write = (value: number, start: number): void => {
      const transaction = new MiniTransaction(BLOCK_BYTES, NEVER_PACKED)
      transaction.write(group, 1, filled(value), undefined)
      transaction.seal(lsn(start), group.last, 1, () => {})
    }
    write(1, 100)
    const first = group.builder.take()
    const copy = first.message.slice()
    write(2, 1_000)
    const second = group.builder.take()
    assert.deepEqual(first.message, copy)
    assert.equal(second.after, first.last)
    assert.equal(decodeRecords(second.message.subarray(APPEND_HEADER_BYTES))[0]?.prevGroup, first.last)
  })

  it('is empty when all that was begun in it changed nothing', () => {
    const group = groupOf(0, 40)
    new MiniTransaction(BLOCK_BYTES, NEVER_PACKED).write(group, 1, filled(1), {
      bytes: filled(1),
      lsn: lsn(9),
    })
    assert.ok(group.builder.empty)
    const transaction = new MiniTransaction(BLOCK_BYTES, NEVER_PACKED)
    transaction.write(group, 1, filled(2), { bytes: filled(1), lsn: lsn(9) })
    transaction.seal(lsn(100), lsn(40), 1, () => {})
    assert.equal(group.builder.take().after, 40)
  })
})
