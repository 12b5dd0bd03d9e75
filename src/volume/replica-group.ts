/**
 * The writer's view of one protection group: its members, how far each of them is, the frame being filled and the
 * frames that are not durable yet.
 */
import { type GroupConfig, type Member, nextMembers, writeQuorum } from '../protocol/group.ts'
import { type GroupIndex, type Lsn, ZERO_LSN } from '../protocol/lsn.ts'
import type { Status } from '../protocol/message.ts'
import { type Quorum, reached } from '../protocol/quorum.ts'
import { type Frame, FrameBuilder } from './frame.ts'

/** One copy as the writer knows it. */
export interface Replica {
  readonly member: Member
  /** As last acknowledged; 0 while the segment counts for nothing. */
  scl: Lsn
  status: Status
  applyDelayMs: number
  /** When something was last sent to it that it has not acknowledged, or it last made progress. */
  sinceMs: number
  /** How long to wait for progress before frames are sent again; doubles. */
  patienceMs: number
}

/** Frames may be lost with a connection; on one that stands they are not, so this is long. */
const PATIENCE_MS_MIN = 50
const PATIENCE_MS_MAX = 2000
/** At most this much is sent again at once. */
const RESEND_BYTES_MAX = 1024 * 1024

export class ReplicaGroup {
  readonly group: GroupIndex
  readonly builder = new FrameBuilder()
  /** The last record appended to this group. */
  last: Lsn
  #config: GroupConfig
  #quorum: Quorum
  #replicas: Replica[]
  readonly #byAddress = new Map<string, Replica>()
  /** Sent, not yet durable at quorum; in chain order. */
  #frames: Frame[] = []
  #frameBytes = 0

  constructor(config: GroupConfig, last: Lsn, nowMs: number) {
    this.group = config.group
    this.last = last
    this.#config = config
    this.#quorum = writeQuorum(config)
    this.#replicas = []
    this.adopt(config, nowMs)
  }

  get config(): GroupConfig {
    return this.#config
  }

  get replicas(): readonly Replica[] {
    return this.#replicas
  }

  /** Bytes of frames that are kept because they are not durable. */
  get frameBytes(): number {
    return this.#frameBytes
  }

  /** Takes over a membership; what is known of members that stay is kept. */
  adopt(config: GroupConfig, nowMs: number): void {
    const before = new Map(this.#replicas.map((replica) => [replica.member.incarnation, replica]))
    this.#config = config
    this.#quorum = writeQuorum(config)
    this.#replicas = config.members.map(
      (member) =>
        before.get(member.incarnation) ?? {
          member,
          scl: ZERO_LSN,
          status: 'Ok',
          applyDelayMs: 0,
          sinceMs: nowMs,
          patienceMs: PATIENCE_MS_MIN,
        },
    )
    this.#byAddress.clear()
    for (const replica of this.#replicas) this.#byAddress.set(replica.member.address, replica)
  }

  replicaAt(address: string): Replica | undefined {
    return this.#byAddress.get(address)
  }

  /** PGCL: how far a write quorum is. */
  durable(): Lsn {
    return reached(this.#quorum, (member) => (this.#replicas[member] as Replica).scl)
  }

  sent(frame: Frame): void {
    this.#frames.push(frame)
    this.#frameBytes += frame.message.length
  }

  /** Frames at or below are at quorum: gossip brings them to the others. */
  dropTo(durable: Lsn): void {
    let count = 0
    for (; count < this.#frames.length; count++) {
      const frame = this.#frames[count] as Frame
      if (frame.last > durable) break
      this.#frameBytes -= frame.message.length
    }
    if (count > 0) this.#frames.splice(0, count)
  }

  /** The replica said where it is. Answers whether it moved. */
  acknowledged(replica: Replica, scl: Lsn, status: Status, applyDelayMs: number, nowMs: number): boolean {
    replica.status = status
    replica.applyDelayMs = applyDelayMs
    const at = status === 'Ok' || status === 'DiskFull' || status === 'Overloaded' ? scl : ZERO_LSN
    if (at === replica.scl) return false
    // Lower only when a node lost what it had; then it must not be counted as if it still had it.
    if (at > replica.scl) {
      replica.sinceMs = nowMs
      replica.patienceMs = PATIENCE_MS_MIN
    }
    replica.scl = at
    return true
  }

  /** Frames that a replica should be sent again now, if its patience is at an end. */
  overdue(replica: Replica, nowMs: number): Frame[] {
    const newest = this.#frames.at(-1)
    if (newest === undefined || replica.scl >= newest.last) {
      replica.sinceMs = nowMs
      replica.patienceMs = PATIENCE_MS_MIN
      return []
    }
    if (nowMs - replica.sinceMs < replica.patienceMs) return []
    replica.sinceMs = nowMs
    replica.patienceMs = Math.min(Math.max(replica.patienceMs * 2, PATIENCE_MS_MIN), PATIENCE_MS_MAX)
    const frames: Frame[] = []
    let bytes = 0
    for (const frame of this.#frames) {
      if (frame.last <= replica.scl) continue
      if (bytes > RESEND_BYTES_MAX) break
      frames.push(frame)
      bytes += frame.message.length
    }
    return frames
  }

  /** What was sent over a connection that was lost is due at once. */
  connected(replica: Replica): void {
    replica.patienceMs = 0
  }

  /** How long the fourth fastest copy would take to apply its log: what a write quorum cannot go faster than. */
  applyDelayMs(): number {
    const set = nextMembers(this.#config).map((index) => (this.#replicas[index] as Replica).applyDelayMs)
    set.sort((a, b) => a - b)
    return set[3] ?? 0
  }
}
