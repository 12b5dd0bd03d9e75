/**
 * Where the records of one segment lie in the node's hot log, in chain order: what peers pull, what recovery walks
 * and where a truncation cuts. Holds positions, not bytes: about 60 bytes for each frame that was logged.
 */
import { VolumeError } from '../protocol/errors.ts'
import { type Lsn, lsn } from '../protocol/lsn.ts'
import { APPEND_HEADER_BYTES, type RecordSummary } from '../protocol/message.ts'
import { decodeRecords, type RedoRecord } from '../protocol/record.ts'
import type { LogPosition } from './hot-log.ts'

/** Chained records that follow each other in one entry of the log. */
export interface Stretch {
  /** The record before the first. */
  readonly after: Lsn
  last: Lsn
  readonly position: LogPosition
}

/** The records of a log entry, which is the body of an APPEND as it was received. */
export const recordsOfEntry = (entry: Uint8Array): RedoRecord[] =>
  decodeRecords(entry.subarray(APPEND_HEADER_BYTES - 1))

export class SegmentLog {
  #stretches: Stretch[] = []
  #from: Lsn

  /** @param from the log begins behind this LSN */
  constructor(from: Lsn) {
    this.#from = from
  }

  /** Chained records above this LSN can be read here. */
  get from(): Lsn {
    return this.#from
  }

  get stretches(): number {
    return this.#stretches.length
  }

  /** Notes that a record was chained and that it lies in the entry at `position`. */
  chained(record: RedoRecord, position: LogPosition): void {
    const last = this.#stretches.at(-1)
    if (last !== undefined && last.position === position && last.last === record.prevGroup) last.last = record.lsn
    else this.#stretches.push({ after: record.prevGroup, last: record.lsn, position })
  }

  /** Index of the first stretch that ends above `above`. */
  #firstAbove(above: Lsn): number {
    let low = 0
    let high = this.#stretches.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#stretches[middle] as Stretch).last > above) high = middle
      else low = middle + 1
    }
    return low
  }

  /**
   * Records in (above, upTo], in chain order, stopping after `bytesMax` (but never before the first).
   * @param read answers the log entry at a position; throws `Corrupt`
   * @throws VolumeError `LogCollected` when the log no longer reaches down to `above`
   */
  *records(
    above: Lsn,
    upTo: Lsn,
    bytesMax: number,
    read: (position: LogPosition) => Uint8Array,
  ): Generator<RedoRecord> {
    if (above < this.#from) throw new VolumeError('LogCollected', `the log begins behind ${this.#from}, not ${above}`)
    let bytes = 0
    let end = above
    for (let i = this.#firstAbove(above); i < this.#stretches.length; i++) {
      const stretch = this.#stretches[i] as Stretch
      for (const record of recordsOfEntry(read(stretch.position))) {
        if (record.lsn <= end || record.lsn > stretch.last || record.lsn <= stretch.after) continue
        if (record.lsn > upTo || (bytes > 0 && bytes + record.encoded.length > bytesMax)) return
        bytes += record.encoded.length
        end = record.lsn
        yield record
      }
    }
  }

  summaries(above: Lsn, upTo: Lsn, read: (position: LogPosition) => Uint8Array): RecordSummary[] {
    const summaries: RecordSummary[] = []
    for (const { lsn, prevVolume, toCpl } of this.records(above, upTo, Number.MAX_SAFE_INTEGER, read)) {
      summaries.push({ lsn, prevVolume, toCpl })
    }
    return summaries
  }

  /** Forgets everything above `at` and answers where the chain ends then. */
  truncate(at: Lsn, read: (position: LogPosition) => Uint8Array): Lsn {
    const index = this.#firstAbove(at)
    const cut = this.#stretches[index]
    if (cut === undefined) return this.end
    this.#stretches.length = index
    if (cut.after >= at) return cut.after
    let last = cut.after
    for (const record of recordsOfEntry(read(cut.position))) {
      if (record.lsn > cut.after && record.lsn <= at) last = record.lsn
    }
    if (last > cut.after) this.#stretches.push({ after: cut.after, last, position: cut.position })
    return last
  }

  /** The last chained record that is held here, or where the log begins. */
  get end(): Lsn {
    return this.#stretches.at(-1)?.last ?? this.#from
  }

  /** Starts anew behind `from`. */
  restart(from: Lsn): void {
    this.#stretches = []
    this.#from = from
  }

  /** Where the log would begin after `dropTo`. */
  fromAfter(upTo: Lsn): Lsn {
    return this.#stretches[this.#firstAbove(upTo) - 1]?.last ?? this.#from
  }

  /** Forgets what ends at or below `upTo`: it is kept elsewhere. */
  dropTo(upTo: Lsn): void {
    const count = this.#firstAbove(lsn(upTo))
    if (count === 0) return
    this.#from = (this.#stretches[count - 1] as Stretch).last
    this.#stretches.splice(0, count)
  }

  /** Forgets what lies in log files before `file`, which are about to be recycled. */
  dropFiles(file: number): void {
    let count = 0
    for (let i = 0; i < this.#stretches.length; i++)
      if ((this.#stretches[i] as Stretch).position.file < file) count = i + 1
    if (count > 0) this.dropTo((this.#stretches[count - 1] as Stretch).last)
  }

  /**
   * The oldest log file that holds a record above `above`; undefined when none does.
   * @param least no file below it does
   */
  oldestFile(above: Lsn, least: number): number | undefined {
    let oldest: number | undefined
    for (let i = this.#firstAbove(above); i < this.#stretches.length && oldest !== least; i++) {
      const { file } = (this.#stretches[i] as Stretch).position
      if (oldest === undefined || file < oldest) oldest = file
    }
    return oldest
  }
}
