/**
 * One segment: a node's copy of one protection group of one volume.
 *
 * Records come in through the hot log, are chained (SCL), kept in a memtable, and written to layers once they are
 * known to be durable in the volume. States (docs/spec/volume.md):
 *
 *   active      counts in quorums and, when full, serves reads
 *   suspect     may have lost what it acknowledged: counts nowhere, serves nothing, until gossip has shown that it
 *               holds all that a read quorum of its healthy peers holds
 *   rebuilding  a full segment that is too old to catch up by log: copies layers from a peer; its log still counts
 *
 * Where layers are damaged (`damage`), no read gets past its checksums until a peer has given the blocks anew.
 */
import type { Ancestor, SegmentReport } from '../protocol/calls.ts'
import { Chain } from '../protocol/chain.ts'
import { invariant, VolumeError } from '../protocol/errors.ts'
import type { GroupConfig, Member, SegmentKind } from '../protocol/group.ts'
import { type GroupIndex, type Lsn, maxLsn, minLsn, volumeName, ZERO_LSN } from '../protocol/lsn.ts'
import type { RecordSummary } from '../protocol/message.ts'
import { ownRecord, type RedoRecord } from '../protocol/record.ts'
import { cutBack, isAnnulled } from '../protocol/truncation.ts'
import { Completeness } from './completeness.ts'
import type { LogPosition } from './hot-log.ts'
import { BlockRanges } from './layers/block-ranges.ts'
import type { BlockVersion } from './layers/chain.ts'
import { damagedBlocks } from './layers/layer-damage.ts'
import type { LayerEdit, LayerManifest } from './layers/layer-ref.ts'
import { LayerSet } from './layers/layer-set.ts'
import { type BlockSource, readBlock } from './layers/read-block.ts'
import type { NodeVolume } from './node-volume.ts'
import type { LoggedRecord, SegmentHost } from './segment-host.ts'
import { SegmentLog } from './segment-log.ts'
import {
  makeSegmentFolder,
  readManifest,
  removeSegmentFolder,
  type SegmentManifest,
  segmentFolder,
  writeManifest,
} from './segment-manifest.ts'
import { memtableOf, SegmentMemory } from './segment-memory.ts'

export type SegmentState = 'active' | 'suspect' | 'rebuilding'

export class Segment {
  readonly volume: NodeVolume
  readonly group: GroupIndex
  readonly kind: SegmentKind
  readonly folder: string
  readonly layers: LayerSet
  readonly log: SegmentLog
  readonly #host: SegmentHost
  readonly #chain: Chain<LoggedRecord>
  #config: GroupConfig
  #below: Ancestor | null
  #state: SegmentState
  readonly memory = new SegmentMemory()
  /** Blocks whose layers are known to be damaged. Not durable: who reads them finds it again. */
  readonly damage = new BlockRanges()
  /** All at or below is in layers on disk (full), or on every full member's (tail). */
  #flushed: Lsn
  readonly #complete: Completeness
  #ignoredLog: LogPosition | null
  /** Grows whenever blocks or log were replaced, so that a job begun before knows that it is void. */
  generation = 0

  private constructor(host: SegmentHost, volume: NodeVolume, group: GroupIndex, manifest: SegmentManifest) {
    this.#host = host
    this.volume = volume
    this.group = group
    this.kind = manifest.kind
    this.folder = segmentFolder(volume.state.volume, group)
    this.#config = manifest.config
    this.#below = manifest.below
    this.#state = manifest.suspect ? 'suspect' : 'active'
    this.#flushed = manifest.flushed
    this.#complete = new Completeness(manifest.completeTo, manifest.flushed)
    this.#ignoredLog = manifest.ignoredLog
    this.#chain = new Chain<LoggedRecord>(manifest.flushed)
    this.log = new SegmentLog(manifest.flushed)
    this.layers = LayerSet.fromManifest(manifest.layers, {
      disk: host.disk,
      folder: this.folder,
      volume: volume.state.volume,
      group,
      blockBytes: volume.state.blockBytes,
      layerBytes: host.layerBytes,
      cache: host.layerCache,
    })
  }

  /**
   * Makes a new segment on disk.
   * @param suspect unless nothing was ever written to the group: then an empty segment is a complete one
   */
  static create(
    host: SegmentHost,
    volume: NodeVolume,
    config: GroupConfig,
    below: Ancestor | null,
    suspect: boolean,
  ): Segment {
    const own = config.members.find((m) => m.node === host.node && m.incarnation === host.incarnation)
    invariant(own !== undefined, 'a segment is made for a member of its group')
    makeSegmentFolder(host.disk, segmentFolder(volume.state.volume, config.group))
    const { base } = volume.state
    // What a branch had of its ancestor before it was detached lies below its base, in layers that must be copied
    // first: a peer's log may reach down to the base, and would pass for all there is.
    const from = suspect && own.kind === 'full' && below === null ? ZERO_LSN : base
    const segment = new Segment(host, volume, config.group, {
      format: 1,
      kind: own.kind,
      config,
      below,
      suspect,
      flushed: from,
      completeTo: suspect ? ZERO_LSN : base,
      ignoredLog: null,
      // What a branch shows of its ancestor is below its own layers.
      layers: { ...LayerSet.emptyManifest(), flushedTo: from },
    })
    segment.persist()
    return segment
  }

  /** The segment as its manifest says, without its log; undefined when it was never completely made, or is lost. */
  static load(host: SegmentHost, volume: NodeVolume, group: GroupIndex): Segment | undefined {
    const manifest = readManifest(host.disk, segmentFolder(volume.state.volume, group))
    if (manifest === undefined) return undefined
    const segment = new Segment(host, volume, group, manifest)
    // Layers hold only what is durable.
    volume.learnVdl(maxLsn(manifest.completeTo, manifest.flushed))
    segment.layers.removeStrayFiles()
    return segment
  }

  /** @param changes what is about to be so: noted before it is, so that want of room changes nothing */
  persist(changes: Partial<SegmentManifest> = {}): void {
    writeManifest(this.#host.disk, this.folder, {
      format: 1,
      kind: this.kind,
      config: this.#config,
      below: this.#below,
      suspect: this.#state === 'suspect',
      flushed: this.#flushed,
      completeTo: this.#complete.to,
      ignoredLog: this.#ignoredLog,
      layers: this.layers.toManifest(),
      ...changes,
    })
  }

  get state(): SegmentState {
    return this.#state
  }

  get config(): GroupConfig {
    return this.#config
  }

  get below(): Ancestor | null {
    return this.#below
  }

  /** Whether all that is in its layers can be believed. */
  get isWhole(): boolean {
    return this.#state === 'active' && this.damage.isEmpty
  }

  /** Segment complete LSN. */
  get scl(): Lsn {
    return this.#chain.scl
  }

  get flushed(): Lsn {
    return this.#flushed
  }

  /** Every durable record at or below this LSN is here: read points up to it can be served. */
  get completeTo(): Lsn {
    return this.#complete.to
  }

  /** Whether something is known to be missing: a gap, or a durable point that is not reached. */
  get behind(): boolean {
    return this.#chain.waiting > 0 || this.#complete.point > this.#chain.scl
  }

  get waiting(): number {
    return this.#chain.waiting
  }

  get self(): number {
    return this.#config.members.findIndex((m) => m.node === this.#host.node && m.incarnation === this.#host.incarnation)
  }

  peers(): Member[] {
    return this.#config.members.filter((m) => m.node !== this.#host.node)
  }

  report(): SegmentReport {
    return {
      group: this.group,
      incarnation: this.#host.incarnation,
      kind: this.kind,
      scl: this.scl,
      suspect: this.#state === 'suspect',
      membershipEpoch: this.#config.epoch,
      // Damaged blocks are no reason for a tail to forget the log.
      flushed: this.isWhole ? this.#flushed : ZERO_LSN,
      damagedBlocks: this.damage.count(this.volume.state.blocksPerGroup),
    }
  }

  /** The oldest file of the hot log that this segment needs to survive a restart; it needs none below `least`. */
  oldestLogFile(least: number): number | undefined {
    let oldest = this.log.oldestFile(this.#flushed, least)
    for (const { position } of this.#chain.waitingRecords()) {
      if (oldest === undefined || position.file < oldest) oldest = position.file
    }
    return oldest
  }

  // -------------------------------------------------------------- log

  knows(record: RedoRecord): boolean {
    return this.#chain.knows(record)
  }

  /** Takes an entry of the hot log that was found there when the node started. */
  replay(records: readonly RedoRecord[], position: LogPosition): void {
    const ignored = this.#ignoredLog
    if (
      ignored !== null &&
      (position.file < ignored.file || (position.file === ignored.file && position.offset <= ignored.offset))
    )
      return
    this.insert(
      records.filter((record) => record.lsn > this.#flushed),
      position,
    )
  }

  /**
   * Takes records that are in the hot log at `position`. Annulled ones are passed over. What is kept of the others is
   * copied: their bytes may change when this has returned.
   */
  insert(records: Iterable<RedoRecord>, position: LogPosition): void {
    const { truncations } = this.volume.state
    for (const record of records) {
      if (truncations.length > 0 && isAnnulled(truncations, record.lsn)) continue
      const { lsn, prevGroup } = record
      const kept = prevGroup > this.scl ? ownRecord(record) : record
      this.#chain.offer({ lsn, prevGroup, record: kept, position }, this.#chained)
    }
  }

  readonly #chained = (logged: LoggedRecord): void => {
    this.log.chained(logged.record, logged.position)
    if (this.kind === 'full') this.memory.active.insert(logged.record)
  }

  /** The writer says: at durable point `vdl` this group ends at `lsn`. */
  announced(vdl: Lsn, lsn: Lsn): void {
    this.#complete.announced(vdl, lsn, this.#trustedScl)
  }

  /** The writer says: up to `vdl` nothing was added to this group since the last announcement. */
  unchanged(vdl: Lsn): void {
    this.#complete.unchanged(vdl, this.#trustedScl)
  }

  /** The chain may have reached what was announced. */
  settlePoint(): void {
    this.#complete.reached(this.#trustedScl)
  }

  /** A suspect segment's chain proves nothing. */
  get #trustedScl(): Lsn {
    return this.#state === 'suspect' ? ZERO_LSN : this.scl
  }

  /** A read quorum of members holds nothing durable at or below `vdl` that is not here. */
  provedComplete(vdl: Lsn): void {
    this.#complete.proved(vdl)
  }

  records(above: Lsn, bytesMax: number): Generator<RedoRecord> {
    return this.log.records(above, this.scl, bytesMax, (position) => this.#host.readLog(position))
  }

  summaries(above: Lsn): RecordSummary[] {
    return this.log.summaries(above, this.scl, (position) => this.#host.readLog(position))
  }

  /**
   * Cuts the log as the volume's truncations say. Layers are never touched: they hold only what is durable.
   * @throws VolumeError `Invariant` when a truncation reaches into them
   */
  truncate(): void {
    const { truncations } = this.volume.state
    let end = cutBack(truncations, this.scl)
    if (end < this.scl) {
      invariant(end >= this.#flushed, () => `a truncation at ${end} reaches into layers that hold ${this.#flushed}`)
      end = this.log.truncate(end, (position) => this.#host.readLog(position))
      invariant(end >= this.#flushed, () => `the chain would end at ${end}, below what is in layers, ${this.#flushed}`)
      this.memory.dropAbove(end)
    }
    this.#chain.restart(end, ({ lsn }) => !isAnnulled(truncations, lsn), this.#chained)
    if (this.#complete.point > this.scl) this.#complete.forgetPoint()
    this.generation++
  }

  /** The history of truncations does not reach back to what this segment knew: only its layers can be believed. */
  forgetLog(): void {
    const ignoredLog = this.#host.lastLogEntry()
    this.persist({ ignoredLog, suspect: true, completeTo: ZERO_LSN })
    this.#ignoredLog = ignoredLog
    this.memory.replace()
    this.log.restart(this.#flushed)
    this.#chain.restart(this.#flushed, () => false, this.#chained)
    this.generation++
    this.#doubt()
  }

  /** A tail takes up the log at `from`, the lowest that any peer can offer; what is below lies in layers elsewhere. */
  restartLog(from: Lsn): void {
    invariant(this.kind === 'tail' && from > this.scl, 'only a tail that is behind starts its log anew')
    this.persist({ flushed: from })
    this.#flushed = from
    this.log.restart(from)
    this.#chain.restart(from, () => true, this.#chained)
  }

  // -------------------------------------------------------------- memory to disk

  /** Layers may only hold what no recovery can cut. */
  get canFlush(): boolean {
    return this.memory.frozen !== undefined && this.memory.frozen.maxLsn <= this.volume.vdl
  }

  /** The frozen memtable was written as layers. */
  installFlush(edit: LayerEdit): void {
    const { frozen } = this.memory
    invariant(frozen !== undefined && this.canFlush, 'nothing was being flushed')
    const before = this.#flushed
    this.#flushed = maxLsn(before, frozen.maxLsn)
    try {
      this.layers.install(edit, () => this.persist())
    } catch (error) {
      this.#flushed = before
      throw error
    }
    this.memory.flushed()
  }

  /** Every full member has all up to `upTo` in layers: a tail need not keep it. */
  dropFlushedElsewhere(upTo: Lsn): void {
    const until = minLsn(minLsn(upTo, this.scl), this.volume.vdl)
    if (this.kind !== 'tail' || until <= this.#flushed) return
    const from = this.log.fromAfter(until)
    if (from <= this.#flushed) return
    this.persist({ flushed: from })
    this.#flushed = from
    this.log.dropTo(until)
  }

  // -------------------------------------------------------------- reads

  /** All that is known of the segment's blocks, for background work. */
  get blocks(): BlockSource {
    return { memtables: this.memory.memtables, layers: this.layers, parentRead: this.readBelow }
  }

  /**
   * A block as it was at a read point.
   * @returns version 0 without bytes when it was never written: it is zeros
   * @throws VolumeError `ReadPointTooOld`, `ReadPointAhead`, `SuspectSegment`, `Corrupt`: this copy cannot say
   */
  read(block: number, readPoint: Lsn, minScl: Lsn | null): BlockVersion {
    this.checkReadable(readPoint, minScl)
    this.volume.checkReadPoint(readPoint)
    return readBlock(block, readPoint, this.memory.memtables, this.layers, this.readBelow)
  }

  /** @throws VolumeError unless everything durable at or below the read point is here */
  checkReadable(readPoint: Lsn, minScl: Lsn | null): void {
    if (this.kind === 'tail') throw new VolumeError('BadRequest', 'a tail segment holds no blocks')
    if (this.#state !== 'active') throw new VolumeError('SuspectSegment', `the segment is ${this.#state}`)
    const complete = readPoint <= this.#complete.to || (minScl !== null && this.scl >= minScl)
    if (!complete) throw new VolumeError('ReadPointAhead', `complete to ${this.#complete.to}, asked for ${readPoint}`)
  }

  /** What a branch sees of its ancestor. */
  readonly readBelow = (block: number, readPoint: Lsn): BlockVersion | undefined => {
    if (this.#below === null) return undefined
    const ancestor = this.#host.sibling(this.#below.volume, this.group)
    if (ancestor === undefined) {
      throw new VolumeError('ReadPointAhead', `the ancestor ${volumeName(this.#below.volume)} has no segment here yet`)
    }
    try {
      return ancestor.read(block, minLsn(readPoint, this.#below.lsn), null)
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'Corrupt') throw error
      this.#host.damaged(ancestor, error)
      throw new VolumeError('SuspectSegment', 'what the branch shows of its ancestor is being mended', { cause: error })
    }
  }

  // -------------------------------------------------------------- life

  #doubt(): void {
    this.#state = 'suspect'
    this.#complete.lost()
  }

  becomeSuspect(): void {
    if (this.#state === 'suspect') return
    this.#doubt()
    this.persist()
  }

  /** Gossip has shown that nothing is missing. */
  healed(): void {
    invariant(this.#state !== 'active', 'an active segment has nothing to heal')
    if (this.#state === 'suspect') this.persist({ suspect: false })
    this.#state = 'active'
  }

  /** Notes which blocks are damaged. @returns whether any of them was not known to be */
  noteDamage(error: VolumeError): boolean {
    let isNew = false
    for (const { from, to } of damagedBlocks(this.layers.refs, error)) isNew = this.damage.add(from, to) || isNew
    return isNew
  }

  /** The log that is missing is nowhere kept. Reads stop; the log goes on. */
  beginRebuild(): void {
    invariant(this.kind === 'full', 'a tail has nothing to rebuild')
    if (this.#state === 'active') this.#state = 'rebuilding'
  }

  /**
   * Copied layers take the place of the old ones.
   * @param flushed what the source had in layers
   * @param below what shows through them
   */
  rebuilt(layers: LayerManifest, flushed: Lsn, completeTo: Lsn, below: Ancestor | null): void {
    const memtable = flushed > this.scl ? undefined : memtableOf(this.records(flushed, Number.MAX_SAFE_INTEGER))
    // What it acknowledged above is gone with its memory.
    const again = flushed < this.#flushed ? this.log.oldestFile(flushed, 0) : undefined
    if (again !== undefined) this.#host.needsLogFile(again)
    const isDoubtful = this.#state === 'suspect' || (memtable === undefined && flushed < this.scl)
    const complete = this.#state === 'rebuilding' ? maxLsn(this.#complete.to, completeTo) : this.#complete.to
    const nextId = Math.max(layers.nextId, this.layers.toManifest().nextId)
    this.persist({
      layers: { ...layers, nextId },
      below,
      flushed,
      suspect: isDoubtful,
      completeTo: isDoubtful ? ZERO_LSN : complete,
    })
    this.layers.replace(layers)
    this.damage.clear()
    this.#below = below
    this.generation++
    this.memory.replace(memtable)
    if (memtable === undefined) {
      this.log.restart(flushed)
      this.#chain.restart(flushed, () => true, this.#chained)
    }
    this.#flushed = flushed
    if (isDoubtful) this.#doubt()
    else {
      this.#state = 'active'
      this.#complete.proved(complete)
    }
    this.layers.removeStrayFiles()
  }

  /** Adopts a newer membership. Answers whether it was newer. */
  adopt(config: GroupConfig): boolean {
    if (config.epoch <= this.#config.epoch) return false
    this.persist({ config })
    this.#config = config
    return true
  }

  /** All that was seen through the branch is its own now. */
  detached(): void {
    this.persist({ below: null })
    this.#below = null
  }

  remove(): void {
    this.generation++
    this.layers.close()
    removeSegmentFolder(this.#host.disk, this.folder)
  }
}
