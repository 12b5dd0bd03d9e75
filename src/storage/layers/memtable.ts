/**
 * The records of one segment that are chained (nothing missing before them) and not yet in a layer. Hot path: one
 * insertion per record received (figures in `README.md`).
 *
 * Entries lie encoded in a few large slabs, so that flushing copies them; one list per block, newest first, is kept in
 * typed arrays. No object per entry.
 */
import { invariant } from '../../protocol/errors.ts'
import { CONTROL_BLOCK, type Lsn, lsn } from '../../protocol/lsn.ts'
import { RecordKind, type RedoRecord, trimCount } from '../../protocol/record.ts'
import type { Chain } from './chain.ts'
import {
  ENTRY_HEAD_BYTES_MAX,
  entryKind,
  entryLength,
  entryLsn,
  entryVisibleFrom,
  FLAG_EXPANDED,
  isBase,
  writeEntry,
  writeImage,
} from './entry.ts'
import { newestTrim, type RangeTrim, TRIM_EXPANDED_MAX } from './range-trims.ts'

/** The most deltas that are applied to a base; the next one is followed by an image. */
export const DELTAS_MAX = 16

/** Range trims that a memtable holds before it asks to be flushed: each read looks through their list. */
export const RANGE_TRIMS_MAX = 1024

/** Slabs are 4 MiB, but for the first ones: a node has hundreds of segments, and most of them are idle. */
const SLAB_BITS = 22
const FIRST_SLABS = [1 << 16, 1 << 18, 1 << 20]
/** Memory of an entry's places in the arrays, and of a block's place in the map. */
const ENTRY_OVERHEAD_BYTES = 9
const BLOCK_OVERHEAD_BYTES = 40

const EMPTY = new Uint8Array(0)

interface Slab {
  readonly bytes: Uint8Array
  readonly view: DataView
}

export class Memtable {
  #state: 'active' | 'frozen' = 'active'
  readonly #slabs: Slab[] = []
  #slabUsed = 0
  /** By entry: slab << 22 | offset. */
  #place = new Uint32Array(256)
  /** By entry: 1 + the next older entry of its block, 0 when there is none. */
  #older = new Uint32Array(256)
  /** By entry: deltas since the last base of its block in here, itself included; 255 stands for more. */
  #run = new Uint8Array(256)
  #used = 0
  /** By block: 1 + its newest entry. */
  readonly #newest = new Map<number, number>()
  #trims: RangeTrim[] = []
  #coalesce: { block: number; entry: number }[] = []
  #coalesceFrom = 0
  #bytes = 0
  #entries = 0
  #minLsn = 0
  #maxLsn = 0

  /** Memory in use, in bytes. */
  get bytes(): number {
    return this.#bytes + this.#newest.size * BLOCK_OVERHEAD_BYTES
  }
  /** Versions held: records (a TRIM of few blocks once per block), and images. 0: nothing to flush. */
  get entries(): number {
    return this.#entries + this.#trims.length
  }
  get blocks(): number {
    return this.#newest.size
  }
  /** LSN of the first and of the last record inserted; 0 when there is none. */
  get minLsn(): Lsn {
    return lsn(this.#minLsn)
  }
  get maxLsn(): Lsn {
    return lsn(this.#maxLsn)
  }
  /** It should be flushed whatever its bytes: it has more range trims than reads should look through. */
  get full(): boolean {
    return this.#trims.length > RANGE_TRIMS_MAX
  }
  /** In LSN order. */
  get rangeTrims(): readonly RangeTrim[] {
    return this.#trims
  }
  /** Blocks whose deltas wait to be folded into an image: see `coalesceOne`. */
  get coalesceQueue(): number {
    return this.#coalesce.length - this.#coalesceFrom
  }
  get state(): 'active' | 'frozen' {
    return this.#state
  }
  /** No more insertions of records; images may still be added. */
  freeze(): void {
    this.#state = 'frozen'
  }

  /** Takes a record; its payload is copied. Records come in LSN order. */
  insert(record: RedoRecord): void {
    invariant(this.#state === 'active', 'insertion into a frozen memtable')
    invariant(record.lsn > this.#maxLsn, () => `record ${record.lsn} inserted after ${this.#maxLsn}`)
    if (record.kind === RecordKind.TRIM) this.#insertTrim(record)
    else this.#append(record.block, record, record.flags, record.payload)
    if (this.#minLsn === 0) this.#minLsn = record.lsn
    this.#maxLsn = record.lsn
  }

  #insertTrim(record: RedoRecord): void {
    const end = Math.min(record.block + trimCount(record.payload), CONTROL_BLOCK)
    if (end - record.block > TRIM_EXPANDED_MAX) {
      const { lsn, toCpl, volumeEpoch, prevVolume, prevGroup } = record
      this.#trims.push({ first: record.block, end, lsn, toCpl, volumeEpoch, prevVolume, prevGroup })
      this.#bytes += 100
      return
    }
    for (let block = record.block; block < end; block++) {
      if (block === record.block) this.#append(block, record, record.flags, record.payload)
      else this.#append(block, record, record.flags | FLAG_EXPANDED, EMPTY)
    }
  }

  #append(block: number, record: RedoRecord, flags: number, payload: Uint8Array): void {
    const place = this.#room(ENTRY_HEAD_BYTES_MAX + payload.length)
    const slab = this.#slabs[this.#slabs.length - 1]!
    this.#slabUsed = writeEntry(slab.bytes, slab.view, this.#slabUsed, record, flags, payload)
    const older = this.#newest.get(block) ?? 0
    const entry = this.#number(place, older)
    if (record.kind === RecordKind.DELTA) {
      const run = older === 0 ? 1 : Math.min(this.#run[older - 1]! + 1, 255)
      this.#run[entry] = run
      if (run === DELTAS_MAX) this.#coalesce.push({ block, entry })
    } else {
      this.#run[entry] = 0
    }
    this.#newest.set(block, entry + 1)
  }

  /** Makes room for an entry at the end of the last slab; answers its place. */
  #room(bytes: number): number {
    const last = this.#slabs[this.#slabs.length - 1]
    if (last === undefined || this.#slabUsed + bytes > last.bytes.length) {
      invariant(this.#slabs.length < 1 << (32 - SLAB_BITS), 'memtable of more than 4 GiB')
      const size = Math.max(FIRST_SLABS[this.#slabs.length] ?? 1 << SLAB_BITS, bytes)
      const slab = new Uint8Array(size)
      this.#slabs.push({ bytes: slab, view: new DataView(slab.buffer) })
      this.#slabUsed = 0
    }
    return (((this.#slabs.length - 1) << SLAB_BITS) | this.#slabUsed) >>> 0
  }

  /** Gives the entry that was just written a number. */
  #number(place: number, older: number): number {
    if (this.#used === this.#place.length) {
      const grow = <T extends Uint32Array | Uint8Array>(from: T, to: T): T => {
        to.set(from)
        return to
      }
      this.#place = grow(this.#place, new Uint32Array(this.#used * 2))
      this.#older = grow(this.#older, new Uint32Array(this.#used * 2))
      this.#run = grow(this.#run, new Uint8Array(this.#used * 2))
    }
    const entry = this.#used++
    this.#place[entry] = place
    this.#older[entry] = older
    this.#entries++
    this.#bytes += this.#lengthOf(entry) + ENTRY_OVERHEAD_BYTES
    return entry
  }

  #slabOf(entry: number): Slab {
    return this.#slabs[this.#place[entry]! >>> SLAB_BITS]!
  }
  #offsetOf(entry: number): number {
    return this.#place[entry]! & ((1 << SLAB_BITS) - 1)
  }
  #lengthOf(entry: number): number {
    return entryLength(this.#slabOf(entry).view, this.#offsetOf(entry))
  }
  #lsnOf(entry: number): number {
    return entryLsn(this.#slabOf(entry).view, this.#offsetOf(entry))
  }

  /**
   * Gathers the entries of a block that are visible at `bound`, newest first, down to a base.
   * @param byLsn `bound` is the highest LSN to be gathered; otherwise it is a read point.
   */
  collect(block: number, bound: number, byLsn: boolean, chain: Chain): void {
    const trim = this.#trims.length === 0 ? 0 : newestTrim(this.#trims, block, bound, byLsn)
    for (let next = this.#newest.get(block) ?? 0; next !== 0; next = this.#older[next - 1]!) {
      const place = this.#place[next - 1]!
      const { bytes, view } = this.#slabs[place >>> SLAB_BITS]!
      const at = place & ((1 << SLAB_BITS) - 1)
      if (trim !== 0 && entryLsn(view, at) <= trim) break
      if ((byLsn ? entryLsn(view, at) : entryVisibleFrom(view, at)) > bound) continue
      const kind = entryKind(view, at)
      if (kind === RecordKind.TRIM) {
        chain.endInZeros(entryLsn(view, at))
        return
      }
      chain.push(bytes, view, at)
      if (isBase(kind)) {
        chain.based = true
        return
      }
    }
    if (trim !== 0) chain.endInZeros(trim)
  }

  /** Gathers all entries of a block, newest first, past any base. Range trims are not among them. */
  all(block: number, chain: Chain): void {
    for (let next = this.#newest.get(block) ?? 0; next !== 0; next = this.#older[next - 1]!) {
      const slab = this.#slabOf(next - 1)
      chain.push(slab.bytes, slab.view, this.#offsetOf(next - 1))
    }
  }

  /** The numbers of all blocks that have entries (`CONTROL_BLOCK` among them), in no order. */
  blockNumbers(): Iterable<number> {
    return this.#newest.keys()
  }

  /** The next block of the coalesce queue, and the LSN of its sixteenth delta; the block stays in the queue. */
  nextToCoalesce(): { readonly block: number; readonly lsn: Lsn } | undefined {
    const next = this.#coalesce[this.#coalesceFrom]
    return next && { block: next.block, lsn: lsn(this.#lsnOf(next.entry)) }
  }

  /** Takes the next block off the queue: what its deltas apply to cannot be read now. A flush makes up for it. */
  passOver(): void {
    this.#takeFromQueue()
  }

  #takeFromQueue(): { readonly block: number; readonly entry: number } {
    const next = this.#coalesce[this.#coalesceFrom]
    invariant(next !== undefined, 'no block waits for an image')
    this.#coalesceFrom++
    if (this.#coalesceFrom > 1024 && this.#coalesceFrom * 2 > this.#coalesce.length) {
      this.#coalesce.splice(0, this.#coalesceFrom)
      this.#coalesceFrom = 0
    }
    return next
  }

  /** Takes the next block off the queue and puts an image with `content` behind its sixteenth delta. */
  insertImage(content: Uint8Array): void {
    const { block, entry } = this.#takeFromQueue()
    const place = this.#room(ENTRY_HEAD_BYTES_MAX + content.length)
    const under = this.#slabOf(entry)
    const version = entryLsn(under.view, this.#offsetOf(entry))
    const toCpl = entryVisibleFrom(under.view, this.#offsetOf(entry)) - version
    const slab = this.#slabs[this.#slabs.length - 1]!
    this.#slabUsed = writeImage(slab.bytes, slab.view, this.#slabUsed, lsn(version), toCpl, content)
    const image = this.#number(place, entry + 1)
    this.#run[image] = 0
    const above: number[] = []
    for (let e = this.#newest.get(block)! - 1; e !== entry; e = this.#older[e]! - 1) above.push(e)
    if (above.length === 0) this.#newest.set(block, image + 1)
    else this.#older[above[above.length - 1]!] = image + 1
    for (let i = above.length - 1, run = 0; i >= 0; i--) {
      if (this.#run[above[i]!] === 0) break
      run++
      this.#run[above[i]!] = Math.min(run, 255)
      if (run === DELTAS_MAX) this.#coalesce.push({ block, entry: above[i]! })
    }
  }

  /** Forgets all that is above `last`: recovery annulled it. */
  dropAbove(last: Lsn): void {
    if (this.#maxLsn <= last) return
    this.#trims = this.#trims.filter((t) => t.lsn <= last)
    let highest = this.#trims.reduce((max, t) => Math.max(max, t.lsn), 0)
    for (const [block, newest] of this.#newest) {
      let next = newest
      while (next !== 0 && this.#lsnOf(next - 1) > last) {
        this.#entries--
        this.#bytes -= this.#lengthOf(next - 1) + ENTRY_OVERHEAD_BYTES
        next = this.#older[next - 1]!
      }
      if (next === 0) this.#newest.delete(block)
      else {
        this.#newest.set(block, next)
        highest = Math.max(highest, this.#lsnOf(next - 1))
      }
    }
    this.#coalesce = this.#coalesce.slice(this.#coalesceFrom).filter((c) => this.#lsnOf(c.entry) <= last)
    this.#coalesceFrom = 0
    this.#maxLsn = highest
    if (highest === 0) this.#minLsn = 0
  }
}
