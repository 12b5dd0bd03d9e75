/**
 * A segment's block store beside a model of it: every version of every block, kept for ever. Random decisions come from
 * a number that the test hands in, so that a failing case is its numbers.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { diff } from '../../../protocol/delta.ts'
import { CONTROL_BLOCK, groupIndex, type Lsn, lsn, volumeId } from '../../../protocol/lsn.ts'
import { pack } from '../../../protocol/packing.ts'
import {
  controlPayload,
  decodeRecord,
  encodeRecord,
  FLAG_PACKED,
  FLAG_SPARSE,
  RecordKind,
  type RedoRecord,
  recordBytes,
  trimPayload,
} from '../../../protocol/record.ts'
import { coalesceOne } from '../coalesce.ts'
import { flush } from '../flush.ts'
import { LayerCache } from '../layer-cache.ts'
import type { LayerEdit, LayerManifest } from '../layer-ref.ts'
import { LayerSet, type LayerSetSetting } from '../layer-set.ts'
import { Memtable } from '../memtable.ts'
import { type ParentRead, readBlock } from '../read-block.ts'
import { MemoryDisk } from './memory-disk.ts'

/** A sequence of numbers from a seed (mulberry32). */
export class Dice {
  #state: number
  constructor(seed: number) {
    this.#state = seed >>> 0
  }
  /** A whole number in [0, n). */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % n
  }
}

interface Version {
  readonly lsn: number
  readonly visibleFrom: number
  /** undefined: zeros, by a trim. */
  readonly bytes: Uint8Array | undefined
}

interface Change {
  readonly block: number
  readonly lsn: number
  readonly bytes: Uint8Array | undefined
}

interface Part {
  readonly kind: RecordKind
  readonly flags: number
  readonly block: number
  readonly payload: Uint8Array
  readonly prev: number
}

export const BLOCKS = 700
export const HOT_BLOCKS = 24
const NEVER: Version = { lsn: 0, visibleFrom: 0, bytes: undefined }

export interface WorkloadSetting {
  readonly blockBytes?: number
  readonly layerBytes?: number
  /** All LSNs are above it. */
  readonly base?: Lsn
  readonly parentRead?: ParentRead
  readonly cache?: LayerCache
  /** Whether a writer packs changes. @defaultValue those of every other block */
  readonly packs?: boolean
}

export class Workload {
  readonly disk = new MemoryDisk()
  readonly blockBytes: number
  readonly setting: LayerSetSetting
  readonly parentRead: ParentRead | undefined
  readonly base: number
  readonly #packs: boolean
  layers: LayerSet
  active = new Memtable()
  frozen: Memtable | undefined
  manifest: string
  /** By block, oldest first. */
  readonly model = new Map<number, Version[]>()
  readonly controls: { lsn: number; wallMs: number }[] = []
  head: number
  /** Every LSN at which a record ended; any of them is a read point. */
  readonly points: number[] = []
  wallMs = 1_000_000

  constructor(setting: WorkloadSetting = {}) {
    this.blockBytes = setting.blockBytes ?? 128
    this.base = setting.base ?? 0
    this.#packs = setting.packs ?? true
    this.head = this.base
    this.parentRead = setting.parentRead
    this.setting = {
      disk: this.disk,
      folder: 'segment',
      volume: volumeId(7),
      group: groupIndex(3),
      blockBytes: this.blockBytes,
      layerBytes: setting.layerBytes ?? 4096,
      cache: setting.cache ?? new LayerCache({ bytesMax: 20_000, filesMax: 8 }),
    }
    this.layers = LayerSet.fromManifest(LayerSet.emptyManifest(), this.setting)
    this.manifest = JSON.stringify(this.layers.toManifest())
  }

  get memtables(): Memtable[] {
    return this.frozen === undefined ? [this.active] : [this.active, this.frozen]
  }

  install(edit: LayerEdit): void {
    this.layers.install(edit, () => {
      this.manifest = JSON.stringify(this.layers.toManifest())
    })
  }

  #last(block: number): Version {
    const own = this.model.get(block)?.at(-1)
    if (own !== undefined) return own
    const parent = this.parentRead?.(block, lsn(Number.MAX_SAFE_INTEGER))
    return parent === undefined ? NEVER : { ...parent, visibleFrom: parent.lsn }
  }

  /** Flags and payload of a change as a writer sends it. */
  #formOf(block: number, flags: number, payload: Uint8Array): { flags: number; payload: Uint8Array } {
    const into = new Uint8Array(payload.length)
    const length = this.#packs && block % 2 === 0 ? pack(payload, into) : -1
    return length < 0 ? { flags, payload } : { flags: flags | FLAG_PACKED, payload: into.subarray(0, length) }
  }

  /** One mini-transaction of a few records. */
  write(dice: Dice): void {
    const parts: Part[] = []
    const now = new Map<number, Uint8Array | undefined>()
    const lastLsn = new Map<number, number>()
    const ends: number[] = []
    let end = this.head
    const add = (kind: RecordKind, flags: number, block: number, payload: Uint8Array): void => {
      const prev = kind === RecordKind.DELTA ? (lastLsn.get(block) ?? this.#last(block).lsn) : 0
      const isContent = kind === RecordKind.FULL || kind === RecordKind.DELTA
      const form = isContent ? this.#formOf(block, flags, payload) : { flags, payload }
      parts.push({ kind, block, prev, ...form })
      end += recordBytes(form.payload.length)
      ends.push(end)
    }
    const versions: Change[] = []
    const note = (block: number, bytes: Uint8Array | undefined): void => {
      now.set(block, bytes)
      lastLsn.set(block, end)
      versions.push({ block, lsn: end, bytes })
    }
    for (let i = 1 + dice.below(4); i > 0; i--) {
      const block = dice.below(4) === 0 ? dice.below(BLOCKS) : dice.below(HOT_BLOCKS)
      const before = now.has(block) ? now.get(block) : this.#last(block).bytes
      const what = dice.below(100)
      if (what < 4) {
        const count = dice.below(3) === 0 ? 129 + dice.below(300) : 1 + dice.below(20)
        const clipped = Math.min(count, BLOCKS - block)
        add(RecordKind.TRIM, 0, block, trimPayload(clipped))
        for (let b = block; b < block + clipped; b++) note(b, undefined)
        continue
      }
      if (what < 7) {
        this.wallMs += dice.below(1000)
        add(RecordKind.CONTROL, 0, CONTROL_BLOCK, controlPayload(this.wallMs))
        this.controls.push({ lsn: end, wallMs: this.wallMs })
        continue
      }
      const next = before?.slice() ?? new Uint8Array(this.blockBytes)
      const at = dice.below(this.blockBytes)
      next.fill(1 + dice.below(255), at, at + 1 + dice.below(what < 15 ? this.blockBytes : 24))
      const out = new Uint8Array(this.blockBytes * 2)
      if (what < 15) add(RecordKind.FULL, 0, block, next)
      else if (what < 20)
        add(RecordKind.FULL, FLAG_SPARSE, block, out.slice(0, diff(new Uint8Array(this.blockBytes), next, out)))
      else add(RecordKind.DELTA, 0, block, out.slice(0, diff(before ?? new Uint8Array(this.blockBytes), next, out)))
      note(block, next)
    }
    this.#commit(parts, ends, versions)
  }

  /** One mini-transaction of one FULL record, whose block is filled with `value`. */
  full(block: number, value: number): void {
    const bytes = new Uint8Array(this.blockBytes).fill(value)
    const form = this.#formOf(block, 0, bytes)
    const end = this.head + recordBytes(form.payload.length)
    this.#commit([{ kind: RecordKind.FULL, block, prev: 0, ...form }], [end], [{ block, lsn: end, bytes }])
  }

  /** One mini-transaction of one DELTA record that changes one byte. */
  delta(block: number, at: number): void {
    const last = this.#last(block)
    const next = last.bytes?.slice() ?? new Uint8Array(this.blockBytes)
    next[at] = (next[at]! + 1) & 0xff
    const out = new Uint8Array(this.blockBytes * 2)
    const payload = out.slice(0, diff(last.bytes ?? new Uint8Array(this.blockBytes), next, out))
    const end = this.head + recordBytes(payload.length)
    const part = { kind: RecordKind.DELTA, flags: 0, block, payload, prev: last.lsn }
    this.#commit([part], [end], [{ block, lsn: end, bytes: next }])
  }

  /** One mini-transaction of one CONTROL record. */
  control(wallMs: number): void {
    const payload = controlPayload(wallMs)
    const end = this.head + recordBytes(payload.length)
    this.controls.push({ lsn: end, wallMs })
    this.#commit([{ kind: RecordKind.CONTROL, flags: 0, block: CONTROL_BLOCK, payload, prev: 0 }], [end], [])
  }

  /** One mini-transaction of one TRIM record. */
  trim(block: number, count: number): void {
    const end = this.head + recordBytes(4)
    const versions = Array.from({ length: count }, (_, i) => ({ block: block + i, lsn: end, bytes: undefined }))
    this.#commit([{ kind: RecordKind.TRIM, flags: 0, block, payload: trimPayload(count), prev: 0 }], [end], versions)
  }

  #commit(parts: readonly Part[], ends: readonly number[], versions: readonly Change[]): void {
    const end = ends.at(-1)!
    let prevVolume = this.points.at(-1) ?? this.base
    for (const [i, part] of parts.entries()) {
      const own = ends[i]!
      const bytes = new Uint8Array(recordBytes(part.payload.length))
      const view = new DataView(bytes.buffer)
      const head = {
        kind: part.kind,
        flags: part.flags,
        group: groupIndex(3),
        block: part.block,
        volumeEpoch: 5,
        lsn: lsn(own),
        toCpl: end - own,
        prevVolume: lsn(prevVolume),
        prevGroup: lsn(prevVolume),
        prevBlock: lsn(part.prev),
      }
      encodeRecord(bytes, view, 0, head, part.payload)
      this.active.insert(decodeRecord(bytes, view, 0) as RedoRecord)
      this.points.push(own)
      prevVolume = own
    }
    for (const v of versions) {
      const list = this.model.get(v.block) ?? []
      list.push({ lsn: v.lsn, visibleFrom: end, bytes: v.bytes })
      this.model.set(v.block, list)
    }
    this.head = end
  }

  coalesce(): void {
    const source = { memtables: this.memtables, layers: this.layers, parentRead: this.parentRead }
    for (const memtable of this.memtables) while (coalesceOne(memtable, source) > 0);
  }

  /** Runs a job to its end, or for so many steps. Answers its edit, undefined when it was ended before. */
  static run<T>(job: Generator<unknown, T>, steps = Number.POSITIVE_INFINITY): T | undefined {
    for (let i = 0; i < steps; i++) {
      const { done, value } = job.next()
      if (done) return value
    }
    job.return(undefined as T)
    return undefined
  }

  flush(): void {
    this.active.freeze()
    this.frozen = this.active
    this.active = new Memtable()
    const edit = Workload.run(flush({ memtable: this.frozen, layers: this.layers, parentRead: this.parentRead }))
    this.install(edit!)
    this.frozen = undefined
  }

  /** Only what was durable in layers is there afterwards: to be called when the memtable is empty. */
  restart(): void {
    equal(this.active.entries, 0)
    this.layers.close()
    this.layers = LayerSet.fromManifest(JSON.parse(this.manifest), this.setting)
    this.layers.removeStrayFiles()
  }

  at(block: number, readPoint: number): Version {
    const versions = this.model.get(block) ?? []
    const own = versions.findLast((v) => v.visibleFrom <= readPoint)
    if (own !== undefined) return own
    const parent = this.parentRead?.(block, lsn(readPoint))
    return parent === undefined ? NEVER : { ...parent, visibleFrom: parent.lsn }
  }

  read(block: number, readPoint: number) {
    return readBlock(block, lsn(readPoint), this.memtables, this.layers, this.parentRead)
  }

  /** Reads one block at one point and compares it with the model. */
  check(block: number, readPoint: number): void {
    const expected = this.at(block, readPoint)
    const found = this.read(block, readPoint)
    const place = `block ${block} at ${readPoint}`
    if (expected.bytes === undefined) {
      ok(found.bytes === undefined || found.bytes.every((b) => b === 0), `${place} should be zeros`)
      const collected = found.lsn === 0 && expected.lsn <= this.layers.collectedTo
      ok(collected || found.lsn === expected.lsn, `${place}: zeros of ${expected.lsn}, found ${found.lsn}`)
    } else {
      equal(found.lsn, expected.lsn, place)
      deepEqual(found.bytes && Buffer.from(found.bytes), Buffer.from(expected.bytes), place)
    }
    ok(found.deltas <= 16 * (1 + this.memtables.length), `${place}: ${found.deltas} deltas`)
    if (this.memtables.every((m) => m.entries === 0))
      ok(found.deltas <= 16, `${place}: ${found.deltas} deltas in layers`)
  }

  /** Checks a sample of blocks at the newest point and at `points`. */
  checkAll(points: readonly number[] = []): void {
    for (const point of [this.head, ...points]) {
      for (let block = 0; block < BLOCKS; block += block < HOT_BLOCKS ? 1 : 7) this.check(block, point)
    }
  }

  manifestNow(): LayerManifest {
    return JSON.parse(this.manifest)
  }
}
