/**
 * Reading one block from one good segment, without a quorum (SIGMOD 2018, section 3.1).
 *
 * Usually the fastest full member is asked; now and then another, to keep the estimates fresh. When the answer takes
 * several times what that member usually needs, a second one is asked too and the first answer counts.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { GroupConfig, Member } from '../protocol/group.ts'
import type { Lsn, VolumeId } from '../protocol/lsn.ts'
import type { Page } from '../protocol/message.ts'
import type { NodeClient } from './node-client.ts'

export interface BlockRead {
  readonly volume: VolumeId
  readonly config: GroupConfig
  readonly block: number
  readonly volumeEpoch: number
  readonly readPoint: Lsn
  readonly minScl: Lsn | null
}

/** What a block was: nothing in `bytes` stands for zeros. */
export interface BlockContent {
  readonly version: Lsn
  readonly bytes: Uint8Array
}

interface Outstanding {
  readonly read: BlockRead
  readonly candidates: Member[]
  readonly started: Map<string, number>
  readonly requests: Set<number>
  readonly done: (outcome: BlockContent | VolumeError) => void
  hedgeAtMs: number
  last: VolumeError | undefined
}

/** One read in this many goes to a member that is not the fastest. */
const PROBE_EVERY = 64
const HEDGE_MS_MIN = 1
const HEDGE_FACTOR = 4
/** Weight of the newest measurement in a member's latency. */
const LATENCY_WEIGHT = 0.1

export class BlockReads {
  readonly #client: NodeClient
  readonly #latencyMs = new Map<string, number>()
  readonly #outstanding = new Set<Outstanding>()
  #count = 0
  hedged = 0

  constructor(client: NodeClient) {
    this.#client = client
  }

  /**
   * `done` is called once. The bytes are valid inside the call only.
   * Errors: `ReadPointTooOld`, `StaleVolumeEpoch` and `StaleMembership` at once; others when every full member failed.
   */
  read(read: BlockRead, done: (outcome: BlockContent | VolumeError) => void): void {
    const candidates = this.#order(read.config.members.filter((m) => m.kind === 'full'))
    const outstanding: Outstanding = {
      read,
      candidates,
      started: new Map(),
      requests: new Set(),
      done,
      hedgeAtMs: 0,
      last: undefined,
    }
    this.#outstanding.add(outstanding)
    this.#ask(outstanding)
  }

  #order(members: Member[]): Member[] {
    members.sort((a, b) => (this.#latencyMs.get(a.address) ?? 0) - (this.#latencyMs.get(b.address) ?? 0))
    if (++this.#count % PROBE_EVERY === 0) members.push(members.shift() as Member)
    return members
  }

  #ask(outstanding: Outstanding): void {
    const member = outstanding.candidates.shift()
    if (member === undefined) {
      if (outstanding.requests.size === 0) {
        this.#finish(outstanding, outstanding.last ?? new VolumeError('Unreachable', 'no full member can be asked'))
      } else {
        outstanding.hedgeAtMs = Number.POSITIVE_INFINITY
      }
      return
    }
    const now = this.#client.clock.now()
    const { address } = member
    const { volume, config, block, volumeEpoch, readPoint, minScl } = outstanding.read
    outstanding.started.set(address, now)
    outstanding.hedgeAtMs = now + Math.max(HEDGE_MS_MIN, (this.#latencyMs.get(address) ?? HEDGE_MS_MIN) * HEDGE_FACTOR)
    let request = 0
    let answered = false
    request = this.#client.read(
      address,
      { volume, group: config.group, block, volumeEpoch, membershipEpoch: config.epoch, readPoint, minScl },
      (outcome) => {
        answered = true
        outstanding.requests.delete(request)
        this.#answered(outstanding, address, outcome)
      },
    )
    if (!answered) outstanding.requests.add(request)
  }

  #answered(outstanding: Outstanding, address: string, outcome: Page | VolumeError): void {
    if (!this.#outstanding.has(outstanding)) return
    if (!(outcome instanceof VolumeError)) {
      this.#measure(address, this.#client.clock.now() - (outstanding.started.get(address) as number))
      this.#finish(outstanding, outcome)
      return
    }
    if (outcome.code === 'TimedOut' || outcome.code === 'Unreachable') this.#measure(address, 1000)
    const { code } = outcome
    if (code === 'ReadPointTooOld' || code === 'StaleVolumeEpoch' || code === 'StaleMembership') {
      this.#finish(outstanding, outcome)
      return
    }
    // What a member that is up says is worth more than that another one is down.
    if (outstanding.last === undefined || code !== 'Unreachable') outstanding.last = outcome
    this.#ask(outstanding)
  }

  #measure(address: string, ms: number): void {
    const before = this.#latencyMs.get(address) ?? ms
    this.#latencyMs.set(address, before + (ms - before) * LATENCY_WEIGHT)
  }

  #finish(outstanding: Outstanding, outcome: BlockContent | VolumeError): void {
    this.#outstanding.delete(outstanding)
    for (const request of outstanding.requests) this.#client.cancelRead(request)
    outstanding.done(outcome)
  }

  /** Asks a second member where the first is slow. Called often; looks only at what is outstanding. */
  tick(): void {
    const now = this.#client.clock.now()
    for (const outstanding of this.#outstanding) {
      if (now < outstanding.hedgeAtMs) continue
      this.hedged++
      this.#ask(outstanding)
    }
  }
}
