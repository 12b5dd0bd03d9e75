/**
 * Giving back what files had. What is freed is trimmed in the mini-transaction that frees it, and no mini-transaction
 * frees more than a bound: a large file without a name is an orphan until the last of its steps, which frees its
 * number. A crash in between leaves an orphan, which is removed when the file system is attached.
 */
import { TRANSACTION_BYTES_MAX } from '../volume/change.ts'
import type { Eventual } from './block-device.ts'
import { untilDone } from './eventual.ts'
import { GROWTH_CHUNKS_MAX } from './extent-table.ts'
import type { Inode } from './inode.ts'
import { CHUNK_BYTES } from './layout.ts'
import type { Metadata } from './metadata.ts'
import type { Transaction } from './transaction.ts'
import { inLine } from './waiting-line.ts'

/** Chunks that one step frees: a local overlay notes every trimmed block of them. 1 GiB. */
export const STEP_CHUNKS_MAX = GROWTH_CHUNKS_MAX

/** Extents that one step frees or makes: each may cost a trim and a block of the extent table. */
export const stepExtentsMax = (blockBytes: number): number => Math.floor(TRANSACTION_BYTES_MAX / blockBytes / 2) - 16

export class FileRemoval {
  readonly #metadata: Metadata
  readonly #extentsMax: number

  constructor(metadata: Metadata) {
    this.#metadata = metadata
    this.#extentsMax = stepExtentsMax(metadata.blockBytes)
  }

  /** From which chunk on the end of a file can be freed in one step, not below `keep`. */
  #stepFrom(inode: Inode, keep: number): number {
    const { extents } = inode
    let from = Number.POSITIVE_INFINITY
    let room = STEP_CHUNKS_MAX
    for (let i = extents.length - 1; i >= Math.max(0, extents.length - this.#extentsMax); i--) {
      const { logical, count } = extents.at(i) ?? { logical: 0, count: 0 }
      const end = logical + count
      if (end <= keep) return keep
      const first = Math.max(logical, keep, end - room)
      room -= end - first
      from = first
      if (first > logical) return first
    }
    return extents.length <= this.#extentsMax ? keep : from
  }

  /** Whether all from `keep` on can be freed in one step. */
  fitsStep(inode: Inode, keep: number): boolean {
    return this.#stepFrom(inode, keep) <= keep
  }

  /** Up to which chunk a step from `from` on may go, not behind `to`. */
  stepTo(inode: Inode, from: number, to: number): number {
    const { extents } = inode
    let room = STEP_CHUNKS_MAX
    const start = extents.indexFrom(from)
    for (let i = start; i < extents.length; i++) {
      const { logical, count } = extents.at(i) ?? { logical: 0, count: 0 }
      const first = Math.max(logical, from)
      if (first >= to) return to
      if (i - start === this.#extentsMax) return first
      if (Math.min(logical + count, to) - first > room) return first + room
      room -= logical + count - first
    }
    return to
  }

  /** Makes the chunks [from, to) of a file a hole, and what they held zeros. The size is still the old one. */
  drop(transaction: Transaction, inode: Inode, from: number, to: number): void {
    const { extents, blocksPerChunk, blockBytes } = this.#metadata
    const endBlock = Math.ceil(inode.size / blockBytes)
    extents.free(transaction, inode, from, to, (logical, physical, count) => {
      const blocks = Math.min(count * blocksPerChunk, endBlock - logical * blocksPerChunk)
      transaction.trim(physical * blocksPerChunk, blocks)
    })
  }

  /** Cuts as much from the end as fits into a step, the file becoming shorter, but not below `keep` chunks. */
  shorten(transaction: Transaction, inode: Inode, keep: number): void {
    const from = this.#stepFrom(inode, keep)
    this.drop(transaction, inode, from, Number.POSITIVE_INFINITY)
    this.#metadata.inodes.change(transaction, inode)
    inode.size = Math.min(inode.size, from * CHUNK_BYTES)
    transaction.keeping(() => {
      inode.version++
    })
  }

  /**
   * Takes a name from a file. Without any, it is removed when nobody has it open, in the same step when it is small.
   * @returns whether `reap` has to go on with it
   */
  unlink(transaction: Transaction, inode: Inode): boolean {
    const { inodes } = this.#metadata
    inodes.change(transaction, inode)
    inode.links -= inode.isDirectory ? inode.links : 1
    inode.ctime = this.#metadata.now()
    if (inode.links > 0 || inode.opens > 0 || inode.tail !== undefined) return inode.links === 0
    if (!this.fitsStep(inode, 0)) return true
    this.#remove(transaction, inode)
    return false
  }

  #remove(transaction: Transaction, inode: Inode): void {
    this.drop(transaction, inode, 0, Number.POSITIVE_INFINITY)
    if (inode.target !== undefined) this.#metadata.names.remove(transaction, inode.target.at)
    this.#metadata.inodes.free(transaction, inode)
    transaction.keeping(() => {
      inode.version++
    })
  }

  /** Removes an orphan that nobody has open, step by step. */
  reap(inode: Inode): Eventual<void> {
    return inLine(inode, () =>
      untilDone(() => {
        if (inode.isFreed || inode.links > 0 || inode.opens > 0) return true
        return this.#metadata.change((transaction) => {
          const isLast = this.fitsStep(inode, 0)
          if (isLast) this.#remove(transaction, inode)
          else this.shorten(transaction, inode, 0)
          return isLast
        })
      }),
    )
  }
}
