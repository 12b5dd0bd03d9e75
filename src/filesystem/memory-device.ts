/** Blocks in memory: for tests, and for what is small and temporary. */
import { type BlockNumber, type Lsn, lsn } from '../protocol/lsn.ts'
import { checkChanges } from '../volume/change.ts'
import type { BlockDevice, Change } from './block-device.ts'

export class MemoryDevice implements BlockDevice {
  readonly blockBytes: number
  /** May be set at any time. */
  readOnly = false
  /** Blocks that are not zeros for certain; the arrays are written to. */
  readonly blocks: Map<BlockNumber, Uint8Array>
  #appended = 0

  /** @param blocks to begin with: they are copied */
  constructor(blockBytes = 8192, blocks: ReadonlyMap<BlockNumber, Uint8Array> = new Map()) {
    this.blockBytes = blockBytes
    this.blocks = new Map([...blocks].map(([block, bytes]) => [block, new Uint8Array(bytes)]))
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
      else this.#write(change.block, change.bytes)
    }
    return lsn(++this.#appended)
  }

  #write(block: BlockNumber, bytes: Uint8Array): void {
    const there = this.blocks.get(block)
    if (there === undefined) this.blocks.set(block, new Uint8Array(bytes))
    else there.set(bytes)
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
