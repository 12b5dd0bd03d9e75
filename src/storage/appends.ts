/**
 * The foreground of a node: records in, one durable write for all that came at once, acknowledgements out. Hot path.
 */
import { VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, type Lsn, type VolumeId, ZERO_LSN } from '../protocol/lsn.ts'
import {
  type Ack,
  APPEND_HEADER_BYTES,
  encodeAck,
  readAppend,
  type Status,
  writeAppendHeader,
} from '../protocol/message.ts'
import type { RedoRecord } from '../protocol/record.ts'
import type { HotLog, LogPosition } from './hot-log.ts'
import type { NodeVolume } from './node-volume.ts'
import type { Segment } from './segment.ts'
import { recordsOfEntry } from './segment-log.ts'
import type { SegmentTable } from './segment-table.ts'
import { Staging } from './staging.ts'

/** An append that was received and is not in the log yet. */
interface Staged {
  readonly segment: Segment
  readonly records: readonly RedoRecord[]
  readonly entry: Uint8Array
  readonly vdl: Lsn
  readonly groupPoint: Lsn
  /** Who waits for the acknowledgement; undefined for what peers sent. */
  readonly connection: number | undefined
}

export interface AppendHost {
  readonly table: SegmentTable
  readonly log: HotLog
  /** Why no log can be taken now, if it cannot. */
  refusal(): 'DiskFull' | 'Overloaded' | undefined
  /** How long it would take to apply what is logged. */
  applyDelayMs(): number
  reply(connection: number, message: Uint8Array[]): void
  /** The log turned out to be full. */
  diskFull(): void
  /** A segment's log grew, or could not. */
  logged(segment: Segment): void
}

/** Out-of-order records that a segment keeps; more are left to gossip. */
const WAITING_MAX = 4096

export class Appends {
  readonly #host: AppendHost
  #staged: Staged[] = []
  readonly #staging = new Staging()
  /** Who asked where a segment is, since the last commit: the answer is to cover what came before the question. */
  readonly #asked = new Map<Segment, number>()
  #last: LogPosition | null

  /** @param last the last entry of the log */
  constructor(host: AppendHost, last: LogPosition | null) {
    this.#host = host
    this.#last = last
  }

  /** The last entry of the log. */
  get last(): LogPosition | null {
    return this.#last
  }

  /** Takes the body of an APPEND. @throws VolumeError `BadRequest`, `Corrupt` when it is not a good one */
  receive(connection: number, body: Uint8Array): void {
    const append = readAppend(body)
    const segment = this.#host.table.get(append.volume, append.group)
    const status =
      segment === undefined ? 'UnknownSegment' : this.#status(segment, append.volumeEpoch, append.membershipEpoch)
    if (segment === undefined || status !== 'Ok') {
      this.#ack(connection, append.volume, append.group, status, segment)
      return
    }
    if (body.length > this.#host.log.entryBytesMax) {
      throw new VolumeError('BadRequest', `an APPEND of ${body.length} bytes exceeds a log file`)
    }
    segment.volume.writer = connection
    // The body is only valid during this call; the copy is until the records are logged and chained.
    const entry = this.#staging.copy(body)
    const records = recordsOfEntry(entry)
    checkRecords(segment, records)
    const fresh = records.some((record) => !segment.knows(record))
    const first = records[0]
    const gap = first !== undefined && first.prevGroup > segment.scl && segment.waiting > WAITING_MAX
    const { vdl, groupPoint } = append
    if (fresh && !gap) {
      this.#staged.push({ segment, records, entry, vdl, groupPoint, connection })
      return
    }
    segment.volume.learnVdl(vdl)
    segment.announced(vdl, groupPoint)
    if (this.#staged.length > 0) this.#asked.set(segment, connection)
    else this.#acknowledge(connection, segment)
  }

  /** Takes records that a peer answered. @throws VolumeError `BadRequest`, `Corrupt` */
  receiveFromPeer(segment: Segment, bytes: Uint8Array): void {
    // Logged in the form of an APPEND that tells of no durable point.
    const message = new Uint8Array(APPEND_HEADER_BYTES + bytes.length)
    writeAppendHeader(message, new DataView(message.buffer), {
      volume: segment.volume.state.volume,
      group: segment.group,
      volumeEpoch: segment.volume.state.epoch,
      membershipEpoch: segment.config.epoch,
      vdl: ZERO_LSN,
      groupPoint: ZERO_LSN,
    })
    message.set(bytes, APPEND_HEADER_BYTES)
    const entry = message.subarray(1)
    const records = recordsOfEntry(entry)
    checkRecords(segment, records)
    this.#staged.push({ segment, records, entry, vdl: ZERO_LSN, groupPoint: ZERO_LSN, connection: undefined })
  }

  /** What was received for these segments and is not in the log yet belongs to an epoch that has ended. */
  dropStaged(isDropped: (segment: Segment) => boolean): void {
    const dropped = this.#staged.filter(({ segment }) => isDropped(segment))
    for (const segment of this.#asked.keys()) if (isDropped(segment)) this.#asked.delete(segment)
    if (dropped.length === 0) return
    this.#staged = this.#staged.filter(({ segment }) => !isDropped(segment))
    for (const { segment } of dropped) this.#host.logged(segment)
  }

  #status(segment: Segment, volumeEpoch: number, membershipEpoch: number): Status {
    const epoch = segment.volume.checkEpoch(volumeEpoch)
    if (epoch !== 'Ok') return epoch
    if (membershipEpoch < segment.config.epoch) return 'StaleMembership'
    if (membershipEpoch > segment.config.epoch) return 'UnknownSegment'
    return this.#host.refusal() ?? 'Ok'
  }

  #acknowledge(connection: number, segment: Segment): void {
    const status = segment.state === 'suspect' ? 'SuspectSegment' : 'Ok'
    this.#ack(connection, segment.volume.state.volume, segment.group, status, segment)
  }

  #ack(connection: number, volume: VolumeId, group: GroupIndex, status: Status, segment: Segment | undefined): void {
    const ack: Ack = {
      volume,
      group,
      volumeEpoch: epochOf(this.#host.table.volumes.get(volume)),
      membershipEpoch: segment?.config.epoch ?? 0,
      scl: segment === undefined || segment.state === 'suspect' ? ZERO_LSN : segment.scl,
      status,
      applyDelayMs: this.#host.applyDelayMs(),
    }
    this.#host.reply(connection, [encodeAck(ack)])
  }

  /** Makes durable what was received, chains it, and acknowledges. */
  commit(): void {
    if (this.#staged.length > 0) this.#logStaged()
    this.#staging.clear()
    if (this.#asked.size === 0) return
    for (const [segment, connection] of this.#asked) this.#acknowledge(connection, segment)
    this.#asked.clear()
  }

  #logStaged(): void {
    const staged = this.#staged
    this.#staged = []
    let positions: LogPosition[]
    try {
      positions = this.#host.log.append(staged.map(({ entry }) => [entry]))
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'DiskFull') throw error
      this.#refuse(staged)
      return
    }
    this.#last = positions.at(-1) ?? this.#last
    const waiting = new Map<Segment, number | undefined>()
    staged.forEach(({ segment, records, vdl, groupPoint, connection }, i) => {
      segment.insert(records, positions[i] as LogPosition)
      segment.volume.learnVdl(vdl)
      if (vdl > 0) segment.announced(vdl, groupPoint)
      else segment.settlePoint()
      waiting.set(segment, connection ?? waiting.get(segment) ?? segment.volume.writer)
    })
    for (const [segment, connection] of waiting) {
      if (connection !== undefined) this.#acknowledge(connection, segment)
      if (this.#asked.get(segment) === connection) this.#asked.delete(segment)
      this.#host.logged(segment)
    }
  }

  #refuse(staged: readonly Staged[]): void {
    this.#host.diskFull()
    for (const { segment, connection } of staged) {
      if (connection !== undefined)
        this.#ack(connection, segment.volume.state.volume, segment.group, 'DiskFull', segment)
      this.#host.logged(segment)
    }
  }
}

const epochOf = (volume: NodeVolume | undefined): number =>
  volume === undefined ? 0 : Math.max(volume.fencedEpoch, volume.state.epoch)

/** @throws VolumeError `BadRequest` when records do not belong where the message says */
function checkRecords(segment: Segment, records: readonly RedoRecord[]): void {
  let before = 0
  for (const { group, lsn, prevGroup } of records) {
    if (group !== segment.group || lsn <= before || lsn <= prevGroup) {
      throw new VolumeError('BadRequest', `record ${lsn} does not belong into group ${segment.group}`)
    }
    before = lsn
  }
}
