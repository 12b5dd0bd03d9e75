/**
 * A read-only view of a volume at an LSN: the head of a moment ago, any point of the past that is kept, or a point that
 * follows the durable head. Reads ask one full segment; no quorum and no writer is needed.
 *
 * A view is a lease: what it may read is not collected while it is renewed. A view whose lease has run out stops.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { GroupConfig } from '../protocol/group.ts'
import { type BlockNumber, type GroupIndex, groupIndex, type Lsn, minLsn, type VolumeId } from '../protocol/lsn.ts'
import { checkBlock } from './change.ts'
import { gather } from './gather.ts'
import { type AncestorRecord, lineage } from './lineage.ts'
import { changeVolume, readGroup, readVolume } from './registry-cells.ts'
import { checkLive } from './volume-changes.ts'
import type { VolumeContext } from './volume-context.ts'
import type { VolumeRecord } from './volume-record.ts'
import { addPin, removePin, renewLease } from './volume-retention.ts'

/** Where a block of the view lies: nothing when no ancestor has its group. */
interface Place {
  readonly volume: VolumeId
  readonly config: GroupConfig
  readonly readPoint: Lsn
}

const LEASE_MS = 60_000
const RENEW_MS = LEASE_MS / 3
/** Nodes may need a moment to prove that they are complete up to the read point. */
const READ_TRIES_MAX = 100
const READ_PAUSE_MS = 20

/** The volumes that a reader sees through: its own and its ancestors', and the memberships of their groups. */
class Geography {
  readonly record: VolumeRecord
  readonly ancestors: readonly AncestorRecord[]
  readonly #configs = new Map<GroupIndex, GroupConfig>()

  constructor(record: VolumeRecord, ancestors: readonly AncestorRecord[]) {
    this.record = record
    this.ancestors = ancestors
  }

  static async load(context: VolumeContext, id: VolumeId): Promise<Geography> {
    const { record } = await readVolume(context.registry, id)
    return new Geography(record, await lineage(context.registry, record))
  }

  async place(context: VolumeContext, group: GroupIndex, readPoint: Lsn): Promise<Place | undefined> {
    let at: { volume: VolumeId; readPoint: Lsn } | undefined
    if (this.record.groups.get(group) === 'active' && readPoint >= this.record.base)
      at = { volume: this.record.id, readPoint }
    else {
      const ancestor = this.ancestors.find(({ record }) => record.groups.get(group) === 'active')
      if (ancestor !== undefined) at = { volume: ancestor.record.id, readPoint: minLsn(readPoint, ancestor.lsn) }
    }
    if (at === undefined) return undefined
    let config = this.#configs.get(group)
    if (config === undefined) {
      config = (await readGroup(context.registry, this.record.placement, group)).record
      this.#configs.set(group, config)
    }
    return { ...at, config }
  }

  /** The membership has changed. */
  forget(group: GroupIndex): void {
    this.#configs.delete(group)
  }
}

const groupOf = (record: VolumeRecord, block: number): GroupIndex =>
  groupIndex(Math.floor(block / record.blocksPerGroup))

async function readBlock(
  context: VolumeContext,
  geography: Geography,
  block: BlockNumber,
  readPoint: Lsn,
): Promise<Uint8Array> {
  const { record } = geography
  const group = groupOf(record, block)
  for (let tries = 1; ; tries++) {
    const place = await geography.place(context, group, readPoint)
    if (place === undefined) return new Uint8Array(record.blockBytes)
    const outcome = await new Promise<Uint8Array | VolumeError>((resolve) => {
      const read = { ...place, block: block % record.blocksPerGroup, volumeEpoch: 0, minScl: null }
      context.reads.read(read, (answer) => {
        if (answer instanceof VolumeError) resolve(answer)
        else {
          const bytes = new Uint8Array(record.blockBytes)
          bytes.set(answer.bytes)
          resolve(bytes)
        }
      })
    })
    if (!(outcome instanceof VolumeError)) return outcome
    if (!outcome.retryable || tries === READ_TRIES_MAX) throw outcome
    if (outcome.code === 'StaleMembership') geography.forget(group)
    await context.pause(READ_PAUSE_MS)
  }
}

/** One block of a volume at an LSN that is known to be kept (of a branch's ancestor, say). */
export async function readAt(
  context: VolumeContext,
  record: VolumeRecord,
  block: BlockNumber,
  readPoint: Lsn,
): Promise<Uint8Array> {
  return readBlock(context, new Geography(record, await lineage(context.registry, record)), block, readPoint)
}

/**
 * The highest durable point of a volume that any of its nodes has heard of: at least everything that was durable some
 * 20 ms ago, while there is a writer.
 * @throws VolumeError `Unreachable` when no node of the first group answers
 */
export async function durablePoint(context: VolumeContext, record: VolumeRecord): Promise<Lsn> {
  const [first] = [...record.groups].filter(([, stage]) => stage === 'active').sort(([a], [b]) => a - b)
  if (first === undefined) return record.base
  const { record: config } = await readGroup(context.registry, record.placement, first[0])
  const addresses = config.members.map(({ address }) => address)
  const { answers, errors } = await gather(
    addresses,
    async (address) => (await context.client.call(address, 'head', { volume: record.id })).value.vdl,
    (some) => some.size >= 3,
  )
  if (answers.size === 0) throw errors[0] ?? new VolumeError('Unreachable', 'no node of the volume answered')
  return [...answers.values()].reduce((highest, vdl) => (vdl > highest ? vdl : highest), record.base)
}

/** Nodes hear of a durable point 20 ms after the writer knew it, of one whose announcement was lost after a second. */
const ANNOUNCED_MS_MAX = 1500
const ANNOUNCED_PAUSE_MS = 10

/**
 * An LSN that is known to be durable: `at`, waiting a moment for the nodes to hear of it, or the durable point.
 * @throws VolumeError `ReadPointAhead` when `at` is not durable, `Unreachable`
 */
export async function durableAt(context: VolumeContext, record: VolumeRecord, at: Lsn | undefined): Promise<Lsn> {
  const deadlineMs = context.clock.now() + ANNOUNCED_MS_MAX
  for (;;) {
    const head = await durablePoint(context, record)
    if (at === undefined) return head
    if (at <= head) return at
    if (context.clock.now() >= deadlineMs) {
      throw new VolumeError('ReadPointAhead', `${at} is above the durable point ${head}`)
    }
    await context.pause(ANNOUNCED_PAUSE_MS)
  }
}

export type ViewState = 'open' | 'expired' | 'closed'

export class VolumeView {
  readonly #context: VolumeContext
  readonly #lease: string
  /** Where the lease lies: everything from there on is kept for this view. */
  readonly #since: Lsn
  #geography: Geography
  #readPoint: Lsn
  #state: ViewState = 'open'
  #renewAtMs: number
  #renewing = false

  private constructor(context: VolumeContext, geography: Geography, lease: string, readPoint: Lsn) {
    this.#context = context
    this.#geography = geography
    this.#lease = lease
    this.#since = readPoint
    this.#readPoint = readPoint
    this.#renewAtMs = context.clock.now() + RENEW_MS
  }

  /**
   * Opens a view, in constant time whatever the volume's size.
   * @param at an LSN, or nothing for the durable head
   * @throws VolumeError `NotFound`, `ReadPointTooOld` when that version may be collected, `ReadPointAhead`
   */
  static async open(context: VolumeContext, id: VolumeId, at?: Lsn): Promise<VolumeView> {
    const { record } = await readVolume(context.registry, id)
    checkLive(record)
    const readPoint = await durableAt(context, record, at)
    const lease = `lease-${Math.floor(context.random() * 2 ** 48).toString(16)}`
    const expiresAtMs = Math.floor(context.clock.wallClock()) + LEASE_MS
    await changeVolume(context.registry, id, (volume) =>
      addPin(volume, { id: lease, kind: 'lease', lsn: readPoint, expiresAtMs }),
    )
    // Read again: groups that were made up to the read point are in the record now.
    return new VolumeView(context, await Geography.load(context, id), lease, readPoint)
  }

  get readPoint(): Lsn {
    return this.#readPoint
  }

  get state(): ViewState {
    return this.#state
  }

  get record(): VolumeRecord {
    return this.#geography.record
  }

  #check(): void {
    if (this.#state === 'open') return
    throw new VolumeError(this.#state === 'expired' ? 'LeaseExpired' : 'Closed', `the view is ${this.#state}`)
  }

  /**
   * A block as it was at the read point, or at one that the view had before: whoever has to see one state goes on with
   * the read point that he began with, wherever the view has moved to. The caller owns the answer.
   * @throws VolumeError `BadRequest` for a read point that it never had
   */
  async read(block: BlockNumber, at: Lsn = this.#readPoint): Promise<Uint8Array> {
    this.#check()
    checkBlock(block)
    if (at < this.#since || at > this.#readPoint)
      throw new VolumeError('BadRequest', `the view was at ${this.#since} to ${this.#readPoint}, never at ${at}`)
    const bytes = await readBlock(this.#context, this.#geography, block, at)
    this.#check()
    return bytes
  }

  /**
   * Moves the read point up to the durable head. The lease stays where it began: what was read before may be read
   * again.
   * @returns the new read point
   */
  async follow(): Promise<Lsn> {
    this.#check()
    const { id, geometryEpoch } = this.#geography.record
    const head = await durablePoint(this.#context, this.#geography.record)
    if (head <= this.#readPoint) return this.#readPoint
    // A group that was made since then is in the record before anything in it is durable.
    const { record } = await readVolume(this.#context.registry, id)
    if (record.geometryEpoch !== geometryEpoch) this.#geography = new Geography(record, this.#geography.ancestors)
    this.#readPoint = head
    return head
  }

  /** To be called every second or so: renews the lease. */
  tick(): void {
    if (this.#state !== 'open' || this.#renewing || this.#context.clock.now() < this.#renewAtMs) return
    this.#renewing = true
    const nowMs = Math.floor(this.#context.clock.wallClock())
    changeVolume(this.#context.registry, this.record.id, (volume) =>
      renewLease(volume, this.#lease, nowMs + LEASE_MS, nowMs),
    ).then(
      () => {
        this.#renewing = false
        this.#renewAtMs = this.#context.clock.now() + RENEW_MS
      },
      (error: unknown) => {
        this.#renewing = false
        // Anything but a lease that has run out is tried again with the next tick.
        if (error instanceof VolumeError && (error.code === 'LeaseExpired' || error.code === 'NotFound'))
          this.#state = 'expired'
      },
    )
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    await changeVolume(this.#context.registry, this.record.id, (volume) => removePin(volume, this.#lease))
  }
}
