/**
 * Filling gaps from peers, and proving that there are none.
 *
 * A round asks the members of the group, one at a time, for the log above this segment's SCL, and notes how far each
 * of them is. It ends when members that make a read quorum have answered and none of them is ahead: then every record
 * that was durable when the round began is here. The same proof heals a suspect segment, which may not count itself:
 * any record that it ever acknowledged is also held by one of the others in every such quorum (docs/spec/volume.md).
 */

import type { Calls } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type Member, readQuorum } from '../protocol/group.ts'
import { type Lsn, maxLsn, minLsn, ZERO_LSN } from '../protocol/lsn.ts'
import { satisfied } from '../protocol/quorum.ts'
import type { PeerCalls } from './peer-calls.ts'
import type { Segment } from './segment.ts'

/** One answer carries at most this much log, so that a node is never busy long with one peer. */
export const PULL_BYTES_MAX = 1024 * 1024

/** Members that did not answer are asked again after this time. */
const RETRY_MS = 200

export interface GossipHost {
  readonly peers: PeerCalls
  /** What one answer may carry: it becomes one entry of the log. */
  readonly pullBytesMax: number
  /** The node takes no log now: then only how far peers are is asked for. */
  refusesLog(): boolean
  now(): number
  /** Records of a peer arrived: check, log and chain them like any others. */
  received(segment: Segment, records: Uint8Array): void
  /** No member in reach has the log that is missing: blocks have to be copied. */
  needsLayers(segment: Segment): void
  /** Nothing is missing: log that was, if any, has come after all. */
  complete(segment: Segment): void
}

/** `logging`: records arrived and are not durable here yet. */
type RoundState = 'idle' | 'asking' | 'logging' | 'pausing'

export class Gossip {
  readonly #segment: Segment
  readonly #host: GossipHost
  #state: RoundState = 'idle'
  #pausedUntilMs = 0
  /** When the segment was first seen to be behind; undefined while it is not. */
  #behindSinceMs: number | undefined
  #lastRoundMs: number
  #startedVdl: Lsn = ZERO_LSN
  #generation = 0
  /** How far each member said it is, by index in the configuration of `#epoch`. */
  readonly #answers = new Map<number, Lsn>()
  #epoch = 0
  readonly #asked = new Set<number>()
  /** Of those asked since the last pause that have no log from here on, the least LSN above which one of them has it. */
  #logFrom: Lsn | undefined
  readonly #flushedAt = new Map<string, Lsn>()
  #demanded = false

  constructor(segment: Segment, host: GossipHost) {
    this.#segment = segment
    this.#host = host
    this.#lastRoundMs = host.now()
  }

  /** Someone wants to read above what is proved to be complete here. */
  demand(): void {
    this.#demanded = true
  }

  tick(gapMs: number, gossipMs: number): void {
    const now = this.#host.now()
    const segment = this.#segment
    if (!segment.behind) this.#behindSinceMs = undefined
    else this.#behindSinceMs ??= now
    if (this.#state === 'asking' || this.#state === 'logging') return
    if (this.#state === 'pausing') {
      if (now >= this.#pausedUntilMs) this.#ask()
      return
    }
    const gap = this.#behindSinceMs !== undefined && now - this.#behindSinceMs >= gapMs
    const due = now - this.#lastRoundMs >= gossipMs
    if (gap || due || this.#demanded || segment.state === 'suspect') this.#begin()
  }

  /** What was received is in the log, or could not be written to it. */
  logged(): void {
    if (this.#state === 'logging') this.#ask()
  }

  #begin(): void {
    this.#demanded = false
    this.#lastRoundMs = this.#host.now()
    this.#startedVdl = this.#segment.volume.vdl
    this.#generation = this.#segment.generation
    this.#epoch = this.#segment.config.epoch
    this.#answers.clear()
    this.#asked.clear()
    this.#logFrom = undefined
    this.#ask()
  }

  #pause(): void {
    this.#state = 'pausing'
    this.#pausedUntilMs = this.#host.now() + RETRY_MS
    this.#asked.clear()
    // Where their logs begin moves on: what was so before the pause may be below what has been pulled since.
    this.#logFrom = undefined
  }

  /** The member to ask next: the one known to be furthest ahead, else one that has not been asked. */
  #next(): number | undefined {
    const { config, scl, self } = this.#segment
    let ahead: number | undefined
    for (const [member, at] of this.#answers) {
      if (at > scl && !this.#asked.has(member) && (ahead === undefined || at > (this.#answers.get(ahead) as Lsn)))
        ahead = member
    }
    if (ahead !== undefined) return ahead
    // Start at a different peer on each node, so that six copies do not all ask the same one.
    const count = config.members.length
    for (let i = 1; i < count; i++) {
      const member = (Math.max(self, 0) + i) % count
      if (!this.#asked.has(member) && !this.#answers.has(member)) return member
    }
    return undefined
  }

  #ask(): void {
    try {
      this.#goOn()
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'DiskFull') throw error
      // A step that cannot be noted is not made, until there is room.
      this.#pause()
    }
  }

  #goOn(): void {
    const segment = this.#segment
    if (this.#epoch !== segment.config.epoch || this.#generation !== segment.generation) {
      this.#state = 'idle'
      this.#demanded = true
      return
    }
    const isProved = this.#proved()
    const member = isProved ? this.#unheardFull() : this.#next()
    if (member === undefined) {
      if (isProved) this.#conclude()
      else this.#allAsked()
      return
    }
    this.#askMember(member)
  }

  #askMember(member: number): void {
    const segment = this.#segment
    this.#state = 'asking'
    this.#asked.add(member)
    const { volume } = segment
    const argument: Calls['pull']['argument'] = {
      volume: volume.state.volume,
      group: segment.group,
      volumeEpoch: volume.state.epoch,
      membershipEpoch: segment.config.epoch,
      from: segment.scl,
      bytesMax: this.#host.refusesLog() ? 0 : this.#host.pullBytesMax,
    }
    const peer = segment.config.members[member] as Member
    this.#host.peers.call(peer.address, 'pull', argument, (answer) => {
      if ('value' in answer) this.#answered(member, peer, answer.value, answer.attachment)
      if (this.#state === 'asking') this.#ask()
    })
  }

  #answered(member: number, peer: Member, value: Calls['pull']['value'], records: Uint8Array): void {
    const segment = this.#segment
    if (this.#epoch !== segment.config.epoch || this.#generation !== segment.generation) return
    const { report, vdl, logFrom } = value
    if (report.membershipEpoch !== this.#epoch || report.suspect || report.incarnation !== peer.incarnation) return
    segment.volume.learnVdl(vdl)
    this.#answers.set(member, report.scl)
    if (report.kind === 'full') this.#flushedAt.set(peer.incarnation, report.flushed)
    if (logFrom > segment.scl) {
      this.#logFrom = this.#logFrom === undefined ? logFrom : minLsn(this.#logFrom, logFrom)
    } else if (records.length > 0) {
      // There may be more where this came from.
      this.#asked.delete(member)
      this.#state = 'logging'
      this.#receive(member, records)
    }
  }

  /** Records that are not good ones count as no answer. */
  #receive(member: number, records: Uint8Array): void {
    try {
      this.#host.received(this.#segment, records)
    } catch (error) {
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      this.#answers.delete(member)
      this.#asked.add(member)
      this.#state = 'asking'
    }
  }

  /** Whether the round has proved that nothing is missing. */
  #proved(): boolean {
    const segment = this.#segment
    const { config, scl, self } = segment
    const counts = (m: number): boolean => this.#answers.has(m) || (m === self && segment.state !== 'suspect')
    if (!satisfied(readQuorum(config), counts)) return false
    let best = ZERO_LSN
    for (const at of this.#answers.values()) best = maxLsn(best, at)
    if (scl < best) return false
    if (segment.state === 'suspect' && segment.scl >= segment.flushed) segment.healed()
    segment.provedComplete(this.#startedVdl)
    return true
  }

  /** A full member that a tail has not heard of in this round: it keeps its log until all of them have that in layers. */
  #unheardFull(): number | undefined {
    const { config, kind } = this.#segment
    if (kind !== 'tail') return undefined
    const isUnheard = (m: Member, i: number): boolean =>
      m.kind === 'full' && !this.#answers.has(i) && !this.#asked.has(i)
    const found = config.members.findIndex(isUnheard)
    return found < 0 ? undefined : found
  }

  #conclude(): void {
    this.#state = 'idle'
    this.#host.complete(this.#segment)
    this.#dropFlushed()
  }

  #allAsked(): void {
    const { kind, scl } = this.#segment
    if (this.#logFrom !== undefined && this.#logFrom > scl) {
      const quorum = satisfied(readQuorum(this.#segment.config), (m) => this.#answers.has(m))
      if (kind === 'full') this.#host.needsLayers(this.#segment)
      else if (quorum) this.#segment.restartLog(this.#logFrom)
    }
    this.#pause()
  }

  /** A tail forgets what every full member of every set has in layers. */
  #dropFlushed(): void {
    const { config, kind } = this.#segment
    if (kind !== 'tail') return
    let upTo: Lsn | undefined
    for (const member of config.members) {
      if (member.kind !== 'full') continue
      const flushed = this.#flushedAt.get(member.incarnation)
      if (flushed === undefined) return
      upTo = upTo === undefined ? flushed : minLsn(upTo, flushed)
    }
    if (upTo !== undefined) this.#segment.dropFlushedElsewhere(upTo)
  }
}
