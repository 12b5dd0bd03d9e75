/**
 * Brings frames to the members of every group and takes their acknowledgements. Hot path: one message to six nodes per
 * frame, one evaluation of the quorum per acknowledgement.
 *
 * A member that refuses is helped where that is possible (told of the epoch, given its segment, asked for its newer
 * membership); one that is slow is not waited for. It is handed frames as its connection takes them; what is at quorum
 * is kept for it up to a bound, and what it missed then it gets from its peers.
 */
import type { VolumeState } from '../protocol/calls.ts'
import type { Durability } from '../protocol/durability.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { GroupConfig } from '../protocol/group.ts'
import type { GroupIndex, Lsn } from '../protocol/lsn.ts'
import { type Ack, APPEND_HEADER_BYTES, writeAppendHeader } from '../protocol/message.ts'
import { type Frame, FrameMemory } from './frame.ts'
import { type Replica, ReplicaGroup } from './replica-group.ts'
import type { WriterEnv } from './writer-env.ts'
import type { WriterOptions } from './writer-options.ts'

export interface ReplicationListener {
  /** The durable point of the volume moved. */
  durable(): void
  /** A node holds a higher epoch, or the volume is gone. */
  fenced(): void
}

/** A member that refuses, or lags while nothing is written, is asked where it is this often. */
const PROBE_MS = 100
/** What is done about a refusal is done once in this time per node and group. */
const REMEDY_MS = 100
const REFUSED_READ_MS = 50
/** Handed to the network for one node; beyond, frames wait here, once for all that are slow. */
const QUEUED_BYTES_MAX = 4 * 1024 * 1024

export class Replication {
  readonly stats = { framesSent: 0, bytesSent: 0, resends: 0, dropped: 0 }
  readonly groups = new Map<GroupIndex, ReplicaGroup>()
  readonly #volume: VolumeState
  readonly #env: WriterEnv
  readonly #durability: Durability
  readonly #options: WriterOptions
  readonly #listener: ReplicationListener
  readonly #frameMemory = new FrameMemory()
  readonly #dirty = new Set<ReplicaGroup>()
  /** When a remedy was last tried, by what it is for. */
  readonly #remedies = new Map<string, number>()
  #frameBytes = 0
  #probeAtMs = 0
  #throttled = false

  constructor(
    volume: VolumeState,
    env: WriterEnv,
    durability: Durability,
    options: WriterOptions,
    listener: ReplicationListener,
  ) {
    this.#volume = volume
    this.#env = env
    this.#durability = durability
    this.#options = options
    this.#listener = listener
  }

  /** @param last the last record of the group so far */
  add(config: GroupConfig, last: Lsn): void {
    const group = new ReplicaGroup(config, last, this.#env.client.clock.now(), this.#frameMemory)
    this.groups.set(config.group, group)
    this.#durability.addGroup(config.group, last)
    for (const replica of group.replicas) this.#probe(group, replica)
  }

  /** Whether a write quorum of some group would take too long to apply what it has logged. */
  get throttled(): boolean {
    return this.#throttled
  }

  /** Bytes of all frames that are kept: at most twice what may be unacknowledged. */
  get frameBytes(): number {
    return this.#frameBytes
  }

  /** Sends something to every node that holds a segment, once. */
  toAllNodes(parts: Uint8Array[]): void {
    const addresses = new Set<string>()
    for (const group of this.groups.values()) for (const { member } of group.replicas) addresses.add(member.address)
    for (const address of addresses) this.#env.client.fabric.send(address, parts)
  }

  // -------------------------------------------------------------- sending

  /** Records were laid into a group's frame. A full frame leaves at once. */
  appended(group: ReplicaGroup): void {
    this.#dirty.add(group)
  }

  /** Sends the frames that hold anything. */
  flush(): void {
    for (const group of this.#dirty) this.#sendFrame(group)
    this.#dirty.clear()
  }

  /** Sends the frames that are full, between two mini-transactions of one turn. */
  flushFull(): void {
    for (const group of this.#dirty) {
      if (group.builder.length < this.#options.frameBytes) continue
      this.#sendFrame(group)
      this.#dirty.delete(group)
    }
  }

  #sendFrame(group: ReplicaGroup): void {
    if (group.builder.empty) return
    const frame = group.builder.take()
    group.sent(frame)
    this.#frameBytes += frame.message.length
    this.#writeHeader(group, frame.message)
    const now = this.#env.client.clock.now()
    for (const replica of group.replicas) {
      if (replica.scl >= frame.after) replica.sinceMs = now
      this.#hand(group, replica, frame)
    }
    this.stats.framesSent++
  }

  /**
   * Hands a replica the frames that it was not handed yet, as far as its connection takes them.
   * @param fresh the frame whose header is of this moment
   */
  #hand(group: ReplicaGroup, replica: Replica, fresh?: Frame): void {
    const { address } = replica.member
    for (let frame = group.next(replica); frame !== undefined; frame = group.next(replica)) {
      if (this.#env.client.fabric.bufferedBytes(address) > QUEUED_BYTES_MAX) return
      const isTaken = this.#send(replica, frame === fresh ? [frame.message] : this.#again(group, frame))
      if (!isTaken) {
        group.skip(replica)
        return
      }
      replica.handed = frame.last
    }
  }

  /** A frame under a header of this moment: the one it has may still be on its way elsewhere. */
  #again(group: ReplicaGroup, frame: Frame): Uint8Array[] {
    const header = new Uint8Array(APPEND_HEADER_BYTES)
    this.#writeHeader(group, header)
    return [header, frame.message.subarray(APPEND_HEADER_BYTES)]
  }

  #writeHeader(group: ReplicaGroup, message: Uint8Array): void {
    writeAppendHeader(message, new DataView(message.buffer, message.byteOffset, message.length), {
      volume: this.#volume.volume,
      group: group.group,
      volumeEpoch: this.#volume.epoch,
      membershipEpoch: group.config.epoch,
      vdl: this.#durability.vdl,
      groupPoint: this.#durability.pointOf(group.group),
    })
  }

  /** False when it was dropped at once. */
  #send(replica: Replica, parts: Uint8Array[]): boolean {
    const isTaken = this.#env.client.fabric.send(replica.member.address, parts)
    if (isTaken) for (const part of parts) this.stats.bytesSent += part.length
    else this.stats.dropped++
    return isTaken
  }

  /** An APPEND without records: the node answers where it is. */
  #probe(group: ReplicaGroup, replica: Replica): void {
    const message = new Uint8Array(APPEND_HEADER_BYTES)
    this.#writeHeader(group, message)
    this.#send(replica, [message])
  }

  // -------------------------------------------------------------- acknowledgements

  acknowledged(address: string, ack: Ack): void {
    const group = this.groups.get(ack.group)
    const replica = group?.replicaAt(address)
    if (group === undefined || replica === undefined) return
    const { status } = ack
    // Whatever it is about: somebody else has opened the volume, and no write quorum can be had any more.
    if (ack.volumeEpoch > this.#volume.epoch) {
      this.#listener.fenced()
      return
    }
    // A copy that has not heard of this epoch tells of another history.
    if (status === 'Ok' && ack.volumeEpoch !== this.#volume.epoch) return
    const now = this.#env.client.clock.now()
    const { handed } = replica
    if (group.acknowledged(replica, ack.scl, status, ack.applyDelayMs, now)) this.#advance(group)
    if (replica.handed < handed) this.stats.resends++
    this.#hand(group, replica)
    if (status !== 'Ok') this.#remedy(group, replica, now)
    if (ack.applyDelayMs > this.#options.applyDelayMsMax || this.#throttled) this.#updateThrottle()
  }

  #advance(group: ReplicaGroup): void {
    const durable = group.durable()
    const moved = this.#durability.groupDurable(group.group, durable)
    const kept = group.frameBytes
    group.dropTo(durable, this.#frameBytes - this.#options.unackedBytesMax)
    this.#frameBytes -= kept - group.frameBytes
    if (moved) this.#listener.durable()
  }

  #updateThrottle(): void {
    this.#throttled = false
    for (const group of this.groups.values()) {
      if (group.applyDelayMs() > this.#options.applyDelayMsMax) this.#throttled = true
    }
  }

  /** Does what can be done about a refusal, at most once in a while. */
  #remedy(group: ReplicaGroup, replica: Replica, nowMs: number): void {
    const { status, member } = replica
    const key = `${group.group} ${member.incarnation} ${status}`
    const last = this.#remedies.get(key)
    if (last !== undefined && nowMs - last < REMEDY_MS) return
    let action: Promise<void>
    if (status === 'UnknownEpoch') action = this.#env.control.seal(member.address)
    else if (status === 'UnknownSegment') action = this.#env.control.configure(member.address, group.config)
    else if (status === 'StaleMembership') action = this.refresh(group)
    // A late message can make segments of a volume that was deleted: they never heal, and only the registry knows why.
    else if (status === 'SuspectSegment') action = this.refresh(group)
    else return
    this.#remedies.set(key, nowMs)
    action.then(
      () => {
        // What it refused is handed to it again.
        group.asked(replica)
        this.#probe(group, replica)
      },
      (error: unknown) => {
        // The volume was deleted: nothing of it will ever be durable.
        if (error instanceof VolumeError && error.code === 'NotFound') this.#listener.fenced()
        // Else node or registry cannot be reached now; the next refusal tries again.
      },
    )
  }

  /** Reads the present membership of a group and goes on with it. */
  async refresh(group: ReplicaGroup): Promise<void> {
    this.adopt(await this.#env.control.groupConfig(group.group))
  }

  adopt(config: GroupConfig): void {
    const group = this.groups.get(config.group)
    if (group === undefined || config.epoch <= group.config.epoch) return
    group.adopt(config, this.#env.client.clock.now())
    for (const replica of group.replicas) this.#probe(group, replica)
    this.#advance(group)
  }

  /** A connection was made anew. */
  connected(address: string): void {
    for (const group of this.groups.values()) {
      const replica = group.replicaAt(address)
      if (replica === undefined) continue
      group.connected(replica)
      this.#probe(group, replica)
    }
  }

  /** No full member of a group answered a read: resolves when it is worth trying again. */
  async readRefused(index: GroupIndex, error: VolumeError): Promise<void> {
    const group = this.groups.get(index)
    if (error.code === 'StaleMembership' && group !== undefined) await this.refresh(group)
    else await this.#env.pause(REFUSED_READ_MS)
  }

  // -------------------------------------------------------------- time

  tick(nowMs: number): void {
    for (const group of this.groups.values()) {
      for (const replica of group.replicas) {
        const queued = this.#env.client.fabric.bufferedBytes(replica.member.address)
        if (group.overdue(replica, queued, nowMs)) this.#probe(group, replica)
        this.#hand(group, replica)
      }
    }
    if (nowMs - this.#probeAtMs < PROBE_MS) return
    this.#probeAtMs = nowMs
    for (const group of this.groups.values()) {
      const point = this.#durability.pointOf(group.group)
      // The members that have everything may know of a newer membership, in which it is durable.
      const isPending = group.durable() < group.last
      for (const replica of group.replicas) {
        if (isPending || this.#throttled || replica.status !== 'Ok' || replica.scl < point) this.#probe(group, replica)
      }
    }
  }
}
