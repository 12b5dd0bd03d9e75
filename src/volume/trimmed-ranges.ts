/**
 * Blocks that were trimmed and whose trim is not durable yet: no storage node can be asked for them, and the cache
 * holds no zeros.
 */
import type { Lsn } from '../protocol/lsn.ts'

interface Range {
  readonly first: number
  readonly end: number
  readonly lsn: Lsn
}

export class TrimmedRanges {
  #ranges: Range[] = []

  add(first: number, end: number, lsn: Lsn): void {
    this.#ranges.push({ first, end, lsn })
  }

  /** Blocks written since are in the cache, which is asked first. */
  has(block: number): boolean {
    return this.#ranges.some((range) => block >= range.first && block < range.end)
  }

  durable(vdl: Lsn): void {
    if (this.#ranges.length > 0) this.#ranges = this.#ranges.filter((range) => range.lsn > vdl)
  }
}
