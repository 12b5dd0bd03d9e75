/**
 * Blocks that an instance wrote for itself alone: slots of a scratch file, bounded, gone with it. Nothing here is
 * durable or shared.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { BlockNumber } from '../protocol/lsn.ts'
import type { DiskFile } from '../storage/disk.ts'

/** A trimmed block needs no slot. */
const ZEROS = -1

/** An entry of a saved index: block and slot, as floating point numbers: a block's number may need 34 bits. */
const ENTRY_BYTES = 16
/** Written and read at once. */
const SAVED_ENTRIES_MAX = 65_536

/** Where an index was saved in the scratch file: behind so many slots. */
export interface SavedIndex {
  readonly slots: number
  readonly entries: number
}

export class OverlayStore {
  readonly #file: DiskFile
  readonly #blockBytes: number
  readonly #slotsMax: number
  readonly #slots = new Map<BlockNumber, number>()
  readonly #free: number[] = []
  #used = 0

  /** @param bytesMax how large the scratch file may become */
  constructor(file: DiskFile, blockBytes: number, bytesMax: number) {
    this.#file = file
    this.#blockBytes = blockBytes
    this.#slotsMax = Math.floor(bytesMax / blockBytes)
  }

  /** Bytes of blocks held. */
  get bytes(): number {
    return (this.#used - this.#free.length) * this.#blockBytes
  }

  /** Whether writing the block takes room: it was never written here, or is held as zeros. */
  takesRoom(block: BlockNumber): boolean {
    return (this.#slots.get(block) ?? ZEROS) === ZEROS
  }

  /** Undefined for a block that was never written here. The caller owns the answer. */
  read(block: BlockNumber): Uint8Array | undefined {
    const slot = this.#slots.get(block)
    if (slot === undefined) return undefined
    if (slot === ZEROS) return new Uint8Array(this.#blockBytes)
    return this.#file.read(slot * this.#blockBytes, this.#blockBytes)
  }

  /** How many more blocks can be held. */
  get room(): number {
    return this.#slotsMax - this.#used + this.#free.length
  }

  /** @throws VolumeError `DiskFull` when the overlay is as large as it may be, or the scratch disk is full */
  write(block: BlockNumber, bytes: Uint8Array): void {
    const present = this.#slots.get(block)
    const isTaken = present === undefined || present === ZEROS
    const slot = isTaken ? this.#take() : present
    try {
      this.#file.write(slot * this.#blockBytes, bytes)
    } catch (error) {
      if (isTaken) this.#free.push(slot)
      throw error
    }
    this.#slots.set(block, slot)
  }

  #take(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    if (this.#used >= this.#slotsMax) {
      throw new VolumeError('DiskFull', `the overlay holds ${this.#slotsMax} blocks already`)
    }
    return this.#used++
  }

  /** The block is zeros from now on. */
  trim(block: BlockNumber): void {
    this.forget(block)
    this.#slots.set(block, ZEROS)
  }

  /** The block shows what is below again, and its room is free. */
  forget(block: BlockNumber): void {
    const slot = this.#slots.get(block)
    if (slot === undefined) return
    this.#slots.delete(block)
    if (slot !== ZEROS) this.#free.push(slot)
  }

  blocks(): Iterable<BlockNumber> {
    return this.#slots.keys()
  }

  /** Writes what is where into the scratch file, for who goes on with that file. Nothing may be written to this one any more. */
  save(): SavedIndex {
    const entries = [...this.#slots]
    for (let at = 0; at < entries.length; at += SAVED_ENTRIES_MAX) {
      const piece = new Float64Array(entries.slice(at, at + SAVED_ENTRIES_MAX).flat())
      this.#file.write(this.#used * this.#blockBytes + at * ENTRY_BYTES, new Uint8Array(piece.buffer))
    }
    return { slots: this.#used, entries: entries.length }
  }

  /** Goes on with the blocks of a store that was saved. To an empty one only. */
  load({ slots, entries }: SavedIndex): void {
    const isUsed = new Uint8Array(slots)
    for (let at = 0; at < entries; at += SAVED_ENTRIES_MAX) {
      const count = Math.min(SAVED_ENTRIES_MAX, entries - at)
      const bytes = this.#file.read(slots * this.#blockBytes + at * ENTRY_BYTES, count * ENTRY_BYTES)
      const piece = new Float64Array(bytes.buffer, bytes.byteOffset, 2 * count)
      for (let i = 0; i < piece.length; i += 2) {
        const slot = piece[i + 1] as number
        this.#slots.set(piece[i] as BlockNumber, slot)
        if (slot !== ZEROS) isUsed[slot] = 1
      }
    }
    // The index itself is written over last: whoever goes on after us, before anything was written, finds it again.
    this.#used = Math.min(slots + Math.ceil((entries * ENTRY_BYTES) / this.#blockBytes), this.#slotsMax)
    for (let slot = this.#used - 1; slot >= 0; slot--) if (isUsed[slot] !== 1) this.#free.push(slot)
    this.#free.sort((a, b) => Number(a < slots) - Number(b < slots) || b - a)
  }
}
