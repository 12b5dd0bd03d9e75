/**
 * The layers of one segment: which file is looked at for which block, and how that changes.
 *
 * Of the layers that hold a block, every two have LSN ranges that do not overlap, so that newest to oldest is one
 * order. Block ranges are cut at the ends of all layers into slices; each slice has its stack of layers.
 */
import { invariant } from '../../protocol/errors.ts'
import type { Disk } from '../disk.ts'
import type { Chain } from './chain.ts'
import type { LayerCache } from './layer-cache.ts'
import { LayerDamage } from './layer-damage.ts'
import { BLOCK_END, type SegmentIdentity } from './layer-file.ts'
import { LayerReader } from './layer-reader.ts'
import {
  EMPTY_LAYER_MANIFEST,
  type LayerEdit,
  type LayerManifest,
  type LayerRef,
  parseLayerManifest,
} from './layer-ref.ts'
import { LAYER_FILE_PREFIX } from './layer-writer.ts'

export interface LayerSetSetting extends SegmentIdentity {
  readonly disk: Disk
  /** Where the files lie; other files may lie there too, but none whose name begins with `layer-`. */
  readonly folder: string
  /** Bytes of data in one file; 64 MiB unless it is given. A merge works file by file and needs little more room. */
  readonly layerBytes?: number | undefined
  /** Shared by the segments of a node. */
  readonly cache: LayerCache
}

/** Blocks [from, to) and the layers that hold them, newest first. */
export interface LayerSlice {
  readonly from: number
  readonly to: number
  readonly stack: readonly LayerRef[]
}

/** References with blocks [from, to) of one layer taken away; what is left of it gets its share of the bytes. */
function hide(refs: readonly LayerRef[], id: number, from: number, to: number, bytesIn: BytesIn): LayerRef[] {
  return refs.flatMap((ref) => {
    if (ref.id !== id || ref.fromBlock >= to || ref.toBlock <= from) return [ref]
    const part = (fromBlock: number, toBlock: number): LayerRef[] => {
      if (fromBlock >= toBlock) return []
      const bytes = bytesIn(ref, fromBlock, toBlock)
      const share = ref.bytes === 0 ? 0 : bytes / ref.bytes
      const pinned = ref.pinned.map(([at, n]) => [at, Math.round(n * share)] as const)
      const liveBytes = Math.round(ref.liveBytes * share)
      return [{ ...ref, fromBlock, toBlock, bytes, zeros: Math.round(ref.zeros * share), liveBytes, pinned }]
    }
    return [...part(ref.fromBlock, from), ...part(to, ref.toBlock)]
  })
}

type BytesIn = (ref: LayerRef, from: number, to: number) => number

export class LayerSet {
  readonly setting: LayerSetSetting
  #json: LayerManifest
  #nextId: number
  /** Newest first. */
  #refs: readonly LayerRef[] = []
  readonly #readers = new Map<number, LayerReader>()
  /** Start of each slice; its stack is #stack[#stackFrom[s]] up to #stackFrom[s + 1], places in #refs. */
  #sliceFrom = new Float64Array(1)
  #stackFrom = new Uint32Array(2)
  #stack = new Uint32Array(0)
  #stackReaders: LayerReader[] = []
  #version = 0

  private constructor(manifest: LayerManifest, setting: LayerSetSetting) {
    this.setting = setting
    this.#json = manifest
    this.#nextId = manifest.nextId
    this.#arrange()
  }

  /**
   * Opens the set that a manifest tells of; reads no file.
   * @throws VolumeError `Corrupt`, `UnsupportedFormat` when it is not what `toManifest` made.
   */
  static fromManifest(manifest: unknown, setting: LayerSetSetting): LayerSet {
    return new LayerSet(parseLayerManifest(manifest), setting)
  }

  static emptyManifest(): LayerManifest {
    return EMPTY_LAYER_MANIFEST
  }

  toManifest(): LayerManifest {
    return { ...this.#json, nextId: this.#nextId }
  }

  /** Newest first. */
  get refs(): readonly LayerRef[] {
    return this.#refs
  }
  /** Changes with every `install`. */
  get version(): number {
    return this.#version
  }
  /** All records up to here are in layers. */
  get flushedTo(): number {
    return this.#json.flushedTo
  }
  /** Cutoff of the newest garbage collection: trims up to here may be gone. */
  get collectedTo(): number {
    return this.#json.collectedTo
  }
  /** Bytes of the files, hidden parts included. */
  get fileBytes(): number {
    const files = new Map(this.#refs.map((ref) => [ref.id, ref.fileBytes]))
    return files.values().reduce((sum, bytes) => sum + bytes, 0)
  }
  /** The most layers that one block has. */
  get stackMax(): number {
    let most = 0
    for (let s = 0; s + 1 < this.#stackFrom.length; s++) {
      most = Math.max(most, this.#stackFrom[s + 1]! - this.#stackFrom[s]!)
    }
    return most
  }

  /** A number for a new layer. Files of layers that were never installed are removed by `removeStray`. */
  takeId(): number {
    return this.#nextId++
  }

  reader(ref: LayerRef): LayerReader {
    let reader = this.#readers.get(ref.id)
    if (reader === undefined) {
      const { disk, folder, cache } = this.setting
      reader = new LayerReader(disk, `${folder}/${ref.file}`, this.setting, ref, cache)
      this.#readers.set(ref.id, reader)
    }
    return reader
  }

  /** Bytes of the groups of the blocks [from, to) that are visible in `ref`; loads the index where that needs it. */
  bytesIn(ref: LayerRef, from: number, to: number): number {
    if (from <= ref.fromBlock && to >= ref.toBlock) return ref.bytes
    if (ref.bytes === 0) return 0
    return this.reader(ref).index.bytesIn(Math.max(from, ref.fromBlock), Math.min(to, ref.toBlock))
  }

  /** As `bytesIn`; of a layer whose index is damaged, so that parts of it are hidden one by one, all of its bytes. */
  #bytesLeft(ref: LayerRef, from: number, to: number): number {
    try {
      return this.bytesIn(ref, from, to)
    } catch (error) {
      if (!(error instanceof LayerDamage)) throw error
      return ref.bytes
    }
  }

  /**
   * Applies an edit. Reads see it, then `persist` makes it durable, then files that nothing refers to any more are
   * removed.
   * @param persist writes `toManifest()` to stable storage. When it throws, the edit is taken back.
   */
  install(edit: LayerEdit, persist: () => void): void {
    let refs: readonly LayerRef[] = this.#refs
    for (const { id, fromBlock, toBlock } of edit.hide) {
      refs = hide(refs, id, fromBlock, toBlock, (ref, from, to) => this.#bytesLeft(ref, from, to))
    }
    const before = this.#json
    this.#json = {
      version: 1,
      nextId: this.#nextId,
      flushedTo: Math.max(this.flushedTo, edit.flushedTo ?? 0),
      collectedTo: Math.max(this.collectedTo, edit.collectedTo ?? 0),
      refs: [...refs, ...edit.add],
    }
    try {
      this.#arrange()
      persist()
    } catch (cause) {
      this.#json = before
      this.#arrange()
      throw cause
    }
    this.#removeUnreferenced(before.refs)
  }

  #removeUnreferenced(before: readonly LayerRef[]): void {
    const kept = new Set(this.#refs.map((ref) => ref.id))
    const { disk, folder } = this.setting
    let removed = false
    for (const ref of before) {
      if (kept.has(ref.id)) continue
      kept.add(ref.id)
      this.#readers.get(ref.id)?.close()
      this.#readers.delete(ref.id)
      disk.remove(`${folder}/${ref.file}`)
      removed = true
    }
    if (removed) disk.syncFolder(folder)
  }

  /**
   * Takes the layers of a copy in place of all own ones; the caller persists, then calls `removeStrayFiles`. The
   * copied files may have any names that begin with `layer-` and are not in use: the references carry them.
   * Jobs that were begun before must be ended (`return()`) first.
   * @throws VolumeError `Corrupt`, `UnsupportedFormat` as `fromManifest`.
   */
  replace(manifest: unknown): void {
    const parsed = parseLayerManifest(manifest)
    this.close()
    this.#readers.clear()
    this.#json = parsed
    this.#nextId = Math.max(this.#nextId, parsed.nextId)
    this.#arrange()
  }

  /** Removes layer files that no reference names: rests of jobs that were cut off. Not while a job is running. */
  removeStrayFiles(): void {
    const { disk, folder } = this.setting
    const kept = new Set(this.#refs.map((ref) => ref.file))
    for (const name of disk.list(folder)) {
      if (name.startsWith(LAYER_FILE_PREFIX) && !kept.has(name)) disk.remove(`${folder}/${name}`)
    }
  }

  /** Closes files and forgets indexes; they are opened again when they are needed. */
  close(): void {
    for (const reader of this.#readers.values()) reader.close()
  }

  /** Sorts the references and cuts the blocks into slices. */
  #arrange(): void {
    this.#refs = this.#json.refs.toSorted((a, b) => b.hi - a.hi || a.fromBlock - b.fromBlock)
    const edges = new Set([0])
    for (const ref of this.#refs) edges.add(ref.fromBlock).add(ref.toBlock)
    edges.delete(BLOCK_END)
    const sliceFrom = Float64Array.from(edges).sort()
    const count = new Uint32Array(sliceFrom.length + 1)
    const slices = (ref: LayerRef): [number, number] => [
      lowerBound(sliceFrom, ref.fromBlock),
      lowerBound(sliceFrom, ref.toBlock),
    ]
    for (const ref of this.#refs) {
      const [from, to] = slices(ref)
      for (let s = from; s < to; s++) count[s + 1]!++
    }
    for (let s = 1; s < count.length; s++) count[s]! += count[s - 1]!
    const filled = count.slice()
    const stack = new Uint32Array(count[count.length - 1]!)
    for (const [i, ref] of this.#refs.entries()) {
      const [from, to] = slices(ref)
      for (let s = from; s < to; s++) {
        const at = filled[s]!++
        stack[at] = i
        if (at > count[s]!) {
          const newer = this.#refs[stack[at - 1]!]!
          invariant(newer.lo >= ref.hi, () => `layers ${newer.id} and ${ref.id} overlap at block ${sliceFrom[s]}`)
        }
      }
    }
    this.#sliceFrom = sliceFrom
    this.#stackFrom = count
    this.#stack = stack
    this.#stackReaders = this.#refs.map((ref) => this.reader(ref))
    this.#version++
  }

  #sliceOf(block: number): number {
    const starts = this.#sliceFrom
    let low = 0
    let high = starts.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (starts[middle]! <= block) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** The layers that hold a block, newest first. */
  stackOf(block: number): LayerRef[] {
    const s = this.#sliceOf(block)
    return Array.from(this.#stack.subarray(this.#stackFrom[s], this.#stackFrom[s + 1]), (i) => this.#refs[i]!)
  }

  /** All slices, by block. */
  slices(): LayerSlice[] {
    return Array.from(this.#sliceFrom, (from, s) => ({
      from,
      to: this.#sliceFrom[s + 1] ?? BLOCK_END,
      stack: Array.from(this.#stack.subarray(this.#stackFrom[s], this.#stackFrom[s + 1]), (i) => this.#refs[i]!),
    }))
  }

  /** Gathers entries of a block, newest layer first, down to a base. As `Memtable.collect`. */
  collect(block: number, bound: number, byLsn: boolean, chain: Chain): void {
    const s = this.#sliceOf(block)
    for (let at = this.#stackFrom[s]!; at < this.#stackFrom[s + 1]!; at++) {
      const i = this.#stack[at]!
      if (this.#refs[i]!.lo >= bound) continue
      this.#stackReaders[i]!.collect(block, bound, byLsn, chain)
      if (chain.based) return
    }
  }

  /** Deltas on top of the last base of a block, from the indexes alone; never fewer than a read applies. */
  depth(block: number): number {
    const s = this.#sliceOf(block)
    let deltas = 0
    for (let at = this.#stackFrom[s]!; at < this.#stackFrom[s + 1]!; at++) {
      const depth = this.#stackReaders[this.#stack[at]!]!.depth(block)
      deltas += depth.deltas
      if (depth.based) break
    }
    return deltas
  }
}

/** The first place in a sorted column that is not below `value`. */
function lowerBound(column: Float64Array, value: number): number {
  let low = 0
  let high = column.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (column[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}
