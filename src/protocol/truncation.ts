/**
 * Ranges of LSNs that recoveries annulled. Durable and a list: one number is not enough, as a copy may return after
 * several recoveries and must know what each of them cut (SIGMOD 2018, section 2.4; Neon's term history).
 */
import { type Lsn, maxLsn } from './lsn.ts'

export interface Truncation {
  /** The volume epoch whose opening cut this range. */
  readonly epoch: number
  /** The range is (from, to]: `from` was the VDL, `to` at least any LSN ever given out. */
  readonly from: Lsn
  readonly to: Lsn
}

/** The first range that holds an LSN. */
export const coveredBy = (truncations: readonly Truncation[], at: Lsn): Truncation | undefined =>
  truncations.find((t) => at > t.from && at <= t.to)

export const isAnnulled = (truncations: readonly Truncation[], at: Lsn): boolean =>
  coveredBy(truncations, at) !== undefined

/** How far a log that ends at `at` is part of the volume. A later opening may have cut deeper than an earlier one. */
export function cutBack(truncations: readonly Truncation[], at: Lsn): Lsn {
  let end = at
  for (let cut = coveredBy(truncations, end); cut !== undefined; cut = coveredBy(truncations, end)) end = cut.from
  return end
}

/** The end of all ranges: new LSNs start above it. */
export const annulledTo = (truncations: readonly Truncation[], floor: Lsn): Lsn =>
  truncations.reduce((end, t) => maxLsn(end, t.to), floor)
