/** Blocks in memory: for tests, and for what is small and temporary. */
import { type BlockNumber, type Lsn, lsn } from '../protocol/lsn.ts'
import { checkChanges } from '../volume/change.ts'
import type { BlockDevice, Change } from './block-device.ts'

export class MemoryDevice implements BlockDevice {
  readonly blockBytes: number
  /** May be set at any time. */
  readOnly = false
  /** Blocks that are not zeros for certain. */
  readonly blocks: Map<BlockNumber, Uint8Array>
  #appended = 0

  constructor(blockBytes = 8192, blocks: ReadonlyMap<BlockNumber, Uint8Array> = new Map()) {
    this.blockBytes = blockBytes
    this.blocks = new Map(blocks)
  }

  read(block: BlockNumber): Uint8Array | Promise<Uint8Array> {
    const bytes = this.blocks.get(block)
    return bytes === undefined ? new Uint8Array(this.blockBytes) : new Uint8Array(bytes)
  }

  prepare(_changes: readonly Change[]): Promise<void> | undefined {
    return undefined
  }

  append(changes: readonly Change[]): Lsn {
    checkChanges(changes, this.blockBytes)
    for (const change of changes) {
      if ('trim' in change) this.#trim(change.trim, change.trim + change.count)
      // Another array: who has a copy of the map has the blocks as they were.
      else this.blocks.set(change.block, new Uint8Array(change.bytes))
    }
    return lsn(++this.#appended)
  }

  #trim(first: number, end: number): void {
    if (end - first < this.blocks.size) {
      for (let block = first; block < end; block++) this.blocks.delete(block as BlockNumber)
    } else {
      for (const block of this.blocks.keys()) if (block >= first && block < end) this.blocks.delete(block)
    }
  }

  sync(): Promise<Lsn> {
    return Promise.resolve(lsn(this.#appended))
  }
}
