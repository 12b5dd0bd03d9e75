/**
 * What storage nodes, writers and readers say to each other. A message is a type byte and a body, little endian; the
 * stream under it adds lengths (`storage/framing.ts`). Every message stands alone: the network may lose, repeat and
 * reorder them.
 *
 *   APPEND  writer -> node   records of one group, the same bytes to all its members
 *   ACK     node -> writer   how far that segment is, or why it refused
 *   READ    any -> node      one block at a read point
 *   PAGE    node -> any      its bytes and version
 *   VDL     writer -> node   the durable point, and how far each changed group has to be for it
 *   CALL    any -> node      everything rare: a method, JSON and bytes
 *   RESULT  node -> any
 */
import { crc32 } from 'node:zlib'
import { type ErrorCode, isErrorCode, VolumeError } from './errors.ts'
import { type GroupIndex, groupIndex, type Lsn, lsn, readU64, type VolumeId, volumeId, writeU64 } from './lsn.ts'

export const MessageType = { APPEND: 1, ACK: 2, READ: 3, PAGE: 4, VDL: 5, CALL: 6, RESULT: 7 } as const

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Statuses as one byte. The order is the format: append only. */
const STATUSES = [
  'Ok',
  'BadRequest',
  'NotFound',
  'AlreadyExists',
  'ReadPointTooOld',
  'ReadPointAhead',
  'Fenced',
  'StaleVolumeEpoch',
  'UnknownEpoch',
  'StaleMembership',
  'UnknownSegment',
  'SuspectSegment',
  'WrongIncarnation',
  'LogCollected',
  'DiskFull',
  'Conflict',
  'Unreachable',
  'TimedOut',
  'NoQuorum',
  'Closed',
  'LeaseExpired',
  'Corrupt',
  'UnsupportedFormat',
  'Invariant',
  'Overloaded',
] as const satisfies readonly ('Ok' | ErrorCode)[]

export type Status = 'Ok' | ErrorCode

function statusByte(status: Status): number {
  const index = (STATUSES as readonly Status[]).indexOf(status)
  if (index < 0) throw new VolumeError('Invariant', `status ${status} has no number`)
  return index
}

function statusOf(byte: number): Status {
  const status = STATUSES[byte]
  if (status === undefined) throw new VolumeError('Corrupt', `unknown status ${byte}`)
  return status
}

function need(body: Uint8Array, bytes: number, what: string): void {
  if (body.length < bytes) throw new VolumeError('BadRequest', `${what} of ${body.length} bytes, ${bytes} are needed`)
}

/** @throws VolumeError `BadRequest` when a list does not end with a whole entry */
function needWhole(bytes: number, entryBytes: number, what: string): void {
  if (bytes % entryBytes !== 0) throw new VolumeError('BadRequest', `the last ${what} is cut off`)
}

// ---------------------------------------------------------------- APPEND

export interface AppendHeader {
  readonly volume: VolumeId
  readonly group: GroupIndex
  readonly volumeEpoch: number
  readonly membershipEpoch: number
  /** The writer's durable point when it sent this. */
  readonly vdl: Lsn
  /** The last record of this group at or below `vdl`. */
  readonly groupPoint: Lsn
}

/** Bytes in front of the records of an APPEND, type byte included. */
export const APPEND_HEADER_BYTES = 33

/** Fills the first 33 bytes of a message whose records follow. */
export function writeAppendHeader(message: Uint8Array, view: DataView, header: AppendHeader): void {
  message[0] = MessageType.APPEND
  view.setUint32(1, header.volume, true)
  view.setUint32(5, header.group, true)
  view.setUint32(9, header.volumeEpoch, true)
  view.setUint32(13, header.membershipEpoch, true)
  writeU64(view, 17, header.vdl)
  writeU64(view, 25, header.groupPoint)
}

/** Reads the body (no type byte) of an APPEND; `records` is a view of it. */
export function readAppend(body: Uint8Array): AppendHeader & { readonly records: Uint8Array } {
  need(body, APPEND_HEADER_BYTES - 1, 'APPEND')
  const view = viewOf(body)
  return {
    volume: volumeId(view.getUint32(0, true)),
    group: groupIndex(view.getUint32(4, true)),
    volumeEpoch: view.getUint32(8, true),
    membershipEpoch: view.getUint32(12, true),
    vdl: lsn(readU64(view, 16)),
    groupPoint: lsn(readU64(view, 24)),
    records: body.subarray(APPEND_HEADER_BYTES - 1),
  }
}

// ---------------------------------------------------------------- ACK

export interface Ack {
  readonly volume: VolumeId
  readonly group: GroupIndex
  /** The epochs that the node holds, so that a stale caller sees what it missed. */
  readonly volumeEpoch: number
  readonly membershipEpoch: number
  /** Segment complete LSN: everything of the group up to here is durable on this node. */
  readonly scl: Lsn
  readonly status: Status
  /** How long the node would take to apply what it has logged: back pressure in time. */
  readonly applyDelayMs: number
}

export function encodeAck(ack: Ack): Uint8Array {
  const message = new Uint8Array(30)
  const view = viewOf(message)
  message[0] = MessageType.ACK
  view.setUint32(1, ack.volume, true)
  view.setUint32(5, ack.group, true)
  view.setUint32(9, ack.volumeEpoch, true)
  view.setUint32(13, ack.membershipEpoch, true)
  writeU64(view, 17, ack.scl)
  message[25] = statusByte(ack.status)
  view.setUint32(26, ack.applyDelayMs, true)
  return message
}

export function readAck(body: Uint8Array): Ack {
  need(body, 29, 'ACK')
  const view = viewOf(body)
  return {
    volume: volumeId(view.getUint32(0, true)),
    group: groupIndex(view.getUint32(4, true)),
    volumeEpoch: view.getUint32(8, true),
    membershipEpoch: view.getUint32(12, true),
    scl: lsn(readU64(view, 16)),
    status: statusOf(body[24] as number),
    applyDelayMs: view.getUint32(25, true),
  }
}

// ---------------------------------------------------------------- READ and PAGE

export interface ReadRequest {
  readonly request: number
  readonly volume: VolumeId
  readonly group: GroupIndex
  readonly block: number
  /** The writer's epoch, refused when it is stale; 0 from readers, who may read an old LSN under any epoch. */
  readonly volumeEpoch: number
  readonly membershipEpoch: number
  readonly readPoint: Lsn
  /** Where the caller knows it: the last record of the group at or below the read point. Null leaves it to the node. */
  readonly minScl: Lsn | null
}

export function encodeRead(read: ReadRequest): Uint8Array {
  const message = new Uint8Array(41)
  const view = viewOf(message)
  message[0] = MessageType.READ
  view.setUint32(1, read.request, true)
  view.setUint32(5, read.volume, true)
  view.setUint32(9, read.group, true)
  view.setUint32(13, read.block, true)
  view.setUint32(17, read.volumeEpoch, true)
  view.setUint32(21, read.membershipEpoch, true)
  writeU64(view, 25, read.readPoint)
  writeU64(view, 33, read.minScl === null ? 0 : read.minScl + 1)
  return message
}

export function readRead(body: Uint8Array): ReadRequest {
  need(body, 40, 'READ')
  const view = viewOf(body)
  const minScl = readU64(view, 32)
  return {
    request: view.getUint32(0, true),
    volume: volumeId(view.getUint32(4, true)),
    group: groupIndex(view.getUint32(8, true)),
    block: view.getUint32(12, true),
    volumeEpoch: view.getUint32(16, true),
    membershipEpoch: view.getUint32(20, true),
    readPoint: lsn(readU64(view, 24)),
    minScl: minScl === 0 ? null : lsn(minScl - 1),
  }
}

export interface Page {
  readonly request: number
  readonly status: Status
  /** The LSN of the block's last record at the read point; 0 when it was never written. */
  readonly version: Lsn
  /** The block, or nothing for a block of zeros. */
  readonly bytes: Uint8Array
}

/** A PAGE as the two parts to send, so that the block is not copied. */
export function encodePage(page: Page): Uint8Array[] {
  const head = new Uint8Array(18)
  const view = viewOf(head)
  head[0] = MessageType.PAGE
  view.setUint32(1, page.request, true)
  head[5] = statusByte(page.status)
  writeU64(view, 6, page.version)
  view.setUint32(14, crc32(page.bytes), true)
  return page.bytes.length === 0 ? [head] : [head, page.bytes]
}

/** @throws VolumeError `Corrupt` when the block does not match its checksum. */
export function readPage(body: Uint8Array): Page {
  need(body, 17, 'PAGE')
  const view = viewOf(body)
  const bytes = body.subarray(17)
  if (crc32(bytes) !== view.getUint32(13, true)) throw new VolumeError('Corrupt', 'a page was damaged on its way')
  return {
    request: view.getUint32(0, true),
    status: statusOf(body[4] as number),
    version: lsn(readU64(view, 5)),
    bytes,
  }
}

// ---------------------------------------------------------------- VDL

export interface VdlAnnouncement {
  readonly volume: VolumeId
  readonly volumeEpoch: number
  /** Announcements of an epoch are numbered; one that follows the last seen may leave unchanged groups out. */
  readonly sequence: number
  /** Whether `points` names every group, so that nothing before it is needed. */
  readonly complete: boolean
  readonly vdl: Lsn
  readonly points: readonly (readonly [GroupIndex, Lsn])[]
}

export function encodeVdl(announcement: VdlAnnouncement): Uint8Array {
  const message = new Uint8Array(22 + 12 * announcement.points.length)
  const view = viewOf(message)
  message[0] = MessageType.VDL
  view.setUint32(1, announcement.volume, true)
  view.setUint32(5, announcement.volumeEpoch, true)
  view.setUint32(9, announcement.sequence, true)
  message[13] = announcement.complete ? 1 : 0
  writeU64(view, 14, announcement.vdl)
  let offset = 22
  for (const [group, point] of announcement.points) {
    view.setUint32(offset, group, true)
    writeU64(view, offset + 4, point)
    offset += 12
  }
  return message
}

export function readVdl(body: Uint8Array): VdlAnnouncement {
  need(body, 21, 'VDL')
  const view = viewOf(body)
  const points: (readonly [GroupIndex, Lsn])[] = []
  needWhole(body.length - 21, 12, 'point')
  for (let offset = 21; offset < body.length; offset += 12) {
    points.push([groupIndex(view.getUint32(offset, true)), lsn(readU64(view, offset + 4))])
  }
  return {
    volume: volumeId(view.getUint32(0, true)),
    volumeEpoch: view.getUint32(4, true),
    sequence: view.getUint32(8, true),
    complete: body[12] === 1,
    vdl: lsn(readU64(view, 13)),
    points,
  }
}

// ---------------------------------------------------------------- CALL and RESULT

const EMPTY = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export interface Call {
  readonly request: number
  readonly method: string
  readonly argument: unknown
  readonly attachment: Uint8Array
}

export interface Result {
  readonly request: number
  readonly outcome: { readonly value: unknown } | { readonly error: VolumeError }
  readonly attachment: Uint8Array
}

function encodeJson(type: number, request: number, value: unknown, attachment: Uint8Array): Uint8Array[] {
  const json = encoder.encode(JSON.stringify(value))
  const head = new Uint8Array(9 + json.length)
  const view = viewOf(head)
  head[0] = type
  view.setUint32(1, request, true)
  view.setUint32(5, json.length, true)
  head.set(json, 9)
  return attachment.length === 0 ? [head] : [head, attachment]
}

function decodeJson(body: Uint8Array): { request: number; value: unknown; attachment: Uint8Array } {
  need(body, 8, 'call')
  const view = viewOf(body)
  const end = 8 + view.getUint32(4, true)
  need(body, end, 'call')
  try {
    const value: unknown = JSON.parse(decoder.decode(body.subarray(8, end)))
    return { request: view.getUint32(0, true), value, attachment: body.subarray(end) }
  } catch (cause) {
    throw new VolumeError('BadRequest', 'a call is not valid JSON', { cause })
  }
}

export const encodeCall = (
  request: number,
  method: string,
  argument: unknown,
  attachment: Uint8Array = EMPTY,
): Uint8Array[] => encodeJson(MessageType.CALL, request, { method, argument }, attachment)

export function readCall(body: Uint8Array): Call {
  const { request, value, attachment } = decodeJson(body)
  if (typeof value !== 'object' || value === null || !('method' in value) || typeof value.method !== 'string') {
    throw new VolumeError('BadRequest', 'a call names no method')
  }
  return { request, method: value.method, argument: 'argument' in value ? value.argument : undefined, attachment }
}

export const encodeResult = (request: number, value: unknown, attachment: Uint8Array = EMPTY): Uint8Array[] =>
  encodeJson(MessageType.RESULT, request, { value }, attachment)

export const encodeFailure = (request: number, error: VolumeError): Uint8Array[] =>
  encodeJson(MessageType.RESULT, request, { error: { code: error.code, message: error.message } }, EMPTY)

export function readResult(body: Uint8Array): Result {
  const { request, value, attachment } = decodeJson(body)
  if (typeof value !== 'object' || value === null) throw new VolumeError('BadRequest', 'a result has no content')
  if ('error' in value) {
    const error = value.error as { code?: unknown; message?: unknown } | null
    if (typeof error !== 'object' || error === null) throw new VolumeError('BadRequest', 'an error has no content')
    const code = typeof error.code === 'string' && isErrorCode(error.code) ? error.code : 'Invariant'
    return { request, outcome: { error: new VolumeError(code, String(error.message)) }, attachment }
  }
  return { request, outcome: { value: 'value' in value ? value.value : undefined }, attachment }
}

// ---------------------------------------------------------------- record summaries, for recovery

/** A record without its content, as `summaries` answers it: enough to walk the volume's chain. */
export interface RecordSummary {
  readonly lsn: Lsn
  readonly prevVolume: Lsn
  readonly toCpl: number
}

const SUMMARY_BYTES = 20

export function encodeSummaries(summaries: readonly RecordSummary[]): Uint8Array {
  const bytes = new Uint8Array(summaries.length * SUMMARY_BYTES)
  const view = viewOf(bytes)
  summaries.forEach((summary, i) => {
    writeU64(view, i * SUMMARY_BYTES, summary.lsn)
    writeU64(view, i * SUMMARY_BYTES + 8, summary.prevVolume)
    view.setUint32(i * SUMMARY_BYTES + 16, summary.toCpl, true)
  })
  return bytes
}

export function readSummaries(bytes: Uint8Array): RecordSummary[] {
  const view = viewOf(bytes)
  const summaries: RecordSummary[] = []
  needWhole(bytes.length, SUMMARY_BYTES, 'summary')
  for (let offset = 0; offset < bytes.length; offset += SUMMARY_BYTES) {
    summaries.push({
      lsn: lsn(readU64(view, offset)),
      prevVolume: lsn(readU64(view, offset + 8)),
      toCpl: view.getUint32(offset + 16, true),
    })
  }
  return summaries
}

// ---------------------------------------------------------------- block digests, for checks

/** A block that is not zeros, its version and the crc32 of its bytes, as `digest` answers it. */
export interface BlockDigest {
  readonly block: number
  readonly lsn: Lsn
  readonly crc: number
}

const DIGEST_BYTES = 16

export function encodeDigests(digests: readonly BlockDigest[]): Uint8Array {
  const bytes = new Uint8Array(digests.length * DIGEST_BYTES)
  const view = viewOf(bytes)
  digests.forEach(({ block, lsn, crc }, i) => {
    view.setUint32(i * DIGEST_BYTES, block, true)
    writeU64(view, i * DIGEST_BYTES + 4, lsn)
    view.setUint32(i * DIGEST_BYTES + 12, crc, true)
  })
  return bytes
}

export function readDigests(bytes: Uint8Array): BlockDigest[] {
  const view = viewOf(bytes)
  const digests: BlockDigest[] = []
  needWhole(bytes.length, DIGEST_BYTES, 'digest')
  for (let offset = 0; offset < bytes.length; offset += DIGEST_BYTES) {
    digests.push({
      block: view.getUint32(offset, true),
      lsn: lsn(readU64(view, offset + 4)),
      crc: view.getUint32(offset + 12, true),
    })
  }
  return digests
}
