/** The records of a segment that are in no layer yet: a memtable that takes new ones, and one that waits to be written. */
import { VolumeError } from '../protocol/errors.ts'
import type { Lsn } from '../protocol/lsn.ts'
import { ZERO_LSN } from '../protocol/lsn.ts'
import type { RedoRecord } from '../protocol/record.ts'
import { Memtable } from './layers/memtable.ts'

export class SegmentMemory {
  #active = new Memtable()
  #frozen: Memtable | undefined

  get active(): Memtable {
    return this.#active
  }

  get frozen(): Memtable | undefined {
    return this.#frozen
  }

  /** Newest first. */
  get memtables(): Memtable[] {
    return this.#frozen === undefined ? [this.#active] : [this.#active, this.#frozen]
  }

  get bytes(): number {
    return this.#active.bytes + (this.#frozen?.bytes ?? 0)
  }

  /** Sets the memtable aside to be flushed, unless one waits already or there is nothing in it. */
  freeze(): void {
    if (this.#frozen !== undefined || this.#active.maxLsn === ZERO_LSN) return
    this.#active.freeze()
    this.#frozen = this.#active
    this.#active = new Memtable()
  }

  /** The frozen memtable is in layers. */
  flushed(): void {
    this.#frozen = undefined
  }

  /** Recovery annulled what is above. */
  dropAbove(end: Lsn): void {
    this.#active.dropAbove(end)
    this.#frozen?.dropAbove(end)
  }

  /** Starts anew with what `active` holds. */
  replace(active: Memtable = new Memtable()): void {
    this.#active = active
    this.#frozen = undefined
  }
}

/** A memtable of what the log holds; undefined when it has not got that, or cannot be read. */
export function memtableOf(records: Iterable<RedoRecord>): Memtable | undefined {
  const memtable = new Memtable()
  try {
    for (const record of records) memtable.insert(record)
  } catch (error) {
    if (error instanceof VolumeError && (error.code === 'Corrupt' || error.code === 'LogCollected')) return undefined
    throw error
  }
  return memtable
}
