/**
 * Entries: the versions of one block, as memtables and layers hold them. Hot path: read once per delta of every block
 * read, copied as they are by flush and merge (`README.md`, figures).
 *
 * An entry does not depend on where it lies: it is copied from a memtable's slab to a layer and from layer to layer
 * without being encoded again. All header fields of the redo record are kept, so that the record can be made again
 * (`entryToRecord`); links are stored as distances from the entry's own LSN, in 0, 2, 4 or 8 bytes. Little endian:
 *
 *      0 u32 bits 0..19 length of the whole entry, 20..22 kind, 24..31 flags
 *      4 u32 low half of the LSN
 *      8 u32 bits 0..20 high half of the LSN, then five widths of two bits
 *     12 bytes to the consistency point | volume epoch | distance to the previous record of the volume |
 *        of the group | to the previous version of the block (width 0: the value, or the link, is 0)
 *        payload
 *
 * Lengths are multiples of four (those of payloads are), so that a block in a group can be used where it lies.
 * 24 bytes before the payload are usual, where the record itself has 60.
 */
import { applyRanges, diff } from '../../protocol/delta.ts'
import { VolumeError } from '../../protocol/errors.ts'
import { type GroupIndex, type Lsn, lsn, ZERO_LSN } from '../../protocol/lsn.ts'
import { unpack } from '../../protocol/packing.ts'
import { encodeRecord, FLAG_PACKED, FLAG_SPARSE, RecordKind, recordBytes } from '../../protocol/record.ts'

/** A whole block, materialised by this node at the version `lsn`. Same LSN and `toCpl` as the last record in it. */
export const IMAGE = 5
/** What an entry is: one of the kinds of a record, or an image. The numbers are the format. */
export type EntryKind = RecordKind | typeof IMAGE

/** Flag of a TRIM entry that is one of several made of one record, and not the first of them. */
export const FLAG_EXPANDED = 0x80

/** The most bytes that an entry has besides its payload. */
export const ENTRY_HEAD_BYTES_MAX = 44

/** What an entry says of itself. A `RedoRecord` is one. */
export interface EntryHead {
  readonly kind: EntryKind
  /** As in the record (`FLAG_SPARSE`, `FLAG_PACKED`), and `FLAG_EXPANDED`. */
  readonly flags: number
  readonly lsn: Lsn
  /** Bytes from `lsn` to the consistency point of its mini-transaction: visible at R when `lsn + toCpl <= R`. */
  readonly toCpl: number
  /** 0 in an image, as are the links. */
  readonly volumeEpoch: number
  readonly prevVolume: Lsn
  readonly prevGroup: Lsn
  /** The version that a DELTA applies to. */
  readonly prevBlock: Lsn
}

/** One version of a block, decoded. For tests and for serving records again; hot paths read fields in place. */
export interface Entry extends EntryHead {
  readonly block: number
  readonly payload: Uint8Array
}

const HIGH = 2 ** 32
const WIDTH = [0, 2, 4, 8] as const
/** Bytes of the variable part, by the ten bits of widths. */
const WIDTHS = Uint8Array.from({ length: 1024 }, (_, w) => {
  let sum = 0
  for (let i = 0; i < 5; i++) sum += WIDTH[(w >> (2 * i)) & 3]!
  return sum
})

const widthCode = (value: number): number => (value === 0 ? 0 : value < 0x1_0000 ? 1 : value < HIGH ? 2 : 3)

function writeValue(view: DataView, at: number, code: number, value: number): number {
  if (code === 0) return at
  if (code === 1) {
    view.setUint16(at, value, true)
    return at + 2
  }
  view.setUint32(at, value >>> 0, true)
  if (code === 2) return at + 4
  view.setUint32(at + 4, Math.floor(value / HIGH), true)
  return at + 8
}

function readValue(view: DataView, at: number, code: number): number {
  if (code === 0) return 0
  if (code === 1) return view.getUint16(at, true)
  const low = view.getUint32(at, true)
  return code === 2 ? low : low + view.getUint32(at + 4, true) * HIGH
}

function distance(from: number, to: number): number {
  if (to >= from) throw new VolumeError('Corrupt', `record ${from} links to ${to}, which is not before it`)
  return to === 0 ? 0 : from - to
}

/** Writes an entry at `at`, of which `ENTRY_HEAD_BYTES_MAX + payload.length` bytes must be free; answers its end. */
export function writeEntry(
  into: Uint8Array,
  view: DataView,
  at: number,
  head: EntryHead,
  flags: number,
  payload: Uint8Array,
): number {
  const own = head.lsn
  const volume = distance(own, head.prevVolume)
  const group = distance(own, head.prevGroup)
  const block = distance(own, head.prevBlock)
  let cplCode = widthCode(head.toCpl)
  let epochCode = widthCode(head.volumeEpoch)
  let volumeCode = widthCode(volume)
  let groupCode = widthCode(group)
  let blockCode = widthCode(block)
  const sum = WIDTH[cplCode]! + WIDTH[epochCode]! + WIDTH[volumeCode]! + WIDTH[groupCode]! + WIDTH[blockCode]!
  if (sum % 4 !== 0) {
    // An odd number of fields has two bytes: one of them gets four.
    if (groupCode === 1) groupCode = 2
    else if (volumeCode === 1) volumeCode = 2
    else if (epochCode === 1) epochCode = 2
    else if (cplCode === 1) cplCode = 2
    else blockCode = 2
  }
  const widths = cplCode | (epochCode << 2) | (volumeCode << 4) | (groupCode << 6) | (blockCode << 8)
  let to = writeValue(view, at + 12, cplCode, head.toCpl)
  to = writeValue(view, to, epochCode, head.volumeEpoch)
  to = writeValue(view, to, volumeCode, volume)
  to = writeValue(view, to, groupCode, group)
  to = writeValue(view, to, blockCode, block)
  into.set(payload, to)
  to += payload.length
  view.setUint32(at, ((to - at) | (head.kind << 20) | (flags << 24)) >>> 0, true)
  view.setUint32(at + 4, own >>> 0, true)
  view.setUint32(at + 8, (Math.floor(own / HIGH) | (widths << 21)) >>> 0, true)
  return to
}

export const entryLength = (view: DataView, at: number): number => view.getUint32(at, true) & 0xf_ffff
export const entryKind = (view: DataView, at: number): EntryKind => ((view.getUint32(at, true) >>> 20) & 7) as EntryKind
export const entryFlags = (view: DataView, at: number): number => view.getUint32(at, true) >>> 24
export const entryLsn = (view: DataView, at: number): number =>
  view.getUint32(at + 4, true) + (view.getUint32(at + 8, true) & 0x1f_ffff) * HIGH
export const entryToCpl = (view: DataView, at: number): number =>
  readValue(view, at + 12, (view.getUint32(at + 8, true) >>> 21) & 3)
/** The first read point that sees the entry. */
export const entryVisibleFrom = (view: DataView, at: number): number => entryLsn(view, at) + entryToCpl(view, at)
export const entryPayloadStart = (view: DataView, at: number): number =>
  at + 12 + WIDTHS[(view.getUint32(at + 8, true) >>> 21) & 1023]!

export function entryPrevBlock(view: DataView, at: number): number {
  const code = (view.getUint32(at + 8, true) >>> 29) & 3
  if (code === 0) return 0
  return entryLsn(view, at) - readValue(view, entryPayloadStart(view, at) - WIDTH[code]!, code)
}

/** A version that needs nothing below it. */
export const isBase = (kind: EntryKind): boolean =>
  kind === IMAGE || kind === RecordKind.FULL || kind === RecordKind.TRIM

/** Decodes the entry of `block` at `at`; its payload is a view of `bytes`. */
export function decodeEntry(bytes: Uint8Array, view: DataView, at: number, block: number): Entry {
  const own = entryLsn(view, at)
  const widths = (view.getUint32(at + 8, true) >>> 21) & 1023
  let from = at + 12
  const next = (shift: number): number => {
    const code = (widths >> shift) & 3
    const value = readValue(view, from, code)
    from += WIDTH[code]!
    return value
  }
  const link = (far: number): Lsn => (far === 0 ? ZERO_LSN : lsn(own - far))
  const toCpl = next(0)
  const volumeEpoch = next(2)
  const prevVolume = link(next(4))
  const prevGroup = link(next(6))
  const prevBlock = link(next(8))
  return {
    block,
    kind: entryKind(view, at),
    flags: entryFlags(view, at),
    lsn: lsn(own),
    toCpl,
    volumeEpoch,
    prevVolume,
    prevGroup,
    prevBlock,
    payload: bytes.subarray(from, at + entryLength(view, at)),
  }
}

/**
 * Makes the redo record that an entry came from.
 * @returns undefined for an image, and for the second and further parts of a TRIM: the first part stands for the record.
 */
export function entryToRecord(entry: Entry, group: GroupIndex): Uint8Array | undefined {
  if (entry.kind === IMAGE || entry.flags & FLAG_EXPANDED) return undefined
  const into = new Uint8Array(recordBytes(entry.payload.length))
  encodeRecord(into, new DataView(into.buffer), 0, { ...entry, kind: entry.kind, group }, entry.payload)
  return into
}

/** The entry at `at` with its kind changed to IMAGE; answers the end of the copy. Used for FULL entries. */
export function copyAsImage(
  into: Uint8Array,
  view: DataView,
  to: number,
  bytes: Uint8Array,
  from: DataView,
  at: number,
) {
  const head: EntryHead = {
    kind: IMAGE,
    flags: 0,
    lsn: lsn(entryLsn(from, at)),
    toCpl: entryToCpl(from, at),
    volumeEpoch: 0,
    prevVolume: ZERO_LSN,
    prevGroup: ZERO_LSN,
    prevBlock: ZERO_LSN,
  }
  const payload = bytes.subarray(entryPayloadStart(from, at), at + entryLength(from, at))
  return writeEntry(into, view, to, head, entryFlags(from, at) & (FLAG_SPARSE | FLAG_PACKED), payload)
}

/** The block that the base entry at `at` holds, as a view of `bytes`; undefined: it has another form, or an odd place. */
export function plainContent(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  blockBytes: number,
): Uint8Array | undefined {
  if (entryFlags(view, at) & (FLAG_SPARSE | FLAG_PACKED)) return undefined
  if ((bytes.byteOffset + at) % 4 !== 0) return undefined
  const from = entryPayloadStart(view, at)
  return at + entryLength(view, at) - from === blockBytes ? bytes.subarray(from, from + blockBytes) : undefined
}

let zeros = new Uint8Array(0)
let sparse = new Uint8Array(0)

/**
 * Writes an image of `content` (which must start at a multiple of four bytes), as ranges over zeros where that is
 * shorter by an eighth or more: below that the plain form is worth more, as it is applied by one copy.
 * @returns the end of the entry.
 */
export function writeImage(
  into: Uint8Array,
  view: DataView,
  at: number,
  version: Lsn,
  toCpl: number,
  content: Uint8Array,
): number {
  if (zeros.length !== content.length) {
    zeros = new Uint8Array(content.length)
    sparse = new Uint8Array(content.length - (content.length >> 3))
  }
  const length = diff(zeros, content, sparse)
  const head: EntryHead = {
    kind: IMAGE,
    flags: 0,
    lsn: version,
    toCpl,
    volumeEpoch: 0,
    prevVolume: ZERO_LSN,
    prevGroup: ZERO_LSN,
    prevBlock: ZERO_LSN,
  }
  return length < 0
    ? writeEntry(into, view, at, head, 0, content)
    : writeEntry(into, view, at, head, FLAG_SPARSE, sparse.subarray(0, length))
}

/** Applies the entry at `at` to `content`, which holds the version before it. @throws VolumeError `Corrupt` */
export function applyEntry(bytes: Uint8Array, view: DataView, at: number, content: Uint8Array): void {
  const word = view.getUint32(at, true)
  const kind = (word >>> 20) & 7
  if (kind === RecordKind.TRIM) {
    content.fill(0)
    return
  }
  const flags = word >>> 24
  const stored = bytes.subarray(entryPayloadStart(view, at), at + (word & 0xf_ffff))
  const payload = flags & FLAG_PACKED ? unpack(stored) : stored
  if (kind === RecordKind.DELTA) {
    applyRanges(payload, content)
    return
  }
  if (kind !== RecordKind.FULL && kind !== IMAGE) {
    throw new VolumeError('Corrupt', `an entry of kind ${kind} does not change a block`)
  }
  if (flags & FLAG_SPARSE) {
    content.fill(0)
    applyRanges(payload, content)
  } else {
    if (payload.length !== content.length) {
      throw new VolumeError('Corrupt', `whole block of ${payload.length} bytes where blocks have ${content.length}`)
    }
    content.set(payload)
  }
}
