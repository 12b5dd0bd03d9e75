/**
 * Blocks that an instance wrote for itself alone: slots of a scratch file, bounded, gone with it. Nothing here is
 * durable or shared.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { BlockNumber } from '../protocol/lsn.ts'
import type { DiskFile } from '../storage/disk.ts'

/** A trimmed block needs no slot. */
const ZEROS = -1

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
    const slot = present === undefined || present === ZEROS ? this.#take() : present
    this.#file.write(slot * this.#blockBytes, bytes)
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
}
