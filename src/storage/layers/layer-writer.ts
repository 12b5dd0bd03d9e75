/**
 * Writes one layer file. Hot path of flush and merge: entries are copied into one buffer, which is written in slices
 * of at most about 256 KiB, so that a generator can let others run in between.
 *
 * The file has a temporary name until it is whole and on stable storage.
 */
import { crc32 } from 'node:zlib'
import { invariant } from '../../protocol/errors.ts'
import { lsn } from '../../protocol/lsn.ts'
import { controlWallClockMs, RecordKind } from '../../protocol/record.ts'
import type { Disk, DiskFile } from '../disk.ts'
import {
  applyEntry,
  copyAsImage,
  ENTRY_HEAD_BYTES_MAX,
  entryKind,
  entryLength,
  entryLsn,
  entryPayloadStart,
  entryVisibleFrom,
  IMAGE,
  isBase,
  writeImage,
} from './entry.ts'
import {
  BLOCK_END,
  encodeLayerFooter,
  encodeLayerHeader,
  GROUP_BASED,
  GROUP_ENDS_IN_ZEROS,
  GROUP_HEADER_BYTES,
  indexBytes,
  LAYER_FOOTER_BYTES,
  LAYER_HEADER_BYTES,
  type LayerKind,
  type SegmentIdentity,
} from './layer-file.ts'
import type { LayerRef } from './layer-ref.ts'
import { clipTrims, RANGE_TRIM_BYTES, type RangeTrim, writeRangeTrim } from './range-trims.ts'

/** Bytes of data in one layer file where nothing else is set: a merge, which works file by file, needs little room. */
export const LAYER_TARGET_BYTES = 64 << 20
/** The most bytes of one write: about a millisecond on the disks that were measured. */
export const SLICE_BYTES = 256 << 10
/**
 * A group with this many bytes is followed by another one of the same block: it is what a read takes from disk. Twice
 * a block where that is more, so that an image is not followed at once by the next one.
 */
export const GROUP_BYTES = 32 << 10
/** Bytes between syncs, so that the last one, which nothing else can run beside, does not have a whole file to write. */
const SYNC_BYTES = 4 << 20

/** Names of files that are not whole: those found at start are rests of a crash. */
export const LAYER_TEMPORARY = '.tmp'
export const LAYER_FILE_PREFIX = 'layer-'
export const layerFileName = (id: number): string => `${LAYER_FILE_PREFIX}${String(id).padStart(8, '0')}`

export interface LayerHead {
  readonly id: number
  readonly kind: LayerKind
  readonly level: number
  readonly lo: number
  readonly hi: number
}

/** A full node of a fleet writes thousands of these columns; they grow by doubling. */
class Columns {
  groups = 0
  zeros = 0
  firstLsn = new Float64Array(256)
  block = new Uint32Array(256)
  offset = new Uint32Array(256)
  crc = new Uint32Array(256)
  deltas = new Uint8Array(256)
  flags = new Uint8Array(256)

  push(block: number, firstLsn: number, offset: number, crc: number, deltas: number, flags: number): void {
    const g = this.groups++
    if (g === this.block.length) this.#grow()
    this.block[g] = block
    this.firstLsn[g] = firstLsn
    this.offset[g] = offset
    this.crc[g] = crc
    this.deltas[g] = deltas
    this.flags[g] = flags
    if (flags & GROUP_ENDS_IN_ZEROS) this.zeros++
  }

  #grow(): void {
    const size = this.block.length * 2
    const wide = (from: Uint32Array): Uint32Array<ArrayBuffer> => {
      const to = new Uint32Array(size)
      to.set(from)
      return to
    }
    const narrow = (from: Uint8Array): Uint8Array<ArrayBuffer> => {
      const to = new Uint8Array(size)
      to.set(from)
      return to
    }
    const first = new Float64Array(size)
    first.set(this.firstLsn)
    this.firstLsn = first
    this.block = wide(this.block)
    this.offset = wide(this.offset)
    this.crc = wide(this.crc)
    this.deltas = narrow(this.deltas)
    this.flags = narrow(this.flags)
  }

  /** The index area of the file, without the range trims. */
  encode(into: Uint8Array, end: number): number {
    const n = this.groups
    let at = 0
    for (const column of [this.firstLsn.subarray(0, n), this.block.subarray(0, n), this.offset.subarray(0, n)]) {
      into.set(new Uint8Array(column.buffer, 0, column.byteLength), at)
      at += column.byteLength
    }
    new DataView(into.buffer, into.byteOffset).setUint32(at, end, true)
    at += 4
    into.set(new Uint8Array(this.crc.buffer, 0, n * 4), at)
    at += n * 4
    into.set(this.deltas.subarray(0, n), at)
    at += n
    into.set(this.flags.subarray(0, n), at)
    return at + n
  }
}

export class LayerWriter {
  readonly head: LayerHead
  /** Bytes written to the disk since the last call of `takeWritten`. */
  #written = 0
  readonly #disk: Disk
  readonly #folder: string
  readonly #segment: SegmentIdentity
  readonly #file: DiskFile
  readonly #groupBytes: number
  readonly #columns = new Columns()
  #state: 'open' | 'closed' | 'finished' | 'discarded' = 'open'
  #buffer = new Uint8Array(SLICE_BYTES)
  #view = new DataView(this.#buffer.buffer)
  /** Bytes in the buffer, and where in the file it starts. */
  #used = 0
  #base = 0
  #unsynced = 0
  #wallMin = Number.POSITIVE_INFINITY
  #wallMax = Number.NEGATIVE_INFINITY
  /** The open group: its block (-1: none), place in the buffer, first LSN, and what follows its last base. */
  #block = -1
  #start = 0
  #firstLsn = 0
  #deltas = 0
  #flags = 0
  #lastBase = -1

  /** Makes the file `folder/layer-<id>.tmp`. */
  constructor(disk: Disk, folder: string, segment: SegmentIdentity, head: LayerHead) {
    this.head = head
    this.#disk = disk
    this.#folder = folder
    this.#segment = segment
    this.#groupBytes = Math.max(GROUP_BYTES, 2 * segment.blockBytes)
    this.#file = disk.create(this.#path(LAYER_TEMPORARY))
    const header = encodeLayerHeader(segment, head.id)
    this.#buffer.set(header)
    this.#used = header.length
  }

  #path(suffix: string): string {
    return `${this.#folder}/${layerFileName(this.head.id)}${suffix}`
  }

  /** Bytes of the file so far, without its index. */
  get bytes(): number {
    return this.#base + this.#used
  }
  /** Groups, the open one included. */
  get groups(): number {
    return this.#columns.groups + (this.#block < 0 ? 0 : 1)
  }
  /** Bytes written to the disk since the last call. */
  takeWritten(): number {
    const written = this.#written
    this.#written = 0
    return written
  }

  /**
   * Copies an entry. Entries come by block, then LSN; those of one block one after another.
   * @returns the bytes it took.
   */
  append(block: number, bytes: Uint8Array, view: DataView, at: number): number {
    const length = entryLength(view, at)
    const kind = entryKind(view, at)
    if (block !== this.#block) {
      this.endBlock()
      this.#begin(block)
    } else if (this.#used - this.#start + length > this.#groupBytes) {
      if (isBase(kind) || kind === RecordKind.CONTROL) this.#next(block)
      else if (this.#flags & GROUP_BASED && this.#used - this.#start > this.#groupBytes) this.#splitByImage(block)
    }
    this.#room(length)
    this.#buffer.set(bytes.subarray(at, at + length), this.#used)
    this.#note(kind, entryLsn(view, at))
    if (kind === RecordKind.CONTROL) {
      const wallMs = controlWallClockMs(bytes.subarray(entryPayloadStart(view, at), at + length))
      this.#wallMin = Math.min(this.#wallMin, wallMs)
      this.#wallMax = Math.max(this.#wallMax, wallMs)
    }
    this.#used += length
    return length
  }

  /** Appends an image; `content` starts at a multiple of four bytes. @returns the bytes it took. */
  appendImage(block: number, version: number, toCpl: number, content: Uint8Array): number {
    this.#beginImage(block, ENTRY_HEAD_BYTES_MAX + content.length)
    return this.#endImage(version, writeImage(this.#buffer, this.#view, this.#used, lsn(version), toCpl, content))
  }

  #beginImage(block: number, room: number): void {
    if (block !== this.#block) {
      this.endBlock()
      this.#begin(block)
    } else if (this.#used - this.#start + room > this.#groupBytes) this.#next(block)
    this.#room(room)
  }

  #endImage(version: number, end: number): number {
    this.#note(IMAGE, version)
    const length = end - this.#used
    this.#used = end
    return length
  }

  /** Appends a FULL entry as the image that it is. @returns the bytes it took. */
  appendAsImage(block: number, bytes: Uint8Array, view: DataView, at: number): number {
    const room = entryLength(view, at) + ENTRY_HEAD_BYTES_MAX
    this.#beginImage(block, room)
    const end = copyAsImage(this.#buffer, this.#view, this.#used, bytes, view, at)
    return this.#endImage(entryLsn(view, at), end)
  }

  /** Copies a whole group as another layer has it: not one of control entries, whose wall clock must be noted. */
  appendGroup(block: number, bytes: Uint8Array, firstLsn: number, crc: number, deltas: number, flags: number): void {
    this.endBlock()
    this.#room(bytes.length)
    this.#columns.push(block, firstLsn, this.#base + this.#used, crc, deltas, flags)
    this.#buffer.set(bytes, this.#used)
    this.#used += bytes.length
    this.#drainWhenFull()
  }

  #begin(block: number): void {
    invariant(this.#state === 'open', 'layer is finished')
    this.#block = block
    this.#room(GROUP_HEADER_BYTES)
    this.#start = this.#used
    this.#used += GROUP_HEADER_BYTES
    this.#firstLsn = -1
    this.#deltas = 0
    this.#flags = 0
    this.#lastBase = -1
  }

  #next(block: number): void {
    this.endBlock()
    this.#begin(block)
  }

  /** Begins a group with the newest version so far: the open one is large, and the next entry is a delta. */
  #splitByImage(block: number): void {
    const content = new Uint8Array(this.#segment.blockBytes)
    let at = this.#lastBase
    let last = at
    for (; at < this.#used; at += entryLength(this.#view, at)) {
      applyEntry(this.#buffer, this.#view, at, content)
      last = at
    }
    const version = entryLsn(this.#view, last)
    const toCpl = entryVisibleFrom(this.#view, last) - version
    this.#next(block)
    this.appendImage(block, version, toCpl, content)
  }

  /** Notes the entry that is put at the end of the buffer. */
  #note(kind: number, at: number): void {
    if (this.#firstLsn < 0) this.#firstLsn = at
    if (kind === RecordKind.DELTA) this.#deltas++
    else if (kind !== RecordKind.CONTROL) {
      this.#deltas = 0
      this.#lastBase = this.#used
      this.#flags = kind === RecordKind.TRIM ? GROUP_BASED | GROUP_ENDS_IN_ZEROS : GROUP_BASED
    }
    if (kind === RecordKind.DELTA) this.#flags &= ~GROUP_ENDS_IN_ZEROS
  }

  /** Closes the open group. */
  endBlock(): void {
    if (this.#block < 0) return
    const { deltas, flags } = { deltas: Math.min(this.#deltas, 255), flags: this.#flags }
    this.#view.setUint32(this.#start + 4, this.#block, true)
    this.#view.setUint32(this.#start + 8, this.#used - this.#start, true)
    const crc = crc32(this.#buffer.subarray(this.#start + 4, this.#used))
    this.#view.setUint32(this.#start, crc, true)
    this.#columns.push(this.#block, this.#firstLsn, this.#base + this.#start, crc, deltas, flags)
    this.#block = -1
    this.#drainWhenFull()
  }

  #room(bytes: number): void {
    if (this.#used + bytes <= this.#buffer.length) return
    if (this.#block < 0 || this.#start > 0) this.#drain(this.#block < 0 ? this.#used : this.#start)
    if (this.#used + bytes <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(this.#buffer.length * 2, this.#used + bytes))
    grown.set(this.#buffer.subarray(0, this.#used))
    this.#buffer = grown
    this.#view = new DataView(grown.buffer)
  }

  #drainWhenFull(): void {
    if (this.#used >= SLICE_BYTES - GROUP_BYTES) this.#drain(this.#used)
  }

  /** Writes the first bytes of the buffer. */
  #drain(bytes: number): void {
    invariant(this.#base + bytes < BLOCK_END, 'layer file of more than 4 GiB')
    this.#write(this.#buffer.subarray(0, bytes))
    this.#buffer.copyWithin(0, bytes, this.#used)
    this.#used -= bytes
    this.#start -= bytes
    this.#lastBase -= bytes
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      const slice = bytes.subarray(at, at + SLICE_BYTES)
      this.#file.write(this.#base, slice)
      this.#base += slice.length
    }
    this.#written += bytes.length
    this.#unsynced += bytes.length
    if (this.#unsynced >= SYNC_BYTES) {
      this.#file.sync()
      this.#unsynced = 0
    }
  }

  /**
   * Writes index and footer, syncs, gives the file its name and syncs the folder. Yields between slices.
   * @param trims range trims in (lo, hi]; those outside of the blocks are left out.
   * @param fromBlock, toBlock the blocks that the layer stands for.
   */
  *finish(trims: readonly RangeTrim[], fromBlock: number, toBlock: number): Generator<void, LayerRef> {
    this.endBlock()
    this.#drain(this.#used)
    const end = this.#base
    const own = clipTrims(trims, fromBlock, toBlock)
    const index = new Uint8Array(indexBytes(this.#columns.groups, own.length))
    let at = this.#columns.encode(index, end)
    const view = new DataView(index.buffer)
    for (const trim of own) {
      writeRangeTrim(view, at, trim)
      at += RANGE_TRIM_BYTES
    }
    const indexCrc = crc32(index)
    for (let from = 0; from < index.length; from += SLICE_BYTES) {
      this.#write(index.subarray(from, from + SLICE_BYTES))
      yield
    }
    const hasWall = this.#wallMin <= this.#wallMax
    const footer = encodeLayerFooter({
      volume: this.#segment.volume,
      group: this.#segment.group,
      blockBytes: this.#segment.blockBytes,
      id: this.head.id,
      kind: this.head.kind,
      lo: this.head.lo,
      hi: this.head.hi,
      fromBlock,
      toBlock,
      groups: this.#columns.groups,
      trims: own.length,
      indexOffset: end,
      indexBytes: index.length,
      indexCrc,
      wallMs: hasWall ? { min: this.#wallMin, max: this.#wallMax } : undefined,
    })
    this.#write(footer)
    this.#file.sync()
    this.#file.close()
    this.#state = 'closed'
    this.#disk.rename(this.#path(LAYER_TEMPORARY), this.#path(''))
    this.#disk.syncFolder(this.#folder)
    this.#state = 'finished'
    return {
      id: this.head.id,
      file: layerFileName(this.head.id),
      kind: this.head.kind,
      level: this.head.level,
      lo: this.head.lo,
      hi: this.head.hi,
      fromBlock,
      toBlock,
      bytes: end - LAYER_HEADER_BYTES,
      fileBytes: end + index.length + LAYER_FOOTER_BYTES,
      indexCrc,
      trims: own.length,
      zeros: this.#columns.zeros,
      wallMs: hasWall ? [this.#wallMin, this.#wallMax] : null,
      collectedTo: 0,
      liveBytes: 0,
      pinned: [],
    }
  }

  /** Removes the file, whole or not: it is not wanted. */
  discard(): void {
    if (this.#state === 'discarded') return
    const suffix = this.#state === 'finished' ? '' : LAYER_TEMPORARY
    if (this.#state === 'open') this.#file.close()
    this.#state = 'discarded'
    this.#disk.remove(this.#path(suffix))
  }
}
