/** A device in memory that is slow in every way that a volume can be: for tests of what happens meanwhile. */
import type { BlockNumber } from '../protocol/lsn.ts'
import type { Change } from './block-device.ts'
import { MemoryDevice } from './memory-device.ts'

export class WaitingDevice extends MemoryDevice {
  /** Answers whether the next read, or append, has to wait. */
  isSlow: (what: 'read' | 'append') => boolean = () => false
  readonly #waiting: (() => void)[] = []

  get waiting(): number {
    return this.#waiting.length
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Lets the waiting call go on that came at `index`. */
  release(index = 0): void {
    for (const resolve of this.#waiting.splice(index, 1)) resolve()
  }

  override read(block: BlockNumber): Uint8Array | Promise<Uint8Array> {
    if (!this.isSlow('read')) return super.read(block)
    return this.#wait().then(() => super.read(block))
  }

  override prepare(changes: readonly Change[]): Promise<void> | undefined {
    return changes.length > 0 && this.isSlow('append') ? this.#wait() : undefined
  }
}
