/**
 * Redo records: what a volume's log is made of. Hot path: encoded once by the writer, checked and indexed once per copy.
 *
 * Layout, little endian, 60 bytes and then the payload:
 *
 *      0 u32 crc32 of all that follows      28 u64 lsn
 *      4 u32 payload length                 36 u64 previous record of the volume
 *      8 u8  kind                           44 u64 previous record of the protection group
 *      9 u8  flags                          52 u64 previous version of the block
 *     10 u16 zero                           60 payload
 *     12 u32 group
 *     16 u32 block in the group
 *     20 u32 volume epoch
 *     24 u32 bytes to the consistency point
 *
 * The three back links are those of SIGMOD 2018, section 2.2: the first finds the end of the log after a crash, the
 * second finds gaps in one copy, the third says what a delta applies to.
 */
import { crc32 } from 'node:zlib'
import { VolumeError } from './errors.ts'
import { type GroupIndex, groupIndex, type Lsn, lsn, readU64, writeU64 } from './lsn.ts'

export const RECORD_HEADER_BYTES = 60

/** What a record does to its block. The numbers are the format. */
export const RecordKind = { FULL: 1, DELTA: 2, TRIM: 3, CONTROL: 4 } as const
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind]

/** Flag of a FULL record whose payload is ranges over a block of zeros. */
export const FLAG_SPARSE = 1

/** Flag of a FULL or a DELTA record whose payload is packed (`packing.ts`). */
export const FLAG_PACKED = 2

/** A payload never exceeds one block of the largest size that a volume may have. */
export const PAYLOAD_BYTES_MAX = 65_536

export interface RecordHeader {
  readonly kind: RecordKind
  readonly flags: number
  readonly group: GroupIndex
  /** Block number inside the group; `CONTROL_BLOCK` for a control record. */
  readonly block: number
  readonly volumeEpoch: number
  readonly lsn: Lsn
  /** Bytes from `lsn` to the LSN of the last record of the mini-transaction; 0 on that record (the CPL) itself. */
  readonly toCpl: number
  readonly prevVolume: Lsn
  readonly prevGroup: Lsn
  /** The version that a DELTA applies to; 0 where the writer did not know it (FULL, TRIM). */
  readonly prevBlock: Lsn
}

export interface RedoRecord extends RecordHeader {
  readonly payload: Uint8Array
  /** The whole record as it is on the wire and on disk. */
  readonly encoded: Uint8Array
}

/** The first LSN at which a reader may see this record: the end of its mini-transaction. */
export const visibleFrom = (record: { readonly lsn: Lsn; readonly toCpl: number }): Lsn =>
  (record.lsn + record.toCpl) as Lsn

export const recordBytes = (payloadBytes: number): number => RECORD_HEADER_BYTES + payloadBytes

/** Writes a record at `offset`; answers the offset behind it. The payload is copied. */
export function encodeRecord(
  into: Uint8Array,
  view: DataView,
  offset: number,
  header: RecordHeader,
  payload: Uint8Array,
): number {
  into.set(payload, offset + RECORD_HEADER_BYTES)
  return sealRecord(into, view, offset, header, payload.length)
}

/** Writes the header and checksum of a record whose payload is in its place already; answers the offset behind it. */
export function sealRecord(
  into: Uint8Array,
  view: DataView,
  offset: number,
  header: RecordHeader,
  payloadBytes: number,
): number {
  const end = offset + RECORD_HEADER_BYTES + payloadBytes
  view.setUint32(offset + 4, payloadBytes, true)
  view.setUint8(offset + 8, header.kind)
  view.setUint8(offset + 9, header.flags)
  view.setUint16(offset + 10, 0, true)
  view.setUint32(offset + 12, header.group, true)
  view.setUint32(offset + 16, header.block, true)
  view.setUint32(offset + 20, header.volumeEpoch, true)
  view.setUint32(offset + 24, header.toCpl, true)
  writeU64(view, offset + 28, header.lsn)
  writeU64(view, offset + 36, header.prevVolume)
  writeU64(view, offset + 44, header.prevGroup)
  writeU64(view, offset + 52, header.prevBlock)
  view.setUint32(offset, crc32(into.subarray(offset + 4, end)), true)
  return end
}

/**
 * Reads the record at `offset`; its arrays are views of `bytes`.
 * @throws VolumeError `Corrupt` when the bytes are not a whole record with the right checksum.
 */
export function decodeRecord(bytes: Uint8Array, view: DataView, offset: number): RedoRecord {
  if (offset + RECORD_HEADER_BYTES > bytes.length)
    throw new VolumeError('Corrupt', `record header cut off at ${offset}`)
  const payloadLength = view.getUint32(offset + 4, true)
  const end = offset + RECORD_HEADER_BYTES + payloadLength
  if (payloadLength > PAYLOAD_BYTES_MAX || end > bytes.length) {
    throw new VolumeError('Corrupt', `record at ${offset} claims a payload of ${payloadLength} bytes`)
  }
  if (crc32(bytes.subarray(offset + 4, end)) !== view.getUint32(offset, true)) {
    throw new VolumeError('Corrupt', `record at ${offset} does not match its checksum`)
  }
  return {
    kind: view.getUint8(offset + 8) as RecordKind,
    flags: view.getUint8(offset + 9),
    group: groupIndex(view.getUint32(offset + 12, true)),
    block: view.getUint32(offset + 16, true),
    volumeEpoch: view.getUint32(offset + 20, true),
    toCpl: view.getUint32(offset + 24, true),
    lsn: lsn(readU64(view, offset + 28)),
    prevVolume: lsn(readU64(view, offset + 36)),
    prevGroup: lsn(readU64(view, offset + 44)),
    prevBlock: lsn(readU64(view, offset + 52)),
    payload: bytes.subarray(offset + RECORD_HEADER_BYTES, end),
    encoded: bytes.subarray(offset, end),
  }
}

/** A record whose bytes are its own. */
export function ownRecord(record: RedoRecord): RedoRecord {
  const encoded = record.encoded.slice()
  return { ...record, encoded, payload: encoded.subarray(RECORD_HEADER_BYTES) }
}

/** Reads records laid end to end. @throws VolumeError `Corrupt` */
export function decodeRecords(bytes: Uint8Array): RedoRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const records: RedoRecord[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const record = decodeRecord(bytes, view, offset)
    records.push(record)
    offset += record.encoded.length
  }
  return records
}

/** How many blocks a TRIM record zeroes, from its block on. */
export function trimCount(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(0, true)
}

export function trimPayload(count: number): Uint8Array {
  const payload = new Uint8Array(4)
  new DataView(payload.buffer).setUint32(0, count, true)
  return payload
}

/** The wall clock of a CONTROL record, in milliseconds since 1970. */
export function controlWallClockMs(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getFloat64(0, true)
}

export function controlPayload(wallClockMs: number): Uint8Array {
  const payload = new Uint8Array(8)
  new DataView(payload.buffer).setFloat64(0, wallClockMs, true)
  return payload
}
