/**
 * Reads one layer file. Hot path: `collect` is called for each layer that may hold the block of a read; one that does
 * not hold it costs a search in the index.
 *
 * Bytes that do not match both of their checksums are never served: every such finding is `Corrupt`, and names the
 * layer, the block and the place in the file.
 */
import { crc32 } from 'node:zlib'
import { VolumeError } from '../../protocol/errors.ts'
import { RecordKind } from '../../protocol/record.ts'
import type { Disk, DiskFile } from '../disk.ts'
import type { Chain } from './chain.ts'
import { entryKind, entryLength, entryLsn, entryVisibleFrom, isBase } from './entry.ts'
import type { Cached, LayerCache } from './layer-cache.ts'
import { LayerDamage } from './layer-damage.ts'
import {
  checkLayerHeader,
  decodeLayerFooter,
  GROUP_BASED,
  GROUP_HEADER_BYTES,
  LAYER_FOOTER_BYTES,
  LAYER_HEADER_BYTES,
  LayerIndex,
  type SegmentIdentity,
} from './layer-file.ts'

/** Places of the entries of the group at hand; reads do not overlap. */
const places: number[] = []

export class LayerReader implements Cached {
  touched = true
  readonly id: number
  readonly path: string
  readonly #disk: Disk
  readonly #segment: SegmentIdentity
  readonly #indexCrc: number
  readonly #cache: LayerCache
  #open: { readonly file: DiskFile; readonly index: LayerIndex } | undefined

  /**
   * Opens nothing: file and index are loaded at the first use, and again after the cache closed them.
   * @param indexCrc what the reference to the layer says.
   */
  constructor(
    disk: Disk,
    path: string,
    segment: SegmentIdentity,
    ref: { readonly id: number; readonly indexCrc: number },
    cache: LayerCache,
  ) {
    this.id = ref.id
    this.path = path
    this.#disk = disk
    this.#segment = segment
    this.#indexCrc = ref.indexCrc
    this.#cache = cache
  }

  /** @throws LayerDamage when the index does not match its checksums, or is that of another layer. */
  get index(): LayerIndex {
    return this.#opened().index
  }

  close(): void {
    if (this.#open === undefined) return
    this.#open.file.close()
    this.#open = undefined
    this.#cache.closed(this)
  }

  #opened(): { readonly file: DiskFile; readonly index: LayerIndex } {
    this.touched = true
    if (this.#open !== undefined) return this.#open
    let file: DiskFile
    try {
      file = this.#disk.open(this.path)
    } catch (cause) {
      if (cause instanceof VolumeError && cause.code === 'NotFound') throw this.#damage('file is missing', cause)
      throw cause
    }
    try {
      this.#open = { file, index: this.#load(file) }
    } catch (cause) {
      file.close()
      if (cause instanceof VolumeError && cause.code === 'Corrupt') throw this.#damage(cause.message, cause)
      throw cause
    }
    this.#cache.opened(this, this.#open.index.bytes)
    return this.#open
  }

  #load(file: DiskFile): LayerIndex {
    const size = file.size()
    checkLayerHeader(file.read(0, LAYER_HEADER_BYTES), this.#segment, this.id)
    const footer = decodeLayerFooter(file.read(Math.max(0, size - LAYER_FOOTER_BYTES), LAYER_FOOTER_BYTES))
    const { volume, group, id } = footer
    if (volume !== this.#segment.volume || group !== this.#segment.group || id !== this.id) {
      throw new VolumeError('Corrupt', 'footer of another layer')
    }
    if (footer.indexOffset + footer.indexBytes + LAYER_FOOTER_BYTES !== size) {
      throw new VolumeError('Corrupt', `file of ${size} bytes, which is not what its footer says`)
    }
    const bytes = file.read(footer.indexOffset, footer.indexBytes)
    if (crc32(bytes) !== footer.indexCrc || footer.indexCrc !== this.#indexCrc) {
      throw new VolumeError('Corrupt', 'index does not match its checksum')
    }
    return new LayerIndex(bytes, footer.groups, footer.trims)
  }

  /** @param g the group that is damaged; undefined: index or file */
  #damage(what: string, cause?: unknown, g?: number): LayerDamage {
    const index = this.#open?.index
    const isGroup = g !== undefined && index !== undefined
    const place = isGroup ? { layer: this.id, block: index.block[g]! } : { layer: this.id }
    const where = isGroup ? `block ${index.block[g]}, offset ${index.offset[g]}: ` : ''
    return new LayerDamage(place, `layer ${this.id} (${this.path}): ${where}${what}`, { cause })
  }

  /** @throws LayerDamage when the group g, which `bytes` are, does not match both of its checksums. */
  check(g: number, bytes: Uint8Array): void {
    const { index } = this.#opened()
    const expected = index.crc[g]!
    const crc = crc32(bytes.subarray(4))
    const beside = (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0
    if (crc === expected && beside === expected) return
    const what = `data do not match ${crc === beside ? 'the checksum in the index' : 'their checksum'}`
    throw this.#damage(what, undefined, g)
  }

  /**
   * Bytes of the groups [from, to), which follow each other in the file; not checked.
   * @throws LayerDamage for the first group that the disk cannot read
   */
  readGroups(from: number, to: number): Uint8Array {
    const { file, index } = this.#opened()
    const start = index.offset[from]!
    try {
      return file.read(start, index.offset[to]! - start)
    } catch (cause) {
      if (!(cause instanceof VolumeError) || cause.code !== 'Corrupt') throw cause
      if (to > from + 1) for (let g = from; g < to; g++) this.readGroups(g, g + 1)
      throw this.#damage(cause.message, cause, from)
    }
  }

  /** The bytes of one group, checked. @throws LayerDamage */
  readGroup(g: number): Uint8Array {
    const bytes = this.readGroups(g, g + 1)
    this.check(g, bytes)
    return bytes
  }

  /**
   * Gathers the entries of a block that are visible at `bound`, newest first, down to a base.
   * @param byLsn `bound` is the highest LSN to be gathered; otherwise it is a read point.
   */
  collect(block: number, bound: number, byLsn: boolean, chain: Chain): void {
    const { index } = this.#opened()
    const trim = index.trims.length === 0 ? 0 : index.trims.newest(block, bound, byLsn)
    let g = index.lastGroupOf(block)
    let read = false
    while (g >= 0 && index.block[g] === block && index.firstLsn[g]! > bound) g--
    for (; g >= 0 && index.block[g] === block; g--) {
      // A whole group below the trim: the next group begins with a base, so that only the last one need be looked at.
      const bytes = this.readGroup(g)
      read = true
      this.#gather(bytes, bound, byLsn, trim, chain)
      if (chain.based) break
    }
    if (read) chain.layers++
    if (trim !== 0 && !chain.based) chain.endInZeros(trim)
  }

  #gather(bytes: Uint8Array, bound: number, byLsn: boolean, trim: number, chain: Chain): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    let count = 0
    let based = false
    let zeroLsn = 0
    for (let at = GROUP_HEADER_BYTES; at < bytes.length; at += entryLength(view, at)) {
      const own = entryLsn(view, at)
      if ((byLsn ? own : entryVisibleFrom(view, at)) > bound) break
      if (own < trim) continue
      const kind = entryKind(view, at)
      if (isBase(kind)) {
        count = 0
        based = true
        zeroLsn = kind === RecordKind.TRIM ? own : 0
        if (zeroLsn !== 0) continue
      }
      places[count++] = at
    }
    while (count > 0) chain.push(bytes, view, places[--count]!)
    if (!based) return
    chain.based = true
    chain.zeroLsn = zeroLsn
    chain.baseOwned = true
  }

  /**
   * Deltas of the block on top of the last base that is known from the index alone, and whether there is one here.
   * At least as many as a read at the newest point applies.
   */
  depth(block: number): { readonly deltas: number; readonly based: boolean } {
    const { index } = this.#opened()
    const g = index.lastGroupOf(block)
    if (g < 0) return { deltas: 0, based: false }
    return { deltas: index.deltas[g]!, based: (index.flags[g]! & GROUP_BASED) !== 0 }
  }
}
