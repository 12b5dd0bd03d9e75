/**
 * One page of the hot log. Hot path: sealed once per page written, opened once per page replayed.
 *
 * Layout, little endian, 32 bytes and then the payload, padded with zeros to the page's end:
 *
 *      0 u32 crc32 of all that follows, padding too     16 u16 slot
 *      4 u8  format version                             18 u16 number of this page in its batch
 *      5 u8  flags (1: last page of its batch)          20 u32 page number in the file
 *      6 u16 payload length                             24 u48 batch sequence
 *      8 u32 node tag                                   30 u16 skipped sequences
 *     12 u32 file number
 *
 * A *slot* is one physical file; a *file number* is one life of it. A recycled file keeps its slot and gets a new
 * number, so what earlier lives left behind (right slot, right page, lower file number) is told from a write that
 * went astray (another slot or page) without remembering the earlier numbers.
 *
 * *Skipped* says how many sequences right before this batch were given up, as remains of torn batches, when the log
 * was opened: the batch with sequence s was begun when all up to s - skipped - 1 were complete.
 */
import { crc32 } from 'node:zlib'
import { VolumeError } from '../protocol/errors.ts'

export const PAGE_HEADER_BYTES = 32
/** 2: records may be packed (`protocol/packing.ts`), which a reader of 1 would take for damage. */
const LOG_FORMAT_VERSION = 2
const LOG_FORMAT_VERSION_MIN = 1
/** The page number in a batch and the skipped sequences are 16 bits wide. */
export const PAGES_OF_FILE_MAX = 32_768
export const SKIPPED_MAX = 0xffff

const FLAG_LAST = 1
const HIGH = 2 ** 32

/** Where a page should be. */
export interface PagePlace {
  /** From the node's incarnation, so that another node's log is never taken for this one's. */
  readonly nodeTag: number
  readonly file: number
  readonly slot: number
  readonly page: number
}

export interface PageHeader extends PagePlace {
  readonly sequence: number
  readonly indexInBatch: number
  readonly skipped: number
  readonly last: boolean
  readonly payloadBytes: number
}

/** Completes the page at `offset`, whose payload is in place already, with its header. */
export function sealPage(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  pageBytes: number,
  header: PageHeader,
): void {
  const payloadEnd = offset + PAGE_HEADER_BYTES + header.payloadBytes
  const end = offset + pageBytes
  if (payloadEnd < end) bytes.fill(0, payloadEnd, end)
  view.setUint8(offset + 4, LOG_FORMAT_VERSION)
  view.setUint8(offset + 5, header.last ? FLAG_LAST : 0)
  view.setUint16(offset + 6, header.payloadBytes, true)
  view.setUint32(offset + 8, header.nodeTag, true)
  view.setUint32(offset + 12, header.file, true)
  view.setUint16(offset + 16, header.slot, true)
  view.setUint16(offset + 18, header.indexInBatch, true)
  view.setUint32(offset + 20, header.page, true)
  view.setUint32(offset + 24, header.sequence >>> 0, true)
  view.setUint16(offset + 28, Math.floor(header.sequence / HIGH), true)
  view.setUint16(offset + 30, header.skipped, true)
  view.setUint32(offset, crc32(bytes.subarray(offset + 4, end)), true)
}

/**
 * Reads the page at `offset`: its header when the checksum is right, else whether it is all zeros or rotten.
 * @throws VolumeError `UnsupportedFormat` for a whole page of another format version.
 */
export function openPage(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  pageBytes: number,
): PageHeader | 'zero' | 'rot' {
  const crc = view.getUint32(offset, true)
  if (crc !== crc32(bytes.subarray(offset + 4, offset + pageBytes))) {
    return crc === 0 && isZero(bytes, offset, pageBytes) ? 'zero' : 'rot'
  }
  const version = view.getUint8(offset + 4)
  if (version < LOG_FORMAT_VERSION_MIN || version > LOG_FORMAT_VERSION) {
    throw new VolumeError(
      'UnsupportedFormat',
      `hot log page of format ${version}; this version reads ${LOG_FORMAT_VERSION_MIN} to ${LOG_FORMAT_VERSION}`,
    )
  }
  const payloadBytes = view.getUint16(offset + 6, true)
  if (payloadBytes > pageBytes - PAGE_HEADER_BYTES) return 'rot'
  return {
    nodeTag: view.getUint32(offset + 8, true),
    file: view.getUint32(offset + 12, true),
    slot: view.getUint16(offset + 16, true),
    page: view.getUint32(offset + 20, true),
    sequence: view.getUint32(offset + 24, true) + view.getUint16(offset + 28, true) * HIGH,
    indexInBatch: view.getUint16(offset + 18, true),
    skipped: view.getUint16(offset + 30, true),
    last: (view.getUint8(offset + 5) & FLAG_LAST) !== 0,
    payloadBytes,
  }
}

/**
 * Whether a whole page found at `place` is of this life of the file, a remain of an earlier one, or was written to
 * the wrong place.
 */
export function standing(header: PageHeader, place: PagePlace): 'own' | 'stale' | 'misplaced' {
  if (header.nodeTag !== place.nodeTag || header.slot !== place.slot || header.page !== place.page) return 'misplaced'
  if (header.file === place.file) return 'own'
  return header.file < place.file ? 'stale' : 'misplaced'
}

/** Whether a page, if it is whole, is one of this node that belongs to another place. */
export function saysElsewhere(view: DataView, offset: number, place: Omit<PagePlace, 'file'>): boolean {
  if (view.getUint32(offset + 8, true) !== place.nodeTag) return false
  return view.getUint16(offset + 16, true) !== place.slot || view.getUint32(offset + 20, true) !== place.page
}

let zeros = new Uint8Array(4096)

function isZero(bytes: Uint8Array, offset: number, length: number): boolean {
  if (zeros.length < length) zeros = new Uint8Array(length)
  return Buffer.compare(bytes.subarray(offset, offset + length), zeros.subarray(0, length)) === 0
}
