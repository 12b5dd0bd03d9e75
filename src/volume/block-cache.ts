/**
 * The writer's last version of the blocks it wrote or read: what deltas are made against. Hot path.
 *
 * Bounded; a block that was not used since it was last looked at goes first (second chance), but never one whose last
 * record is not durable yet, as no storage node could answer it (SIGMOD 2017, section 4.2.3: the only copy of a change is
 * not evicted). A hand goes round an array of slots: finding the oldest key of a large `Map`, or moving a hot one to its
 * end, steps over all that was taken out since it was last laid out anew (measured: 48 us with 20,000 blocks). Blocks lie
 * in slabs, so that a large cache is a few hundred objects to the garbage collector and not a million.
 */
import { type BlockNumber, type Lsn, ZERO_LSN } from '../protocol/lsn.ts'

export interface CachedBlock {
  readonly bytes: Uint8Array
  /** LSN of the version held. */
  readonly lsn: Lsn
}

interface Slot {
  readonly bytes: Uint8Array
  /** Undefined: it is free. */
  block: BlockNumber | undefined
  lsn: Lsn
  /** Since eviction last came by. */
  used: boolean
}

const SLAB_BYTES = 1024 * 1024

/** A bound for one insertion; the next one goes on behind what this one passed over. */
const EVICTION_LOOKS_MAX = 64

export class BlockCache {
  readonly #blockBytes: number
  readonly #blocksMax: number
  readonly #blocks = new Map<BlockNumber, Slot>()
  readonly #slots: Slot[] = []
  readonly #free: Slot[] = []
  /** The slot that eviction looks at next. */
  #hand = 0

  /** @param bytesMax how much to hold; more is held only while it is not durable */
  constructor(blockBytes: number, bytesMax: number) {
    this.#blockBytes = blockBytes
    this.#blocksMax = Math.max(1, Math.floor(bytesMax / blockBytes))
  }

  get bytes(): number {
    return this.#slots.length * this.#blockBytes
  }

  get(block: BlockNumber): CachedBlock | undefined {
    const slot = this.#blocks.get(block)
    if (slot !== undefined) slot.used = true
    return slot
  }

  /** Holds a copy of `bytes`. Blocks at or below `vdl` make room for it. */
  put(block: BlockNumber, bytes: Uint8Array, lsn: Lsn, vdl: Lsn): void {
    let slot = this.#blocks.get(block)
    if (slot !== undefined) slot.used = true
    else {
      if (this.#blocks.size >= this.#blocksMax) this.#evict(vdl)
      if (this.#free.length === 0) this.#addSlots()
      slot = this.#free.pop() as Slot
      slot.block = block
      slot.used = false
      this.#blocks.set(block, slot)
    }
    slot.bytes.set(bytes)
    slot.lsn = lsn
  }

  /** Forgets blocks that were trimmed: the caller remembers that they are zeros until that is durable. */
  dropRange(first: number, end: number): void {
    if (end - first < this.#blocks.size) {
      for (let block = first; block < end; block++) this.#drop(this.#blocks.get(block as BlockNumber))
    } else {
      for (const [block, slot] of this.#blocks) if (block >= first && block < end) this.#drop(slot)
    }
  }

  #drop(slot: Slot | undefined): void {
    if (slot?.block === undefined) return
    this.#blocks.delete(slot.block)
    slot.block = undefined
    this.#free.push(slot)
  }

  /** Makes room for one block, and for what an earlier shortage had let through. */
  #evict(vdl: Lsn): void {
    for (let looks = 0; looks < EVICTION_LOOKS_MAX && this.#blocks.size >= this.#blocksMax; looks++) {
      const slot = this.#slots[this.#hand] as Slot
      this.#hand = (this.#hand + 1) % this.#slots.length
      if (slot.lsn <= vdl && !slot.used) this.#drop(slot)
      else slot.used = false
    }
  }

  /** As many as one slab holds; they are taken in the order in which the hand comes by. */
  #addSlots(): void {
    const blockBytes = this.#blockBytes
    const count = Math.max(1, Math.min(Math.floor(SLAB_BYTES / blockBytes), this.#blocksMax))
    const slab = new Uint8Array(count * blockBytes)
    const added = Array.from({ length: count }, (_, i): Slot => {
      const bytes = slab.subarray(i * blockBytes, (i + 1) * blockBytes)
      return { bytes, block: undefined, lsn: ZERO_LSN, used: false }
    })
    this.#slots.push(...added)
    this.#free.push(...added.reverse())
  }
}
