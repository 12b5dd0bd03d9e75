/**
 * Volumes of a fleet: making, opening, branching, pinning, collecting, deleting them. Everything here is constant in
 * the size of a volume but for what is said to go group by group.
 */
import type { Ancestor, Calls } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, groupIndex, type Lsn, minLsn, type VolumeId, volumeId, volumeName } from '../protocol/lsn.ts'
import { gather } from './gather.ts'
import { inheritedGroups, lineage } from './lineage.ts'
import { VolumeOpening } from './open.ts'
import { update, volumeKey } from './registry.ts'
import { changeVolume, createVolume as createCell, listVolumes, readGroup, readVolume } from './registry-cells.ts'
import { checkDetachable, checkLive, detachParent, markDeleting } from './volume-changes.ts'
import type { VolumeContext } from './volume-context.ts'
import { configureAddress, createVolumeGroup } from './volume-groups.ts'
import { newBranch, newVolume, type VolumeRecord, volumeState } from './volume-record.ts'
import { addPin, advanceCutoff, expireLeases, removePin } from './volume-retention.ts'
import { durableAt, durablePoint, VolumeView } from './volume-view.ts'
import { VolumeWriter } from './writer.ts'
import { writerControl } from './writer-control.ts'
import { DEFAULT_WRITER_OPTIONS, type WriterOptions } from './writer-options.ts'

export interface VolumeGeometry {
  /** A multiple of 16, at most 64 KiB. */
  readonly blockBytes: number
  readonly blocksPerGroup: number
}

/** 8 KiB are PostgreSQL's page and half of InnoDB's; 10 GiB a group (SIGMOD 2017, section 2.2). */
export const DEFAULT_GEOMETRY: VolumeGeometry = { blockBytes: 8192, blocksPerGroup: 1_310_720 }

const FIRST_GROUP = groupIndex(0)

/** Making a volume gives up after this time. */
const CREATE_MS_MAX = 15_000
const CREATE_PAUSE_MS = 100

function checkGeometry({ blockBytes, blocksPerGroup }: VolumeGeometry): void {
  if (!Number.isSafeInteger(blockBytes) || blockBytes % 16 !== 0 || blockBytes < 16 || blockBytes > 65_536 - 1024) {
    throw new VolumeError('BadRequest', 'a block has a multiple of 16 bytes, up to 64,512')
  }
  if (!Number.isSafeInteger(blocksPerGroup) || blocksPerGroup < 1 || blocksPerGroup >= 2 ** 32 - 1) {
    throw new VolumeError('BadRequest', 'a protection group has 1 to 2^32 - 2 blocks')
  }
}

export class Volumes {
  readonly #context: VolumeContext
  readonly #writers = new Set<VolumeWriter>()
  readonly #views = new Set<VolumeView>()

  constructor(context: VolumeContext) {
    this.#context = context
  }

  /** For a volume that is to be recorded somewhere before it is made. */
  newId(): VolumeId {
    return volumeId(1 + Math.floor(this.#context.random() * (2 ** 32 - 2)))
  }

  // -------------------------------------------------------------- making and opening

  /**
   * Makes a volume of zeros with its first protection group.
   * @param chosen of `newId`; making it again goes on where it was interrupted
   * @throws VolumeError `BadRequest`, `NoQuorum`
   */
  async create(geometry: VolumeGeometry = DEFAULT_GEOMETRY, chosen?: VolumeId): Promise<VolumeId> {
    checkGeometry(geometry)
    const id = chosen ?? this.newId()
    await this.#createCell(newVolume(id, geometry.blockBytes, geometry.blocksPerGroup), chosen !== undefined)
    await this.#createFirstGroup(id)
    return id
  }

  async #createCell(record: VolumeRecord, mayBeThere: boolean): Promise<void> {
    try {
      await createCell(this.#context.registry, record)
    } catch (error) {
      // Made by whoever was interrupted.
      if (!mayBeThere || !(error instanceof VolumeError) || error.code !== 'AlreadyExists') throw error
    }
  }

  /** Nodes that are being started, or are very busy, take their time. */
  async #createFirstGroup(id: VolumeId): Promise<void> {
    const { clock } = this.#context
    for (const endMs = clock.now() + CREATE_MS_MAX; ; await this.#context.pause(CREATE_PAUSE_MS)) {
      try {
        await createVolumeGroup(this.#context, id, 0, FIRST_GROUP)
        return
      } catch (error) {
        const mayCome = error instanceof VolumeError && error.code === 'NoQuorum' && clock.now() < endMs
        if (!mayCome) throw error
      }
    }
  }

  /**
   * Opens a volume for writing: recovers it and fences whoever wrote before.
   * @throws VolumeError `NotFound`, `NoQuorum`, `Fenced`
   */
  async open(id: VolumeId, options: Partial<WriterOptions> = {}): Promise<VolumeWriter> {
    const opened = await new VolumeOpening(this.#context, id).run()
    const { client, reads } = this.#context
    const writer = new VolumeWriter(
      {
        client,
        reads,
        control: writerControl(this.#context, id, opened.state.epoch),
        defer: (callback) => this.#context.defer(callback),
        pause: (ms) => this.#context.pause(ms),
      },
      opened,
      { ...DEFAULT_WRITER_OPTIONS, ...options },
    )
    this.#writers.add(writer)
    return writer
  }

  /** Opens a read-only view, at an LSN or at the durable head. @throws as `VolumeView.open` */
  async view(id: VolumeId, at?: Lsn): Promise<VolumeView> {
    const view = await VolumeView.open(this.#context, id, at)
    this.#views.add(view)
    return view
  }

  async get(id: VolumeId): Promise<VolumeRecord> {
    return (await readVolume(this.#context.registry, id)).record
  }

  list(): Promise<VolumeId[]> {
    return listVolumes(this.#context.registry)
  }

  /** How far a volume is durable, as its nodes know it. */
  async head(id: VolumeId): Promise<Lsn> {
    return durablePoint(this.#context, await this.get(id))
  }

  // -------------------------------------------------------------- branches and pins

  /** @throws VolumeError `ReadPointAhead` for an LSN that is not durable yet, `NotFound` when it is being deleted */
  async #point(parent: VolumeRecord, at: Lsn | undefined): Promise<Lsn> {
    checkLive(parent)
    return durableAt(this.#context, parent, at)
  }

  /**
   * Makes a branch: a volume that shows `parent` as it was at an LSN and goes on from there on its own.
   * @param chosen of `newId`; making it again, at the same LSN, goes on where it was interrupted
   * @throws VolumeError `NotFound`, `ReadPointTooOld`, `ReadPointAhead`
   */
  async branch(parent: VolumeId, at?: Lsn, chosen?: VolumeId): Promise<VolumeId> {
    const { registry } = this.#context
    const record = await this.get(parent)
    const lsn = await this.#point(record, at)
    const id = chosen ?? this.newId()
    // Pinned before it exists: what it shows cannot be collected in between.
    const pinned = await changeVolume(registry, parent, (volume) =>
      addPin(volume, { id: volumeName(id), kind: 'branch', lsn }),
    )
    await this.#createCell(newBranch(id, pinned.record, lsn), chosen !== undefined)
    return id
  }

  /** Keeps what is visible at an LSN until `unpin`. @returns the LSN */
  async pin(id: VolumeId, name: string, at?: Lsn): Promise<Lsn> {
    const lsn = await this.#point(await this.get(id), at)
    await changeVolume(this.#context.registry, id, (volume) => addPin(volume, { id: name, kind: 'pin', lsn }))
    return lsn
  }

  /** @throws VolumeError `NotFound` for a name that is not a pin */
  async unpin(id: VolumeId, name: string): Promise<void> {
    await changeVolume(this.#context.registry, id, (volume) => {
      const pin = volume.pins.find((each) => each.id === name)
      if (pin?.kind !== 'pin') throw new VolumeError('NotFound', `${volumeName(id)} has no pin ${name}`)
      return removePin(volume, name)
    })
  }

  /**
   * Makes a branch a volume of its own: copies what it shows of its parent, group by group, on each full member, then
   * lets go of the parent. May be called again after it failed half way.
   * @throws VolumeError `NotFound`, `BadRequest` while the branch has branches: they see the parent through it
   */
  async detach(id: VolumeId): Promise<void> {
    const { registry } = this.#context
    const { record } = await readVolume(registry, id)
    checkDetachable(record)
    if (record.parent === null) return
    const { parent } = record
    const ancestors = await lineage(registry, record)
    const done = new Set<GroupIndex>()
    for (let isDetached = false; !isDetached; ) {
      const { record: present } = await readVolume(registry, id)
      for (const group of new Set([...inheritedGroups(ancestors), ...present.groups.keys()])) {
        if (done.has(group)) continue
        if (present.groups.get(group) !== 'active') await createVolumeGroup(this.#context, id, record.epoch, group)
        await this.#materialise(id, record.placement, group)
        done.add(group)
      }
      // A group that the writer has made meanwhile shows its ancestor, too.
      await changeVolume(registry, id, (volume) => {
        isDetached = [...volume.groups.keys()].every((group) => done.has(group))
        return isDetached ? detachParent(volume) : volume
      })
    }
    await changeVolume(registry, parent.volume, (volume) => removePin(volume, volumeName(id)))
    await this.#refreshNodes(id)
  }

  /** All full members have to be done: any of them may be the source of a copy. */
  async #materialise(id: VolumeId, placement: VolumeId, group: GroupIndex): Promise<void> {
    for (;;) {
      checkLive(await this.get(id))
      const { record: config } = await readGroup(this.#context.registry, placement, group)
      const full = config.members.filter(({ kind }) => kind === 'full')
      const { answers } = await gather(
        full,
        ({ address }) => this.#materialiseOn(address, id, group),
        () => false,
      )
      if (answers.size === full.length && [...answers.values()].every((done) => done)) return
      await this.#context.pause(50)
    }
  }

  async #materialiseOn(address: string, volume: VolumeId, group: GroupIndex): Promise<boolean> {
    try {
      return (await this.#context.client.call(address, 'materialise', { volume, group })).value.done
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'UnknownSegment') throw error
      // A member that was away when the group was made.
      await configureAddress(this.#context, volume, group, address)
      return false
    }
  }

  // -------------------------------------------------------------- past

  /**
   * The last consistency point at or before a wall clock time, within a second. For a time from before a branch was
   * made the answer names the ancestor whose LSN it is: branch from that.
   * @throws VolumeError `ReadPointTooOld` when the volume knows nothing that old
   */
  async lsnAt(id: VolumeId, wallClockMs: number): Promise<Ancestor> {
    const { registry, client } = this.#context
    let limit: Lsn | undefined
    for (let record: VolumeRecord | undefined = await this.get(id); record !== undefined; ) {
      const of: VolumeRecord = record
      if (of.groups.get(FIRST_GROUP) === 'active') {
        const { record: config } = await readGroup(registry, of.placement, FIRST_GROUP)
        const { answers } = await gather(
          config.members.filter(({ kind }) => kind === 'full'),
          async ({ address }) =>
            (await client.call(address, 'lsnAt', { volume: of.id, wallClockMs: Math.floor(wallClockMs) })).value.lsn,
          () => false,
        )
        if (answers.size === 0) throw new VolumeError('Unreachable', `no full member of ${volumeName(of.id)} answered`)
        const found = [...answers.values()].reduce(
          (best: Lsn | null, at) => (at !== null && (best === null || at > best) ? at : best),
          null,
        )
        if (found !== null) return { volume: of.id, lsn: limit === undefined ? found : minLsn(found, limit) }
      }
      limit = of.parent === null ? limit : minLsn(of.parent.lsn, limit ?? of.parent.lsn)
      record = of.parent === null ? undefined : await this.get(of.parent.volume)
    }
    throw new VolumeError('ReadPointTooOld', `${volumeName(id)} has no record from before that time`)
  }

  /**
   * Lets go of what is older than an LSN, but for pins, branches and open views, and tells all nodes.
   * @returns the cutoff in force
   */
  async collect(id: VolumeId, to: Lsn): Promise<Lsn> {
    const head = await this.head(id)
    const nowMs = Math.floor(this.#context.clock.wallClock())
    const { record } = await changeVolume(this.#context.registry, id, (volume) =>
      advanceCutoff(expireLeases(volume, nowMs), minLsn(to, head), nowMs),
    )
    await this.#refreshNodes(id)
    return record.cutoff
  }

  /** Tells every node that can be reached what of the past is kept. Those that cannot learn it later and keep more. */
  async #refreshNodes(id: VolumeId): Promise<void> {
    const { record, version } = await readVolume(this.#context.registry, id)
    const { cutoff, pins, grantVersion } = volumeState(record, version)
    const argument: Calls['grant']['argument'] = { volume: id, cutoff, pins, grantVersion }
    await this.#everyNode(record, (address) => this.#context.client.call(address, 'grant', argument))
  }

  async #everyNode(record: VolumeRecord, ask: (address: string) => Promise<unknown>): Promise<readonly VolumeError[]> {
    const addresses = new Set<string>()
    for (const group of record.groups.keys()) {
      const { record: config } = await readGroup(this.#context.registry, record.placement, group)
      for (const { address } of config.members) addresses.add(address)
    }
    return (await gather([...addresses], ask, () => false)).errors
  }

  /**
   * Deletes a volume that no branch shows.
   * @throws VolumeError `BadRequest` while branches show it, `Unreachable` when a node could not be told: call again
   */
  async delete(id: VolumeId): Promise<void> {
    const { registry } = this.#context
    const { record } = await readVolume(registry, id)
    if (record.stage === 'live') await changeVolume(registry, id, markDeleting)
    const errors = await this.#everyNode(record, (address) =>
      this.#context.client.call(address, 'drop', { volume: id }),
    )
    if (errors[0] !== undefined)
      throw new VolumeError('Unreachable', `not every node could be told to drop ${volumeName(id)}`, {
        cause: errors[0],
      })
    if (record.parent !== null)
      await changeVolume(registry, record.parent.volume, (volume) => removePin(volume, volumeName(id)))
    await update(registry, volumeKey(id), () => null)
  }

  // -------------------------------------------------------------- time

  /** To be called every few milliseconds: resends, hedges, announces, renews leases. */
  tick(): void {
    this.#context.client.tick()
    this.#context.reads.tick()
    for (const writer of this.#writers) {
      if (writer.state === 'open') writer.tick()
      else this.#writers.delete(writer)
    }
    for (const view of this.#views) {
      if (view.state === 'open') view.tick()
      else this.#views.delete(view)
    }
  }

  /** Ends all writers, as with a crash, and all views; their leases run out. */
  close(): void {
    for (const writer of this.#writers) writer.close()
    this.#writers.clear()
    this.#views.clear()
  }
}
