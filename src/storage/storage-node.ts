/**
 * A storage node: the eight steps of SIGMOD 2017, section 3.3, over one disk and one thread.
 *
 * Foreground: receive, append to the hot log, acknowledge with SCL (`appends.ts`). Background, a slice at a time and
 * only when nothing is to be received: coalesce, flush, merge, collect, scrub (`background-work.ts`). Between both:
 * gossip and copying of layers (`repairs.ts`). A node has no vote: it takes every well-formed record of the right
 * epochs.
 */
import { VolumeError } from '../protocol/errors.ts'
import { type VolumeId, ZERO_LSN } from '../protocol/lsn.ts'
import {
  encodeFailure,
  encodePage,
  MessageType,
  readAppend,
  readCall,
  readRead,
  readVdl,
  type Status,
} from '../protocol/message.ts'
import { alignedBuffer } from './aligned.ts'
import { Appends } from './appends.ts'
import { BackgroundWork } from './background-work.ts'
import type { Disk } from './disk.ts'
import { HotLog, type LogPosition } from './hot-log.ts'
import { LayerCache } from './layers/layer-cache.ts'
import { LogFloor } from './log-floor.ts'
import { NodeCalls } from './node-calls.ts'
import { loadIdentity, type NodeIdentity } from './node-identity.ts'
import { DEFAULT_NODE_OPTIONS, type NodeOptions } from './node-options.ts'
import type { NodeConfig, NodeEnv, NodePort } from './node-port.ts'
import type { NodeVolume } from './node-volume.ts'
import { PeerCalls } from './peer-calls.ts'
import { Repairs } from './repairs.ts'
import { Segment } from './segment.ts'
import type { SegmentHost } from './segment-host.ts'
import { recordsOfEntry } from './segment-log.ts'
import { SegmentTable } from './segment-table.ts'

const EMPTY = new Uint8Array(0)

/** Appends are refused when memtables take this many times `memoryBytesMax`. */
const REFUSE_FACTOR = 2
const SPACE_CHECK_MS = 100
/** At full speed a log file lasts longer. */
const LOG_CHECK_MS = 100
/** A tail whose log could go asks this often whether it may: it may wait long, for a full member that is away. */
const LOG_DEMAND_MS = 1000

export class StorageNode implements NodePort {
  readonly identity: NodeIdentity
  readonly options: NodeOptions
  readonly table: SegmentTable
  readonly repairs: Repairs
  readonly work: BackgroundWork
  readonly counters: Record<string, number> = {}
  readonly #env: NodeEnv
  readonly #disk: Disk
  readonly #log: HotLog
  readonly #logFloor: LogFloor
  readonly #appends: Appends
  readonly #calls: NodeCalls
  readonly #peers: PeerCalls
  readonly #host: SegmentHost
  #full = false
  #nextSpaceCheckMs = 0
  #nextLogCheckMs = 0
  #nextLogDemandMs = 0

  /**
   * Starts a node on a disk, formatting it when it is empty, and replays its log.
   * @throws VolumeError `Corrupt` when what the node promised is lost: it has to be replaced
   */
  constructor(env: NodeEnv, disk: Disk, config: NodeConfig, options: NodeOptions) {
    this.#env = env
    this.#disk = disk
    this.options = options
    this.identity = loadIdentity(env, disk, config)
    this.#peers = new PeerCalls(
      (address, message) => env.sendTo(address, message),
      () => env.now(),
    )
    this.table = new SegmentTable(disk)
    this.#host = this.#segmentHost()
    this.table.load(this.#host)
    this.work = new BackgroundWork({
      options,
      disk,
      now: () => env.now(),
      segments: () => this.table.all(),
      count: (name) => this.count(name),
      damaged: (segment, error) => void this.damaged(segment, error),
    })
    this.repairs = new Repairs({
      options,
      disk,
      peers: this.#peers,
      now: () => env.now(),
      count: (name) => this.count(name),
      refusesLog: () => this.#refusal() !== undefined,
      received: (segment, records) => this.#appends.receiveFromPeer(segment, records),
      quiesce: (segment) => this.work.endJobOf(segment),
      endCompaction: (segment) => this.work.endCompactionOf(segment),
      wantFlush: (segment) => this.work.wantFlush(segment),
      touched: (segment) => this.work.touched(segment),
    })
    this.#logFloor = LogFloor.load(disk)
    const { log, last } = this.#replay()
    this.#log = log
    this.#appends = new Appends(this.#appendHost(), last)
    this.#calls = new NodeCalls(this, disk, () => env.now())
    for (const segment of this.table.all()) this.#watch(segment)
  }

  #segmentHost(): SegmentHost {
    return {
      disk: this.#disk,
      node: this.identity.node,
      incarnation: this.identity.incarnation,
      layerCache: new LayerCache({ bytesMax: this.options.indexCacheBytes }),
      layerBytes: this.options.layerBytes,
      readLog: (position) => this.#log.read(position),
      lastLogEntry: () => this.#appends.last,
      needsLogFile: (file) => {
        if (file < this.#logFloor.file) this.#logFloor.move(file)
      },
      sibling: (volume, group) => this.table.get(volume, group),
      damaged: (segment, error) => void this.damaged(segment, error),
    }
  }

  #appendHost(): ConstructorParameters<typeof Appends>[0] {
    return {
      table: this.table,
      log: this.#log,
      refusal: () => this.#refusal(),
      applyDelayMs: () => this.work.applyDelayMs,
      reply: (connection, message) => this.#env.reply(connection, message),
      diskFull: () => {
        this.#full = true
        this.count('diskFull')
      },
      logged: (segment) => {
        this.work.touched(segment)
        this.repairs.logged(segment)
      },
    }
  }

  /** Why no log can be taken now, if it cannot. */
  #refusal(): 'DiskFull' | 'Overloaded' | undefined {
    if (this.#full) return 'DiskFull'
    return this.work.memoryBytes > this.options.memoryBytesMax * REFUSE_FACTOR ? 'Overloaded' : undefined
  }

  /** Brings memory back to what the log says. Records at or below what is in layers are known already. */
  #replay(): { log: HotLog; last: LogPosition | null } {
    const { logPageBytes, logFileBytes } = this.options
    const nodeTag = Number.parseInt(this.identity.incarnation.slice(0, 8), 16)
    const points: (() => void)[] = []
    let last: LogPosition | null = null
    const { log, damage } = HotLog.open(
      this.#disk,
      {
        nodeTag,
        alignedBuffer,
        pageBytes: logPageBytes,
        fileBytes: logFileBytes,
        fromFile: this.#logFloor.file,
      },
      (position, bytes) => {
        last = position
        const append = readAppend(bytes)
        const segment = this.table.get(append.volume, append.group)
        if (segment === undefined) return
        segment.volume.learnVdl(append.vdl)
        segment.replay(recordsOfEntry(bytes), position)
        if (append.vdl > 0) points.push(() => segment.announced(append.vdl, append.groupPoint))
      },
    )
    for (const point of points) point()
    if (damage.length > 0) {
      this.count('logDamage', damage.length)
      // Noted durably before the first append: behind it the damage could pass for a torn tail.
      for (const segment of this.table.all()) segment.becomeSuspect()
      // Files that it speaks of may be gone: those that follow may have lower numbers.
      if (this.#logFloor.file > log.currentFile) this.#logFloor.move(log.currentFile)
    }
    return { log, last }
  }

  #watch(segment: Segment): void {
    this.repairs.watch(segment)
    this.work.touched(segment)
  }

  get incarnation(): string {
    return this.identity.incarnation
  }

  /** Whether appends are refused for want of room. */
  get full(): boolean {
    return this.#full
  }

  get logBytes(): number {
    return this.#log.bytes
  }

  count(name: string, by = 1): void {
    this.counters[name] = (this.counters[name] ?? 0) + by
  }

  // -------------------------------------------------------------- changes of what is here

  addSegment(volume: NodeVolume, config: Segment['config'], below: Segment['below'], suspect: boolean): Segment {
    const segment = Segment.create(this.#host, volume, config, below, suspect)
    this.table.add(segment)
    this.#watch(segment)
    return segment
  }

  /** This node is no member of the group any more. */
  removeSegment(segment: Segment): void {
    this.#appends.dropStaged((staged) => staged === segment)
    this.repairs.forget(segment)
    this.work.forget(segment)
    this.table.remove(segment)
  }

  /** Forgets a volume and all its segments. */
  dropVolume(volume: NodeVolume): void {
    for (const segment of this.table.of(volume.state.volume)) this.removeSegment(segment)
    this.table.forget(volume)
  }

  /** Lower epochs are refused from now on: also what has come from them and is not in the log yet. */
  fenced(volume: NodeVolume): void {
    this.#appends.dropStaged((segment) => segment.volume === volume && volume.fencedEpoch > volume.state.epoch)
  }

  /** It is not known any more what was cut from the logs of these segments. */
  forgetLogs(volume: VolumeId): void {
    for (const segment of this.table.of(volume)) segment.forgetLog()
  }

  /** A new epoch is in force: every segment of the volume cuts its log. */
  sealed(volume: NodeVolume): void {
    this.#appends.dropStaged((segment) => segment.volume === volume)
    for (const segment of this.table.of(volume.state.volume)) {
      this.#cut(segment)
      this.repairs.demand(segment)
    }
  }

  /** The epoch is in force already, so nobody asks for this a second time. @throws Error which stops the node */
  #cut(segment: Segment): void {
    try {
      this.withLog(segment, () => segment.truncate())
    } catch (cause) {
      if (!(cause instanceof VolumeError) || cause.code !== 'DiskFull') throw cause
      throw new Error(`a log that cannot be cut would be believed: ${cause.message}`, { cause })
    }
  }

  /** Runs what reads a segment's log; a segment whose log is damaged starts again from its layers, as suspect. */
  withLog(segment: Segment, action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'Corrupt') throw error
      this.count('logDamage')
      segment.forgetLog()
    }
  }

  /**
   * Blocks of a segment cannot be read. Nothing was served; they are fetched anew from a peer.
   * @returns whether that was not known
   */
  damaged(segment: Segment, error: VolumeError): boolean {
    const isNew = segment.noteDamage(error)
    if (isNew) this.count('damage')
    this.repairs.mend(segment)
    return isNew
  }

  // -------------------------------------------------------------- messages

  receive(connection: number, type: number, body: Uint8Array): void {
    try {
      switch (type) {
        case MessageType.APPEND:
          this.#appends.receive(connection, body)
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
          this.#peers.answered(body)
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
    for (const volume of this.table.volumes.values()) if (volume.writer === connection) volume.writer = undefined
  }

  /** Makes durable what was received, and acknowledges. */
  commit(): void {
    this.#appends.commit()
  }

  #announced(connection: number, body: Uint8Array): void {
    const announcement = readVdl(body)
    const volume = this.table.volumes.get(announcement.volume)
    const news = volume?.announced(announcement)
    if (volume === undefined || news === undefined) return
    volume.writer = connection
    for (const segment of this.table.of(announcement.volume)) {
      const point = news.points.get(segment.group)
      if (point !== undefined) segment.announced(announcement.vdl, point)
      else if (news.othersUnchanged) segment.unchanged(announcement.vdl)
    }
  }

  #read(connection: number, body: Uint8Array): void {
    const read = readRead(body)
    const segment = this.table.get(read.volume, read.group)
    this.count('reads')
    let status: Status = 'Ok'
    try {
      if (segment === undefined) throw new VolumeError('UnknownSegment', 'no such segment')
      const stale = read.volumeEpoch > 0 && read.volumeEpoch < segment.volume.fencedEpoch
      if (stale) throw new VolumeError('StaleVolumeEpoch', 'a newer writer has the volume')
      if (read.membershipEpoch < segment.config.epoch) throw new VolumeError('StaleMembership', 'the group has changed')
      if (read.block >= segment.volume.state.blocksPerGroup) throw new VolumeError('BadRequest', 'no such block')
      const version = segment.read(read.block, read.readPoint, read.minScl)
      this.#env.reply(
        connection,
        encodePage({ request: read.request, status, version: version.lsn, bytes: version.bytes ?? EMPTY }),
      )
      return
    } catch (error) {
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      status = error.code
      if (segment !== undefined && error.code === 'Corrupt') this.damaged(segment, error)
      if (segment !== undefined && error.code === 'ReadPointAhead') {
        // Neither it nor what it shows through is proved to be complete: prove it.
        for (const each of [segment, ...this.table.ancestorsOf(segment)]) this.repairs.demand(each)
      }
    }
    this.#env.reply(connection, encodePage({ request: read.request, status, version: ZERO_LSN, bytes: EMPTY }))
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
    this.#peers.expire()
    this.repairs.tick()
    this.#calls.tick()
    this.work.tick()
    this.#checkSpace()
    this.#tendLog()
  }

  /** Refuses appends before the disk is full to the last byte, and takes them again when there is room. */
  #checkSpace(): void {
    const now = this.#env.now()
    if (now < this.#nextSpaceCheckMs) return
    this.#nextSpaceCheckMs = now + SPACE_CHECK_MS
    this.#full = this.#disk.freeBytes() < this.options.reserveBytes
    if (!this.#full) this.#prepareLog()
  }

  /** Has the next log file ready, so that no append waits for its zeros. */
  #prepareLog(): void {
    try {
      this.#log.prepare()
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'DiskFull') throw error
      this.#full = true
    }
  }

  /**
   * Notes from where a start has to replay the log, keeps that short, and recycles files that no segment needs and that
   * are older than what is kept for peers.
   */
  #tendLog(): void {
    const now = this.#env.now()
    if (this.#log.currentFile <= this.#logFloor.file || now < this.#nextLogCheckMs) return
    // Looks through what is not in layers yet.
    this.#nextLogCheckMs = now + LOG_CHECK_MS
    const { needed, holder } = this.#neededLog()
    if (needed > this.#logFloor.file) this.#raiseLogFloor(needed)
    const { logReplayBytes, logRetainBytes } = this.options
    if (holder !== undefined && needed <= this.#fileBefore(logReplayBytes)) this.#wantLogFile(holder, now)
    const before = Math.min(needed, this.#fileBefore(logRetainBytes))
    if (before <= this.#log.oldestFile) return
    for (const segment of this.table.all()) segment.log.dropFiles(before)
    this.#log.release(before)
  }

  /** The oldest file that a start would need, and who needs it. */
  #neededLog(): { readonly needed: number; readonly holder: Segment | undefined } {
    let needed = this.#log.currentFile
    let holder: Segment | undefined
    for (const segment of this.table.all()) {
      const oldest = segment.oldestLogFile(this.#logFloor.file)
      if (oldest === undefined || oldest >= needed) continue
      needed = oldest
      holder = segment
    }
    return { needed, holder }
  }

  #raiseLogFloor(file: number): void {
    try {
      this.#logFloor.move(file)
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'DiskFull') throw error
    }
  }

  /** The last file that is older than the newest `bytes` of log. */
  #fileBefore(bytes: number): number {
    return this.#log.currentFile - Math.floor(bytes / this.options.logFileBytes)
  }

  #wantLogFile(holder: Segment, now: number): void {
    if (holder.kind === 'full') this.work.wantFlush(holder)
    else if (now >= this.#nextLogDemandMs) {
      this.#nextLogDemandMs = now + LOG_DEMAND_MS
      this.repairs.demand(holder)
    }
  }

  /** One slice of background work; true when there is more. */
  background(): boolean {
    return this.work.slice()
  }

  close(): void {
    this.#log.close()
    for (const segment of this.table.all()) segment.layers.close()
  }
}

/** What runs nodes makes them by this. */
export const createStorageNode = (
  env: NodeEnv,
  disk: Disk,
  config: NodeConfig,
  options: NodeOptions = DEFAULT_NODE_OPTIONS,
): NodePort => new StorageNode(env, disk, config, options)
