/**
 * A table of records in blocks: inodes, extents or names. All its blocks are in memory. It grows at its end, by a block
 * at a time, in extents of its own; it never shrinks, as free records are used again.
 */
import type { BlockNumber } from '../protocol/lsn.ts'
import { ExtentMap } from './extent-map.ts'
import { CHUNK_BYTES } from './layout.ts'
import { type MetadataBlock, metadataBlock, type Transaction } from './transaction.ts'

export class MetadataTable {
  /** Stands for this table in extent records. */
  readonly number: number
  readonly blockBytes: number
  readonly extents = new ExtentMap()
  readonly blocks: MetadataBlock[] = []

  constructor(number: number, blockBytes: number) {
    this.number = number
    this.blockBytes = blockBytes
  }

  get #blocksPerChunk(): number {
    return CHUNK_BYTES / this.blockBytes
  }

  /** The chunk of the table that its next block lies in. */
  get nextChunk(): number {
    return Math.floor(this.blocks.length / this.#blocksPerChunk)
  }

  /** Where a block of the table lies; undefined when no extent holds it. */
  place(index: number): BlockNumber | undefined {
    const physical = this.extents.physical(Math.floor(index / this.#blocksPerChunk))
    if (physical === undefined) return undefined
    return (physical * this.#blocksPerChunk + (index % this.#blocksPerChunk)) as BlockNumber
  }

  /** One more block of zeros, where an extent holds it already. */
  grow(transaction: Transaction): void {
    const number = this.place(this.blocks.length)
    if (number === undefined) throw new RangeError(`table ${this.number} has no extent for its next block`)
    this.blocks.push(metadataBlock(number, new Uint8Array(this.blockBytes)))
    transaction.undoing(() => this.blocks.pop())
  }
}
