import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { VolumeError } from './errors.ts'
import { groupIndex, lsn, volumeId } from './lsn.ts'
import {
  APPEND_HEADER_BYTES,
  encodeAck,
  encodeCall,
  encodeDigests,
  encodeFailure,
  encodePage,
  encodeRead,
  encodeResult,
  encodeSummaries,
  encodeVdl,
  readAck,
  readAppend,
  readCall,
  readDigests,
  readPage,
  readRead,
  readResult,
  readSummaries,
  readVdl,
  writeAppendHeader,
} from './message.ts'
import { controlPayload, decodeRecords, encodeRecord, RecordKind, recordBytes, trimPayload } from './record.ts'

const FOLDER = new URL('../../test/fixtures/wire-v1/', import.meta.url)
const fixture = (name: string): Uint8Array => Uint8Array.from(readFileSync(new URL(`${name}.bin`, FOLDER)))
const whole = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts))

const [volume, group] = [volumeId(0x0a1b_2c3d), groupIndex(5)]
/** Above 32 bits. */
const FAR = 5 * 2 ** 32

const APPEND = { volume, group, volumeEpoch: 3, membershipEpoch: 2, vdl: lsn(FAR + 900), groupPoint: lsn(FAR + 800) }
const ACK = {
  volume,
  group,
  volumeEpoch: 3,
  membershipEpoch: 2,
  scl: lsn(FAR + 1000),
  status: 'Overloaded',
  applyDelayMs: 250,
} as const
const READ = {
  request: 77,
  volume,
  group,
  block: 1234,
  volumeEpoch: 3,
  membershipEpoch: 2,
  readPoint: lsn(FAR + 950),
  minScl: lsn(FAR + 940),
}
const PAGE = {
  request: 77,
  status: 'Ok',
  version: lsn(FAR + 930),
  bytes: new Uint8Array(32).map((_, i) => i * 3),
} as const
const REFUSED = { request: 78, status: 'ReadPointTooOld', version: lsn(0), bytes: new Uint8Array(0) } as const
const VDL = {
  volume,
  volumeEpoch: 3,
  sequence: 12,
  complete: true,
  vdl: lsn(FAR + 900),
  points: [
    [groupIndex(0), lsn(FAR + 900)],
    [groupIndex(5), lsn(FAR + 800)],
  ] as const,
}
const SUMMARIES = [
  { lsn: lsn(FAR + 1000), prevVolume: lsn(FAR + 900), toCpl: 64 },
  { lsn: lsn(FAR + 1064), prevVolume: lsn(FAR + 1000), toCpl: 0 },
]
const DIGESTS = [{ block: 9, lsn: lsn(FAR + 10), crc: 0xdead_beef }]

/** One record of each kind: a chain with one mini-transaction. */
function records(): { readonly kind: RecordKind; readonly encoded: Uint8Array }[] {
  const payloads = [
    [RecordKind.FULL, new Uint8Array(32).fill(7)],
    [RecordKind.DELTA, Uint8Array.of(1, 0, 1, 0, ...new Uint8Array(16).fill(9))],
    [RecordKind.TRIM, trimPayload(64)],
    [RecordKind.CONTROL, controlPayload(1_700_000_000_123)],
  ] as const
  const sizes = payloads.map(([, payload]) => recordBytes(payload.length))
  const cpl = FAR + sizes.reduce((sum, bytes) => sum + bytes, 0)
  let at = FAR
  return payloads.map(([kind, payload], i) => {
    const before = at
    at += sizes[i] as number
    const encoded = new Uint8Array(sizes[i] as number)
    const header = {
      kind,
      flags: 0,
      group,
      block: kind === RecordKind.CONTROL ? 0xffff_ffff : 40 + i,
      volumeEpoch: 3,
      lsn: lsn(at),
      toCpl: cpl - at,
      prevVolume: lsn(before),
      prevGroup: lsn(i === 0 ? FAR - 500 : before),
      prevBlock: lsn(kind === RecordKind.DELTA ? FAR - 700 : 0),
    }
    encodeRecord(encoded, new DataView(encoded.buffer), 0, header, payload)
    return { kind, encoded }
  })
}

function append(): Uint8Array {
  const message = new Uint8Array(APPEND_HEADER_BYTES)
  writeAppendHeader(message, new DataView(message.buffer), APPEND)
  return whole([message, ...records().map(({ encoded }) => encoded)])
}

/** What is written by today's code, by the name of its fixture. */
const WRITTEN: Readonly<Record<string, Uint8Array>> = {
  append: append(),
  ack: encodeAck(ACK),
  read: encodeRead(READ),
  'read-without-scl': encodeRead({ ...READ, minScl: null }),
  page: whole(encodePage(PAGE)),
  'page-refused': whole(encodePage(REFUSED)),
  vdl: encodeVdl(VDL),
  call: whole(encodeCall(9, 'fence', { volume, epoch: 4 }, Uint8Array.of(1, 2, 3))),
  result: whole(encodeResult(9, { vdl: FAR, segments: [] }, Uint8Array.of(4, 5))),
  failure: whole(encodeFailure(9, new VolumeError('StaleVolumeEpoch', 'epoch 4 is fenced by 5'))),
  summaries: encodeSummaries(SUMMARIES),
  digests: encodeDigests(DIGESTS),
}

describe('messages of format 1', () => {
  it('are what is written', () => {
    for (const [name, bytes] of Object.entries(WRITTEN)) assert.deepEqual(bytes, fixture(name), name)
    assert.deepEqual(
      readdirSync(FOLDER).sort(),
      Object.keys(WRITTEN)
        .map((name) => `${name}.bin`)
        .sort(),
    )
  })

  it('are read', () => {
    const body = (name: string): Uint8Array => fixture(name).subarray(1)
    const { records: logged, ...header } = readAppend(body('append'))
    assert.deepEqual(header, APPEND)
    assert.deepEqual(
      decodeRecords(logged).map(({ kind, encoded }) => ({ kind, encoded })),
      records(),
    )
    assert.deepEqual(readAck(body('ack')), ACK)
    assert.deepEqual(readRead(body('read')), READ)
    assert.deepEqual(readRead(body('read-without-scl')), { ...READ, minScl: null })
    assert.deepEqual(readPage(body('page')), PAGE)
    assert.deepEqual(readPage(body('page-refused')), REFUSED)
    assert.deepEqual(readVdl(body('vdl')), VDL)
    assert.deepEqual(readCall(body('call')), {
      request: 9,
      method: 'fence',
      argument: { volume, epoch: 4 },
      attachment: Uint8Array.of(1, 2, 3),
    })
    assert.deepEqual(readResult(body('result')), {
      request: 9,
      outcome: { value: { vdl: FAR, segments: [] } },
      attachment: Uint8Array.of(4, 5),
    })
    const { outcome } = readResult(body('failure'))
    assert.ok('error' in outcome)
    assert.deepEqual([outcome.error.code, outcome.error.message], ['StaleVolumeEpoch', 'epoch 4 is fenced by 5'])
    assert.deepEqual(readSummaries(fixture('summaries')), SUMMARIES)
    assert.deepEqual(readDigests(fixture('digests')), DIGESTS)
  })
})
