/**
 * A storage node: the eight steps of SIGMOD 2017, section 3.3, over one disk and one thread.
 *
 * Foreground: receive, append to the hot log, acknowledge with SCL (`receive`, `commit`). Background, a slice at a time
 * and only when nothing is to be received: coalesce, flush, merge, collect, scrub (`background-work.ts`). Between both:
 * gossip and copying of layers (`tick`). A node has no vote: it takes every well-formed record of the right epochs.
 */
import type { SegmentReport, VolumeState } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, type Lsn, type NodeId, type VolumeId, ZERO_LSN } from '../protocol/lsn.ts'
import {
  type Ack,
  APPEND_HEADER_BYTES,
  encodeAck,
  encodeFailure,
  encodePage,
  MessageType,
  readAppend,
  readCall,
  readRead,
  readVdl,
  type Status,
  writeAppendHeader,
} from '../protocol/message.ts'
import type { RedoRecord } from '../protocol/record.ts'
import { alignedBuffer } from './aligned.ts'
import { BackgroundWork } from './background-work.ts'
import type { Disk } from './disk.ts'
import { readState, writeState } from './durable-state.ts'
import { Gossip } from './gossip.ts'
import { HotLog, type LogPosition } from './hot-log.ts'
import { LayerCopy } from './layer-copy.ts'
import { LayerCache } from './layers/layer-cache.ts'
import { NodeCalls } from './node-calls.ts'
import { DEFAULT_NODE_OPTIONS, type NodeOptions } from './node-options.ts'
import type { NodeConfig, NodeEnv, NodePort } from './node-port.ts'
import { NodeVolume } from './node-volume.ts'
import { PeerCalls } from './peer-calls.ts'
import { groupsOnDisk, Segment, type SegmentHost } from './segment.ts'
import { recordsOfEntry } from './segment-log.ts'

/** What a node is, for life; written when its disk is formatted. */
export interface NodeIdentity {
  readonly node: NodeId
  readonly zone: string
  /** Random: an emptied disk is another node. */
  readonly incarnation: string
}

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

const IDENTITY_FOLDER = 'node'
const IDENTITY = 'identity'
const EMPTY = new Uint8Array(0)

/** Out-of-order records that a segment keeps; more are left to gossip. */
const WAITING_MAX = 4096

/** The `bytes` of the memory that memtables may take is this many times `memoryBytesMax` before appends are refused. */
const REFUSE_FACTOR = 2

export class StorageNode implements NodePort {
  readonly identity: NodeIdentity
  readonly incarnation: string
  readonly options: NodeOptions
  readonly peers: PeerCalls
  readonly volumes = new Map<VolumeId, NodeVolume>()
  readonly counters: Record<string, number> = {}
  readonly #env: NodeEnv
  readonly #disk: Disk
  readonly #log: HotLog
  readonly #calls: NodeCalls
  readonly #work: BackgroundWork
  readonly #segments = new Map<VolumeId, Map<GroupIndex, Segment>>()
  readonly #gossip = new Map<Segment, Gossip>()
  readonly #copies = new Map<Segment, LayerCopy>()
  readonly #host: SegmentHost
  #staged: Staged[] = []
  #full = false
  #lastLogEntry: LogPosition | null = null
  #nextSpaceCheckMs = 0

  /**
   * Starts a node on a disk, formatting it when it is empty, and replays its log.
   * @throws VolumeError `Corrupt` when what the node promised is lost: it has to be replaced
   */
  constructor(env: NodeEnv, disk: Disk, config: NodeConfig, options: NodeOptions) {
    this.#env = env
    this.#disk = disk
    this.options = options
    this.identity = loadIdentity(env, disk, config)
    this.incarnation = this.identity.incarnation
    this.peers = new PeerCalls(
      (address, message) => env.sendTo(address, message),
      () => env.now(),
    )
    disk.makeFolder('volumes')
    disk.makeFolder('segments')
    disk.syncFolder('')
    this.#host = {
      disk,
      node: this.identity.node,
      incarnation: this.identity.incarnation,
      layerCache: new LayerCache({ bytesMax: options.indexCacheBytes }),
      layerBytes: options.layerBytes,
      readLog: (position) => this.#log.read(position),
      lastLogEntry: () => this.#lastLogEntry,
      sibling: (volume, group) => this.segment(volume, group),
    }
    for (const volume of NodeVolume.load(disk)) this.#loadVolume(volume)
    this.#log = this.#replay()
    this.#work = new BackgroundWork({
      options: this.options,
      disk,
      now: () => env.now(),
      segments: () => this.segments(),
      count: (name) => this.count(name),
      damaged: (segment) => this.damaged(segment),
    })
    this.#calls = new NodeCalls(this, disk, () => env.now())
    for (const segment of this.segments()) this.#watch(segment)
  }

  #loadVolume(volume: NodeVolume): void {
    const id = volume.state.volume
    this.volumes.set(id, volume)
    const groups = new Map<GroupIndex, Segment>()
    this.#segments.set(id, groups)
    for (const group of groupsOnDisk(this.#disk, id)) {
      const segment = Segment.load(this.#host, volume, group)
      if (segment !== undefined) groups.set(group, segment)
    }
  }

  /** Brings memory back to what the log says. Records at or below what is in layers are known already. */
  #replay(): HotLog {
    const { logPageBytes, logFileBytes } = this.options
    const nodeTag = Number.parseInt(this.identity.incarnation.slice(0, 8), 16)
    const points: (() => void)[] = []
    const { log, damage } = HotLog.open(
      this.#disk,
      { nodeTag, alignedBuffer, pageBytes: logPageBytes, fileBytes: logFileBytes },
      (position, bytes) => {
        this.#lastLogEntry = position
        const append = readAppend(bytes)
        const segment = this.segment(append.volume, append.group)
        if (segment === undefined) return
        segment.volume.learnVdl(append.vdl)
        segment.replay(recordsOfEntry(bytes), position)
        if (append.vdl > 0) points.push(() => segment.announced(append.vdl, append.groupPoint))
      },
    )
    for (const point of points) point()
    if (damage.length > 0) {
      this.count('logDamage', damage.length)
      for (const segment of this.segments()) segment.becomeSuspect()
    }
    return log
  }

  #watch(segment: Segment): void {
    this.#gossip.set(
      segment,
      new Gossip(segment, {
        peers: this.peers,
        now: () => this.#env.now(),
        received: (to, records) => this.#receivedFromPeer(to, records),
        needsLayers: (to) => this.rebuild(to),
      }),
    )
    this.#work.touched(segment)
  }

  // -------------------------------------------------------------- what is here

  count(name: string, by = 1): void {
    this.counters[name] = (this.counters[name] ?? 0) + by
  }

  segment(volume: VolumeId, group: GroupIndex): Segment | undefined {
    return this.#segments.get(volume)?.get(group)
  }

  *segments(): Generator<Segment> {
    for (const groups of this.#segments.values()) yield* groups.values()
  }

  segmentsOf(volume: VolumeId): Segment[] {
    return [...(this.#segments.get(volume)?.values() ?? [])]
  }

  /** @throws VolumeError `UnknownSegment` */
  needSegment(volume: VolumeId, group: GroupIndex): Segment {
    const segment = this.segment(volume, group)
    if (segment === undefined)
      throw new VolumeError('UnknownSegment', `no segment of group ${group} of this volume here`)
    return segment
  }

  reports(volume: VolumeId): SegmentReport[] {
    return this.segmentsOf(volume).map((segment) => segment.report())
  }

  get full(): boolean {
    return this.#full
  }

  get applyDelayMs(): number {
    return this.#work.applyDelayMs
  }

  get logBytes(): number {
    return this.#log.bytes
  }

  get memoryBytes(): number {
    return this.#work.memoryBytes
  }

  // -------------------------------------------------------------- changes of what is here

  addVolume(state: VolumeState): NodeVolume {
    const volume = NodeVolume.create(this.#disk, state)
    this.volumes.set(state.volume, volume)
    this.#segments.set(state.volume, new Map())
    return volume
  }

  addSegment(volume: NodeVolume, config: Segment['config'], below: Segment['below'], suspect: boolean): Segment {
    const segment = Segment.create(this.#host, volume, config, below, suspect)
    this.#segments.get(volume.state.volume)?.set(config.group, segment)
    this.#watch(segment)
    return segment
  }

  /** This node is no member of the group any more. */
  removeSegment(segment: Segment): void {
    this.#gossip.delete(segment)
    this.#copies.delete(segment)
    this.#work.forget(segment)
    this.#staged = this.#staged.filter((staged) => staged.segment !== segment)
    this.#segments.get(segment.volume.state.volume)?.delete(segment.group)
    segment.remove()
  }

  /** Forgets a volume and all its segments. */
  dropVolume(id: VolumeId): void {
    const volume = this.volumes.get(id)
    if (volume === undefined) return
    for (const segment of this.segmentsOf(id)) this.removeSegment(segment)
    this.#segments.delete(id)
    this.volumes.delete(id)
    volume.forget()
  }

  /** A new epoch is in force: every segment of the volume cuts its log. */
  sealed(volume: NodeVolume, before: VolumeState): void {
    this.#staged = this.#staged.filter((staged) => staged.segment.volume !== volume)
    const { truncationsFromEpoch } = volume.state
    for (const segment of this.segmentsOf(volume.state.volume)) {
      if (truncationsFromEpoch > before.epoch + 1) segment.forgetLog()
      else this.#guard(segment, () => segment.truncate())
      this.#gossip.get(segment)?.demand()
    }
  }

  touched(segment: Segment): void {
    this.#work.touched(segment)
  }

  wantFlush(segment: Segment): void {
    this.#work.wantFlush(segment)
  }

  wantMaterialised(segment: Segment): void {
    this.#work.wantMaterialised(segment)
  }

  demandGossip(segment: Segment): void {
    this.#gossip.get(segment)?.demand()
  }

  /** Copies the blocks of a full segment from a peer. */
  rebuild(segment: Segment): void {
    if (this.#copies.has(segment)) return
    this.count('rebuilds')
    segment.beginRebuild()
    this.#copies.set(
      segment,
      new LayerCopy(segment, {
        disk: this.#disk,
        peers: this.peers,
        now: () => this.#env.now(),
        quiesce: (of) => this.#work.endJobOf(of),
      }),
    )
  }

  /** Runs something that touches a segment's blocks or log; damage that it finds starts the repair. */
  #guard(segment: Segment, action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'Corrupt') throw error
      this.damaged(segment)
    }
  }

  /** A checksum did not match. Nothing was served; blocks are copied anew from a peer, log is pulled again. */
  damaged(segment: Segment): void {
    this.count('damage')
    if (segment.kind === 'full') this.rebuild(segment)
    else segment.forgetLog()
  }

  // -------------------------------------------------------------- messages

  receive(connection: number, type: number, body: Uint8Array): void {
    try {
      switch (type) {
        case MessageType.APPEND:
          this.#append(connection, body)
          break
        case MessageType.READ:
          this.#read(connection, body)
          break
        case MessageType.VDL:
          this.#announced(connection, body)
          break
        case MessageType.CALL:
          this.#call(connection, body)
          break
        case MessageType.RESULT:
          this.peers.answered(body)
          break
        default:
          this.count('unknownMessages')
      }
    } catch (error) {
      // Damaged or malformed on its way: as good as lost. The sender repeats what matters.
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      this.count('badMessages')
    }
  }

  connectionClosed(connection: number): void {
    for (const volume of this.volumes.values()) if (volume.writer === connection) volume.writer = undefined
  }

  #append(connection: number, body: Uint8Array): void {
    const append = readAppend(body)
    const segment = this.segment(append.volume, append.group)
    if (segment === undefined) {
      this.#ack(connection, append.volume, append.group, 'UnknownSegment', undefined)
      return
    }
    const status = this.#appendStatus(segment, append.volumeEpoch, append.membershipEpoch)
    if (status !== 'Ok') {
      this.#ack(connection, append.volume, append.group, status, segment)
      return
    }
    segment.volume.writer = connection
    // The body is only valid during this call; the copy is logged and holds the records until they are chained.
    const entry = body.slice()
    const records = recordsOfEntry(entry)
    this.#checkRecords(segment, records)
    const fresh = records.some((record) => !segment.knows(record))
    const first = records[0]
    const gap = first !== undefined && first.prevGroup > segment.scl && segment.waiting > WAITING_MAX
    if (!fresh || gap) {
      segment.volume.learnVdl(append.vdl)
      segment.announced(append.vdl, append.groupPoint)
      this.#ack(connection, append.volume, append.group, this.#standing(segment), segment)
      return
    }
    this.#staged.push({ segment, records, entry, vdl: append.vdl, groupPoint: append.groupPoint, connection })
  }

  /** @throws VolumeError `BadRequest` when records do not belong where the message says */
  #checkRecords(segment: Segment, records: readonly RedoRecord[]): void {
    let before = 0
    for (const record of records) {
      if (record.group !== segment.group || record.lsn <= before || record.lsn <= record.prevGroup) {
        throw new VolumeError('BadRequest', `record ${record.lsn} does not belong into group ${segment.group}`)
      }
      before = record.lsn
    }
  }

  #appendStatus(segment: Segment, volumeEpoch: number, membershipEpoch: number): Status {
    const epoch = segment.volume.checkEpoch(volumeEpoch)
    if (epoch !== 'Ok') return epoch
    if (membershipEpoch < segment.config.epoch) return 'StaleMembership'
    if (membershipEpoch > segment.config.epoch) return 'UnknownSegment'
    if (this.#full) return 'DiskFull'
    return this.#work.memoryBytes > this.options.memoryBytesMax * REFUSE_FACTOR ? 'Overloaded' : 'Ok'
  }

  #standing(segment: Segment): Status {
    return segment.state === 'suspect' ? 'SuspectSegment' : 'Ok'
  }

  #ack(connection: number, volume: VolumeId, group: GroupIndex, status: Status, segment: Segment | undefined): void {
    const state = this.volumes.get(volume)
    const ack: Ack = {
      volume,
      group,
      volumeEpoch: state === undefined ? 0 : Math.max(state.fencedEpoch, state.state.epoch),
      membershipEpoch: segment?.config.epoch ?? 0,
      scl: segment === undefined || segment.state === 'suspect' ? ZERO_LSN : segment.scl,
      status,
      applyDelayMs: this.#work.applyDelayMs,
    }
    this.#env.reply(connection, [encodeAck(ack)])
  }

  #receivedFromPeer(segment: Segment, bytes: Uint8Array): void {
    // Logged in the form of an APPEND that tells of no durable point.
    const entry = new Uint8Array(APPEND_HEADER_BYTES + bytes.length)
    writeAppendHeader(entry, new DataView(entry.buffer), {
      volume: segment.volume.state.volume,
      group: segment.group,
      volumeEpoch: segment.volume.state.epoch,
      membershipEpoch: segment.config.epoch,
      vdl: ZERO_LSN,
      groupPoint: ZERO_LSN,
    })
    entry.set(bytes, APPEND_HEADER_BYTES)
    const body = entry.subarray(1)
    const records = recordsOfEntry(body)
    this.#checkRecords(segment, records)
    this.#staged.push({ segment, records, entry: body, vdl: ZERO_LSN, groupPoint: ZERO_LSN, connection: undefined })
  }

  /** Makes durable what was received, chains it, and acknowledges. */
  commit(): void {
    const staged = this.#staged
    if (staged.length === 0) return
    this.#staged = []
    let positions: LogPosition[]
    try {
      positions = this.#log.append(staged.map(({ entry }) => [entry]))
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'DiskFull') throw error
      this.#refuse(staged)
      return
    }
    this.#lastLogEntry = positions.at(-1) ?? this.#lastLogEntry
    const acknowledge = new Map<Segment, number | undefined>()
    staged.forEach(({ segment, records, vdl, groupPoint, connection }, i) => {
      segment.insert(records, positions[i] as LogPosition)
      if (vdl > 0) {
        segment.volume.learnVdl(vdl)
        segment.announced(vdl, groupPoint)
      } else {
        segment.settlePoint()
      }
      acknowledge.set(segment, connection ?? acknowledge.get(segment) ?? segment.volume.writer)
    })
    for (const [segment, connection] of acknowledge) {
      if (connection !== undefined) {
        this.#ack(connection, segment.volume.state.volume, segment.group, this.#standing(segment), segment)
      }
      this.#work.touched(segment)
      this.#gossip.get(segment)?.logged()
    }
  }

  #refuse(staged: readonly Staged[]): void {
    this.#full = true
    this.count('diskFull')
    for (const { segment, connection } of staged) {
      if (connection !== undefined) {
        this.#ack(connection, segment.volume.state.volume, segment.group, 'DiskFull', segment)
      }
      this.#gossip.get(segment)?.logged()
    }
  }

  #announced(connection: number, body: Uint8Array): void {
    const announcement = readVdl(body)
    const volume = this.volumes.get(announcement.volume)
    const news = volume?.announced(announcement)
    if (volume === undefined || news === undefined) return
    volume.writer = connection
    for (const segment of this.segmentsOf(announcement.volume)) {
      const point = news.points.get(segment.group)
      if (point !== undefined) segment.announced(announcement.vdl, point)
      else if (news.othersUnchanged) segment.unchanged(announcement.vdl)
    }
  }

  #read(connection: number, body: Uint8Array): void {
    const read = readRead(body)
    const segment = this.segment(read.volume, read.group)
    this.count('reads')
    let status: Status = 'Ok'
    try {
      if (segment === undefined) throw new VolumeError('UnknownSegment', 'no such segment')
      const stale = read.volumeEpoch > 0 && read.volumeEpoch < segment.volume.fencedEpoch
      if (stale) throw new VolumeError('StaleVolumeEpoch', 'a newer writer has the volume')
      if (read.membershipEpoch < segment.config.epoch) throw new VolumeError('StaleMembership', 'the group has changed')
      const version = segment.read(read.block, read.readPoint, read.minScl)
      this.#env.reply(
        connection,
        encodePage({ request: read.request, status, version: version.lsn, bytes: version.bytes ?? EMPTY }),
      )
      return
    } catch (error) {
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      status = error.code
      if (segment !== undefined && error.code === 'Corrupt') this.damaged(segment)
      if (segment !== undefined && error.code === 'ReadPointAhead') this.#demandBelow(segment)
    }
    this.#env.reply(connection, encodePage({ request: read.request, status, version: ZERO_LSN, bytes: EMPTY }))
  }

  /** A segment or one that it shows through is not proved to be complete: prove it. */
  #demandBelow(segment: Segment): void {
    for (let at: Segment | undefined = segment; at !== undefined; ) {
      this.demandGossip(at)
      at = at.below === null ? undefined : this.segment(at.below.volume, at.group)
    }
  }

  #call(connection: number, body: Uint8Array): void {
    const call = readCall(body)
    try {
      this.#env.reply(connection, this.#calls.answer(call))
    } catch (error) {
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      this.#env.reply(connection, encodeFailure(call.request, error))
    }
  }

  // -------------------------------------------------------------- time

  tick(): void {
    this.peers.expire()
    const { gapMs, gossipMs } = this.options
    for (const [segment, gossip] of this.#gossip) {
      gossip.tick(gapMs, gossipMs)
      if (segment.state === 'suspect') this.#work.touched(segment)
    }
    for (const [segment, copy] of this.#copies) {
      copy.tick()
      if (copy.state !== 'done') continue
      this.#copies.delete(segment)
      this.#work.touched(segment)
    }
    this.#calls.tick()
    this.#work.tick()
    this.#checkSpace()
    this.#releaseLog()
  }

  /** Refuses appends before the disk is full to the last byte, and takes them again when there is room. */
  #checkSpace(): void {
    const now = this.#env.now()
    if (now < this.#nextSpaceCheckMs) return
    this.#nextSpaceCheckMs = now + 100
    this.#full = this.#disk.freeBytes() < this.options.reserveBytes
  }

  /** Recycles log files that no segment needs and that are older than what is kept for peers. */
  #releaseLog(): void {
    const { logFileBytes, logRetainBytes } = this.options
    if (this.#log.bytes <= logRetainBytes) return
    let needed = this.#log.currentFile
    let holder: Segment | undefined
    for (const segment of this.segments()) {
      const oldest = segment.oldestLogFile()
      if (oldest !== undefined && oldest < needed) {
        needed = oldest
        holder = segment
      }
    }
    const kept = this.#log.currentFile - Math.floor(logRetainBytes / logFileBytes)
    if (holder !== undefined && needed <= kept) this.#work.wantFlush(holder)
    const before = Math.min(needed, kept)
    if (before <= this.#log.oldestFile) return
    for (const segment of this.segments()) segment.log.dropFiles(before)
    this.#log.release(before)
  }

  /** One slice of background work; true when there is more. */
  background(): boolean {
    return this.#work.slice()
  }

  close(): void {
    this.#log.close()
    for (const segment of this.segments()) segment.layers.close()
  }
}

function loadIdentity(env: NodeEnv, disk: Disk, config: NodeConfig): NodeIdentity {
  disk.makeFolder(IDENTITY_FOLDER)
  disk.syncFolder('')
  const read = readState(disk, IDENTITY_FOLDER, IDENTITY)
  if (read.status === 'damaged') throw new VolumeError('Corrupt', 'this node does not know who it is: replace it')
  if (read.status === 'present') {
    const identity = read.value as NodeIdentity
    if (identity.node === config.node) return identity
    throw new VolumeError('BadRequest', `this disk belongs to node ${identity.node}, not ${config.node}`)
  }
  const incarnation = Array.from({ length: 4 }, () =>
    Math.floor(env.random() * 2 ** 32)
      .toString(16)
      .padStart(8, '0'),
  ).join('')
  const identity: NodeIdentity = { node: config.node, zone: config.zone, incarnation }
  writeState(disk, IDENTITY_FOLDER, IDENTITY, identity)
  return identity
}

/** What runs nodes makes them by this. */
export const createStorageNode = (
  env: NodeEnv,
  disk: Disk,
  config: NodeConfig,
  options: NodeOptions = DEFAULT_NODE_OPTIONS,
): NodePort => new StorageNode(env, disk, config, options)
