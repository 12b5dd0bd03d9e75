/** What a segment needs of its node, and the records that it keeps. */
import type { VolumeError } from '../protocol/errors.ts'
import type { GroupIndex, Lsn, VolumeId } from '../protocol/lsn.ts'
import type { RedoRecord } from '../protocol/record.ts'
import type { Disk } from './disk.ts'
import type { LogPosition } from './hot-log.ts'
import type { LayerCache } from './layers/layer-cache.ts'
import type { Segment } from './segment.ts'

export interface SegmentHost {
  readonly disk: Disk
  readonly node: string
  readonly incarnation: string
  readonly layerCache: LayerCache
  readonly layerBytes: number
  /** Reads an entry of the hot log. @throws `Corrupt` */
  readLog(position: LogPosition): Uint8Array
  /** The last entry of the hot log; null when it is empty. */
  lastLogEntry(): LogPosition | null
  /** From now on a start has to replay the log from this file on, if it did not before. @throws `DiskFull` */
  needsLogFile(file: number): void
  /** Some blocks of a segment cannot be read: checksums do not match, or versions do not fit each other. */
  damaged(segment: Segment, error: VolumeError): void
  /** The segment of another volume in the same group on this node. */
  sibling(volume: VolumeId, group: GroupIndex): Segment | undefined
}

/** A record in the chain or waiting for its place, and where it lies in the log. */
export interface LoggedRecord {
  readonly lsn: Lsn
  readonly prevGroup: Lsn
  readonly record: RedoRecord
  readonly position: LogPosition
}
