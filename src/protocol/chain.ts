/**
 * The chain of one segment: which records it has without a gap.
 *
 * Each record names the record before it in its protection group. SCL is the end of the unbroken chain; records that
 * came early wait for the one they follow (SIGMOD 2018, section 2.3).
 */
import { invariant } from './errors.ts'
import { type Lsn, maxLsn } from './lsn.ts'

export interface Linked {
  readonly lsn: Lsn
  readonly prevGroup: Lsn
}

export type Offer = 'chained' | 'waiting' | 'known'

export class Chain<T extends Linked> {
  #scl: Lsn
  /** The highest LSN seen, chained or not: above SCL there is a gap. */
  #highest: Lsn
  readonly #waiting = new Map<Lsn, T>()

  constructor(scl: Lsn) {
    this.#scl = scl
    this.#highest = scl
  }

  /** Segment complete LSN, inclusive. */
  get scl(): Lsn {
    return this.#scl
  }

  get highest(): Lsn {
    return this.#highest
  }

  get waiting(): number {
    return this.#waiting.size
  }

  waitingRecords(): Iterable<T> {
    return this.#waiting.values()
  }

  /** Whether a record is in the chain or waits for its place. */
  knows(record: Linked): boolean {
    return record.lsn <= this.#scl || this.#waiting.get(record.prevGroup)?.lsn === record.lsn
  }

  /**
   * Takes a record. `chain` is called for it, and for those that waited for it, in LSN order.
   * @throws VolumeError `Invariant` when two records claim the same place.
   */
  offer(record: T, chain: (record: T) => void): Offer {
    if (record.lsn <= this.#scl) return 'known'
    if (record.prevGroup !== this.#scl) {
      invariant(
        record.prevGroup > this.#scl,
        () => `record ${record.lsn} follows ${record.prevGroup}, inside the chain that ends at ${this.#scl}`,
      )
      const other = this.#waiting.get(record.prevGroup)
      if (other !== undefined) {
        invariant(
          other.lsn === record.lsn,
          () => `records ${other.lsn} and ${record.lsn} both follow ${record.prevGroup}`,
        )
        return 'known'
      }
      this.#waiting.set(record.prevGroup, record)
      this.#highest = maxLsn(this.#highest, record.lsn)
      return 'waiting'
    }
    for (let next: T | undefined = record; next !== undefined; next = this.#waiting.get(this.#scl)) {
      if (next !== record) this.#waiting.delete(next.prevGroup)
      this.#scl = next.lsn
      chain(next)
    }
    this.#highest = maxLsn(this.#highest, this.#scl)
    return 'chained'
  }

  /** Starts the chain again at `scl` (after truncation, or behind copied layers), keeping what waits and `keeps`. */
  restart(scl: Lsn, keeps: (record: T) => boolean, chain: (record: T) => void): void {
    const waiting = [...this.#waiting.values()].filter(keeps)
    this.#waiting.clear()
    this.#scl = scl
    this.#highest = scl
    for (const record of waiting.sort((a, b) => a.lsn - b.lsn)) {
      if (record.lsn > this.#scl && record.prevGroup >= this.#scl) this.offer(record, chain)
    }
  }
}
