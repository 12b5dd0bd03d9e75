/**
 * The writer's view of one protection group: its members, how far each of them is, the frame being filled and the
 * frames that are not durable yet.
 */
import { type GroupConfig, type Member, nextMembers, writeQuorum } from '../protocol/group.ts'
import { type GroupIndex, type Lsn, ZERO_LSN } from '../protocol/lsn.ts'
import type { Status } from '../protocol/message.ts'
import { type Quorum, reached } from '../protocol/quorum.ts'
import { type Frame, FrameBuilder, FrameMemory } from './frame.ts'

/** One copy as the writer knows it. */
export interface Replica {
  readonly member: Member
  /** As last acknowledged; 0 while the segment counts for nothing. */
  scl: Lsn
  status: Status
  applyDelayMs: number
  /** Frames up to here were handed to the network for it. */
  handed: Lsn
  /**
   * `asked`: it made no progress for a while and was asked where it is; `held`: its connection is new and what was
   * handed to the old one may be lost, so it is handed nothing until it has said where it is.
   */
  handing: 'going' | 'asked' | 'held'
  /** When something was last sent to it that it has not acknowledged, or it last made progress. */
  sinceMs: number
  /** How long to wait for progress before it is asked where it is; doubles. */
  patienceMs: number
}

/** A node that is in the middle of a large write is silent as long; asking costs little. */
const PATIENCE_MS_MIN = 50
const PATIENCE_MS_MAX = 2000

export class ReplicaGroup {
  readonly group: GroupIndex
  readonly builder: FrameBuilder
  /** The last record appended to this group. */
  last: Lsn
  #config: GroupConfig
  #quorum: Quorum
  #replicas: Replica[]
  readonly #byAddress = new Map<string, Replica>()
  /** Not yet durable at quorum, or not yet handed to a member that is slower than others; in chain order. */
  #frames: Frame[] = []
  #frameBytes = 0

  constructor(config: GroupConfig, last: Lsn, nowMs: number, memory = new FrameMemory()) {
    this.builder = new FrameBuilder(memory)
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

  /** Bytes of frames that are kept. */
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
          handed: ZERO_LSN,
          handing: 'going',
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
    return reached(this.#quorum, this.#sclOf)
  }

  readonly #sclOf = (member: number): Lsn => (this.#replicas[member] as Replica).scl

  sent(frame: Frame): void {
    this.#frames.push(frame)
    this.#frameBytes += frame.message.length
  }

  /** A replica cannot be reached: nothing is kept for it. */
  skip(replica: Replica): void {
    replica.handed = this.#frames.at(-1)?.last ?? replica.handed
  }

  /** The next frame to be handed to the network for a replica. */
  next(replica: Replica): Frame | undefined {
    if (replica.handing === 'held') return undefined
    const frames = this.#frames
    let low = frames.length
    // Nearly always the replica has been handed all of them, or all but the last.
    while (low > 0 && low > frames.length - 2 && (frames[low - 1] as Frame).last > replica.handed) low--
    if (low > 0 && (frames[low - 1] as Frame).last > replica.handed) {
      let high = low
      low = 0
      while (low < high) {
        const middle = (low + high) >> 1
        if ((frames[middle] as Frame).last > replica.handed) high = middle
        else low = middle + 1
      }
    }
    return frames[low]
  }

  /**
   * Frames at or below are at quorum: they go once every replica was handed them, and `surplus` bytes of them in any
   * case. What a replica misses then, gossip brings it.
   */
  dropTo(durable: Lsn, surplus: number): void {
    let handed = durable
    for (const replica of this.#replicas) if (replica.handed < handed) handed = replica.handed
    let count = 0
    let bytes = 0
    for (; count < this.#frames.length; count++) {
      const frame = this.#frames[count] as Frame
      if (frame.last > durable || (frame.last > handed && bytes >= surplus)) break
      bytes += frame.message.length
    }
    this.#frameBytes -= bytes
    if (count > 0) this.#frames.splice(0, count)
  }

  /**
   * The replica said where it is. Connections keep their order: what was handed to one that stands and is not covered
   * by the answer to a later question was refused or lost, and is handed out again.
   * @returns whether it moved
   */
  acknowledged(replica: Replica, scl: Lsn, status: Status, applyDelayMs: number, nowMs: number): boolean {
    replica.status = status
    replica.applyDelayMs = applyDelayMs
    const at = status === 'Ok' || status === 'DiskFull' || status === 'Overloaded' ? scl : ZERO_LSN
    const isStuck = replica.handing === 'asked' && at <= replica.scl
    // What its peers have brought it need not be handed to it.
    if (replica.handing === 'held' || isStuck || at > replica.handed) replica.handed = at
    replica.handing = 'going'
    if (at === replica.scl) return false
    // Lower only when a node lost what it had; then it must not be counted as if it still had it.
    if (at > replica.scl) {
      replica.sinceMs = nowMs
      replica.patienceMs = PATIENCE_MS_MIN
    }
    replica.scl = at
    return true
  }

  /**
   * Whether a replica's patience is at an end: then it is to be asked where it is.
   * @param queuedBytes that still wait for it here: what waits is not lost
   */
  overdue(replica: Replica, queuedBytes: number, nowMs: number): boolean {
    const newest = this.#frames.at(-1)
    if (newest === undefined || replica.scl >= newest.last) {
      replica.sinceMs = nowMs
      replica.patienceMs = PATIENCE_MS_MIN
      return false
    }
    if (nowMs - replica.sinceMs < replica.patienceMs) return false
    replica.sinceMs = nowMs
    if (queuedBytes > 0) return false
    replica.patienceMs = Math.min(replica.patienceMs * 2, PATIENCE_MS_MAX)
    this.asked(replica)
    return true
  }

  asked(replica: Replica): void {
    if (replica.handing === 'going') replica.handing = 'asked'
  }

  /** A connection was made anew. */
  connected(replica: Replica): void {
    replica.handing = 'held'
  }

  /** How long the fourth fastest copy would take to apply its log: what a write quorum cannot go faster than. */
  applyDelayMs(): number {
    const set = nextMembers(this.#config).map((index) => (this.#replicas[index] as Replica).applyDelayMs)
    set.sort((a, b) => a - b)
    return set[3] ?? 0
  }
}
