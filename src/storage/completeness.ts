/**
 * Up to which read point a segment can serve: every durable record of its group at or below is there.
 *
 * SCL alone does not tell: a group that nothing was written to lately is complete far above its SCL. The writer
 * announces a durable point and the group's last record at or below it; when the chain has reached that record, the
 * segment is complete up to that point. Without a writer gossip proves the same (`gossip.ts`).
 */
import { type Lsn, maxLsn, ZERO_LSN } from '../protocol/lsn.ts'

export class Completeness {
  #to: Lsn
  /** The newest announcement: at durable point `vdl` the group's last record is `lsn`. */
  #point: { readonly vdl: Lsn; readonly lsn: Lsn }

  constructor(to: Lsn, lsn: Lsn) {
    this.#to = to
    this.#point = { vdl: to, lsn }
  }

  get to(): Lsn {
    return this.#to
  }

  /** The last record of the group that is known to be durable. */
  get point(): Lsn {
    return this.#point.lsn
  }

  /** @param scl where the segment's chain ends */
  announced(vdl: Lsn, lsn: Lsn, scl: Lsn): void {
    if (vdl < this.#point.vdl) return
    this.reached(scl)
    this.#point = { vdl, lsn: maxLsn(lsn, this.#point.lsn) }
    this.reached(scl)
  }

  /** Up to `vdl` nothing was added to the group since the last announcement. */
  unchanged(vdl: Lsn, scl: Lsn): void {
    this.announced(vdl, this.#point.lsn, scl)
  }

  reached(scl: Lsn): void {
    if (scl >= this.#point.lsn) this.#to = maxLsn(this.#to, this.#point.vdl)
  }

  /** A read quorum of members holds nothing durable at or below `vdl` that is not here. */
  proved(vdl: Lsn): void {
    this.#to = maxLsn(this.#to, vdl)
  }

  /** What was announced is of an epoch that has ended, and may be above what remains of it. */
  forgetPoint(): void {
    this.#point = { vdl: this.#to, lsn: ZERO_LSN }
  }

  /** Nothing is sure any more. */
  lost(): void {
    this.#to = ZERO_LSN
    this.#point = { vdl: ZERO_LSN, lsn: ZERO_LSN }
  }
}
