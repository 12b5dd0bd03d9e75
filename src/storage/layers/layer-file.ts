/**
 * The file format of a layer: an immutable file with versions of the blocks of one segment, sorted by block, then LSN,
 * that records in an LSN range (lo, hi] made. Little endian.
 *
 *     header, 40 bytes   magic, version, volume, group, layer, bytes of a block, crc32
 *     groups             u32 crc32 of what follows, u32 block, u32 length of the group, entries (`entry.ts`)
 *     index              columns over the groups, then range trims
 *     footer, 128 bytes  the same identity, LSN range, where the index is and its crc32, crc32
 *
 * A group has entries of one block and can be read alone, but for the first group of a block, whose first version may
 * apply to a layer below. The checksum of a group lies beside it and in the index: a block written to a wrong place,
 * or not written, has a right checksum of its own and is found by the other one. A reference to the layer
 * (`layer-ref.ts`) has the checksum of the index, so that one file taken for another is found too.
 */
import { crc32 } from 'node:zlib'
import { VolumeError } from '../../protocol/errors.ts'
import { type GroupIndex, groupIndex, readU64, type VolumeId, volumeId, writeU64 } from '../../protocol/lsn.ts'
import { RANGE_TRIM_BYTES, readRangeTrim, TrimIndex } from './range-trims.ts'

/** Raised when a reader of the version before could not read the files. 2: entries may be packed. */
const LAYER_FORMAT_VERSION = 2
const LAYER_FORMAT_VERSION_MIN = 1

/** @throws VolumeError `UnsupportedFormat` */
function checkFormat(version: number): void {
  if (version >= LAYER_FORMAT_VERSION_MIN && version <= LAYER_FORMAT_VERSION) return
  throw new VolumeError('UnsupportedFormat', `layer of version ${version}`)
}

export const LAYER_HEADER_BYTES = 40
export const LAYER_FOOTER_BYTES = 128
export const GROUP_HEADER_BYTES = 12

const HEADER_MAGIC = 'BOREALYR'
const FOOTER_MAGIC = 'BOREALYF'

/** One past the highest block number, control records included. */
export const BLOCK_END = 2 ** 32

/** Of which segment a file is a part, and the size of its blocks. */
export interface SegmentIdentity {
  readonly volume: VolumeId
  readonly group: GroupIndex
  readonly blockBytes: number
}

/** `image`: made by garbage collection; nothing below it shows through. `delta`: every other layer. */
export type LayerKind = 'delta' | 'image'

export interface LayerFooter extends SegmentIdentity {
  readonly id: number
  readonly kind: LayerKind
  /** Records with lo < LSN <= hi, all of them in the blocks [fromBlock, toBlock). */
  readonly lo: number
  readonly hi: number
  readonly fromBlock: number
  readonly toBlock: number
  readonly groups: number
  readonly trims: number
  readonly indexOffset: number
  readonly indexBytes: number
  readonly indexCrc: number
  /** The lowest and highest wall clock of the control entries, in ms since 1970; undefined when it has none. */
  readonly wallMs: { readonly min: number; readonly max: number } | undefined
}

function writeMagic(into: Uint8Array, at: number, magic: string): void {
  for (let i = 0; i < 8; i++) into[at + i] = magic.charCodeAt(i)
}

function hasMagic(from: Uint8Array, at: number, magic: string): boolean {
  for (let i = 0; i < 8; i++) if (from[at + i] !== magic.charCodeAt(i)) return false
  return true
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export function encodeLayerHeader(segment: SegmentIdentity, id: number): Uint8Array {
  const bytes = new Uint8Array(LAYER_HEADER_BYTES)
  const view = viewOf(bytes)
  writeMagic(bytes, 0, HEADER_MAGIC)
  view.setUint32(8, LAYER_FORMAT_VERSION, true)
  view.setUint32(12, segment.volume, true)
  view.setUint32(16, segment.group, true)
  view.setUint32(20, id, true)
  view.setUint32(24, segment.blockBytes, true)
  view.setUint32(36, crc32(bytes.subarray(0, 36)), true)
  return bytes
}

/** @throws VolumeError `Corrupt` when it is not the header of this layer, `UnsupportedFormat` when it is too new. */
export function checkLayerHeader(bytes: Uint8Array, segment: SegmentIdentity, id: number): void {
  const view = viewOf(bytes)
  if (!hasMagic(bytes, 0, HEADER_MAGIC)) throw new VolumeError('Corrupt', 'no layer header')
  if (view.getUint32(36, true) !== crc32(bytes.subarray(0, 36))) {
    throw new VolumeError('Corrupt', 'layer header does not match its checksum')
  }
  checkFormat(view.getUint32(8, true))
  if (
    view.getUint32(12, true) !== segment.volume ||
    view.getUint32(16, true) !== segment.group ||
    view.getUint32(20, true) !== id ||
    view.getUint32(24, true) !== segment.blockBytes
  ) {
    throw new VolumeError('Corrupt', 'header of another layer')
  }
}

export function encodeLayerFooter(footer: LayerFooter): Uint8Array {
  const bytes = new Uint8Array(LAYER_FOOTER_BYTES)
  const view = viewOf(bytes)
  writeMagic(bytes, 0, FOOTER_MAGIC)
  view.setUint32(8, LAYER_FORMAT_VERSION, true)
  view.setUint32(12, footer.volume, true)
  view.setUint32(16, footer.group, true)
  view.setUint32(20, footer.id, true)
  view.setUint32(24, footer.kind === 'image' ? 1 : 0, true)
  view.setUint32(28, footer.blockBytes, true)
  writeU64(view, 32, footer.lo)
  writeU64(view, 40, footer.hi)
  view.setUint32(48, footer.groups, true)
  view.setUint32(52, footer.trims, true)
  writeU64(view, 56, footer.indexOffset)
  view.setUint32(64, footer.indexBytes, true)
  view.setUint32(68, footer.indexCrc, true)
  view.setFloat64(72, footer.wallMs?.min ?? Number.NaN, true)
  view.setFloat64(80, footer.wallMs?.max ?? Number.NaN, true)
  view.setUint32(88, footer.fromBlock, true)
  writeU64(view, 92, footer.toBlock)
  view.setUint32(124, crc32(bytes.subarray(0, 124)), true)
  return bytes
}

/** @throws VolumeError `Corrupt` when it is not a whole footer, `UnsupportedFormat` when it is too new. */
export function decodeLayerFooter(bytes: Uint8Array): LayerFooter {
  const view = viewOf(bytes)
  if (!hasMagic(bytes, 0, FOOTER_MAGIC)) throw new VolumeError('Corrupt', 'no layer footer')
  if (view.getUint32(124, true) !== crc32(bytes.subarray(0, 124))) {
    throw new VolumeError('Corrupt', 'layer footer does not match its checksum')
  }
  checkFormat(view.getUint32(8, true))
  const min = view.getFloat64(72, true)
  return {
    volume: volumeId(view.getUint32(12, true)),
    group: groupIndex(view.getUint32(16, true)),
    id: view.getUint32(20, true),
    kind: view.getUint32(24, true) === 1 ? 'image' : 'delta',
    blockBytes: view.getUint32(28, true),
    lo: readU64(view, 32),
    hi: readU64(view, 40),
    groups: view.getUint32(48, true),
    trims: view.getUint32(52, true),
    indexOffset: readU64(view, 56),
    indexBytes: view.getUint32(64, true),
    indexCrc: view.getUint32(68, true),
    wallMs: Number.isNaN(min) ? undefined : { min, max: view.getFloat64(80, true) },
    fromBlock: view.getUint32(88, true),
    toBlock: readU64(view, 92),
  }
}

/** Flag of a group: it has an entry that needs nothing below it. */
export const GROUP_BASED = 1
/** Flag of a group: its last version is zeros. */
export const GROUP_ENDS_IN_ZEROS = 2

/** Bytes of the index of a layer; the columns are f64, u32, u32, u32, u8, u8 in this order. */
export const indexBytes = (groups: number, trims: number): number => groups * 22 + 4 + trims * RANGE_TRIM_BYTES

/** The index of a layer in memory: columns over its groups, in file order (by block, then LSN). */
export class LayerIndex {
  readonly groups: number
  /** LSN of the first entry. */
  readonly firstLsn: Float64Array
  readonly block: Uint32Array
  /** Place in the file; one more than groups, as the last is the end. */
  readonly offset: Uint32Array
  readonly crc: Uint32Array
  /** Deltas behind the last base of the group, or all of them where it has none. */
  readonly deltas: Uint8Array
  /** `GROUP_BASED`, `GROUP_ENDS_IN_ZEROS`. */
  readonly flags: Uint8Array
  readonly trims: TrimIndex
  /** Memory in use. */
  readonly bytes: number

  /** @param bytes the index area; kept when it starts at a multiple of 8 in its buffer, copied otherwise. */
  constructor(bytes: Uint8Array, groups: number, trims: number) {
    if (bytes.length !== indexBytes(groups, trims)) {
      throw new VolumeError('Corrupt', `index of ${bytes.length} bytes for ${groups} groups and ${trims} trims`)
    }
    const own = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice()
    let at = own.byteOffset
    const next = (length: number): number => {
      at += length
      return at - length
    }
    this.groups = groups
    this.firstLsn = new Float64Array(own.buffer, next(groups * 8), groups)
    this.block = new Uint32Array(own.buffer, next(groups * 4), groups)
    this.offset = new Uint32Array(own.buffer, next(groups * 4 + 4), groups + 1)
    this.crc = new Uint32Array(own.buffer, next(groups * 4), groups)
    this.deltas = new Uint8Array(own.buffer, next(groups), groups)
    this.flags = new Uint8Array(own.buffer, next(groups), groups)
    const view = viewOf(own)
    const start = at - own.byteOffset
    this.trims = new TrimIndex(
      Array.from({ length: trims }, (_, i) => readRangeTrim(view, start + i * RANGE_TRIM_BYTES)),
    )
    this.bytes = own.length + trims * 120 + 600
  }

  /** The first group of `block` or of a higher block; `groups` when there is none. */
  lowerBound(block: number): number {
    const blocks = this.block
    let low = 0
    let high = this.groups
    while (low < high) {
      const middle = (low + high) >>> 1
      if (blocks[middle]! < block) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The last group of `block`; -1 when it has none. */
  lastGroupOf(block: number): number {
    const g = this.lowerBound(block + 1) - 1
    return g >= 0 && this.block[g] === block ? g : -1
  }

  /** Bytes of the groups of the blocks [from, to). */
  bytesIn(from: number, to: number): number {
    return this.offset[this.lowerBound(to)]! - this.offset[this.lowerBound(from)]!
  }
}
