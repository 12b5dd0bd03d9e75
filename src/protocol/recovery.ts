/**
 * Finding the end of a volume's log (SIGMOD 2017, section 4.3; SIGMOD 2018, section 2.4).
 *
 * From a point known to be durable, records are followed by their link to the previous record of the volume, as long
 * as some read quorum has them. The end of that walk is the VCL, the last consistency point on it the VDL; all above
 * is cut.
 */
import type { Lsn } from './lsn.ts'
import type { RecordSummary } from './message.ts'
import { isAnnulled, type Truncation } from './truncation.ts'

export interface LogEnd {
  readonly vcl: Lsn
  readonly vdl: Lsn
}

/**
 * @param durable a VDL that was announced: everything at or below is at quorum
 * @param summaries for each group, the chained records above `durable` of its most complete member in a read quorum
 * @param truncations ranges cut by earlier openings, whose records may still lie on copies that missed them
 */
export function logEnd(durable: Lsn, summaries: Iterable<RecordSummary>, truncations: readonly Truncation[]): LogEnd {
  const next = new Map<Lsn, RecordSummary>()
  for (const summary of summaries) {
    if (summary.lsn > durable && !isAnnulled(truncations, summary.lsn)) next.set(summary.prevVolume, summary)
  }
  let vcl = durable
  let vdl = durable
  for (let record = next.get(vcl); record !== undefined; record = next.get(vcl)) {
    vcl = record.lsn
    if (record.toCpl === 0) vdl = vcl
  }
  return { vcl, vdl }
}
