/** What keeps segments whole: gossip for log, columns and whole copies for blocks. */
import { VolumeError } from '../protocol/errors.ts'
import { ColumnRepair } from './column-repair.ts'
import type { Disk } from './disk.ts'
import { Gossip, PULL_BYTES_MAX } from './gossip.ts'
import { LayerCopy } from './layer-copy.ts'
import type { NodeOptions } from './node-options.ts'
import type { PeerCalls } from './peer-calls.ts'
import type { Segment } from './segment.ts'

export interface RepairHost {
  readonly options: NodeOptions
  readonly disk: Disk
  readonly peers: PeerCalls
  now(): number
  count(name: string): void
  /** Whether there is no room for more log, on disk or in memory. */
  refusesLog(): boolean
  /** Records of a peer arrived: check, log and chain them like any others. */
  received(segment: Segment, records: Uint8Array): void
  /** Ends background work on a segment whose layers are about to be replaced. */
  quiesce(segment: Segment): void
  /** Ends the compaction of a segment some of whose layers are about to be replaced. */
  endCompaction(segment: Segment): void
  wantFlush(segment: Segment): void
  /** A segment has new layers, and so perhaps work. */
  touched(segment: Segment): void
}

export class Repairs {
  readonly #host: RepairHost
  readonly #gossip = new Map<Segment, Gossip>()
  readonly #copies = new Map<Segment, LayerCopy>()
  /** Those that are copied for want of log alone: what they have of layers is as good as it was. */
  readonly #lackingLog = new Set<Segment>()
  readonly #columns = new Map<Segment, ColumnRepair>()

  constructor(host: RepairHost) {
    this.#host = host
  }

  watch(segment: Segment): void {
    const { peers, options } = this.#host
    const gossip = new Gossip(segment, {
      peers,
      pullBytesMax: Math.min(PULL_BYTES_MAX, options.logFileBytes / 2),
      refusesLog: () => this.#host.refusesLog(),
      now: () => this.#host.now(),
      received: (to, records) => this.#host.received(to, records),
      needsLayers: (to) => this.#rebuildForLog(to),
      complete: (of) => this.#endRebuildForLog(of),
    })
    this.#gossip.set(segment, gossip)
  }

  forget(segment: Segment): void {
    this.#gossip.delete(segment)
    this.#copies.delete(segment)
    this.#lackingLog.delete(segment)
    this.#endColumns(segment)
  }

  /** Someone needs to know that a segment is complete. */
  demand(segment: Segment): void {
    this.#gossip.get(segment)?.demand()
  }

  /** What a peer sent is in the log, or was given up. */
  logged(segment: Segment): void {
    this.#guard(() => this.#gossip.get(segment)?.logged())
  }

  /** Fetches the damaged blocks of a full segment from its peers, unless it is getting all of them. */
  mend(segment: Segment): void {
    if (this.#copies.has(segment) || this.#columns.has(segment) || segment.damage.isEmpty) return
    const { peers } = this.#host
    const repair = new ColumnRepair(segment, {
      peers,
      now: () => this.#host.now(),
      count: (name) => this.#host.count(name),
      quiesce: (of) => this.#host.endCompaction(of),
      wantFlush: (of) => this.#host.wantFlush(of),
      rebuild: (of) => this.rebuild(of),
    })
    this.#columns.set(segment, repair)
  }

  #endColumns(segment: Segment): void {
    this.#columns.get(segment)?.end()
    this.#columns.delete(segment)
  }

  /** Copies the blocks of a full segment from a peer. */
  rebuild(segment: Segment): void {
    this.#lackingLog.delete(segment)
    if (this.#copies.has(segment)) return
    this.#host.count('rebuilds')
    this.#endColumns(segment)
    segment.beginRebuild()
    const { disk, peers } = this.#host
    const copy = new LayerCopy(segment, {
      disk,
      peers,
      now: () => this.#host.now(),
      quiesce: (of) => this.#host.quiesce(of),
    })
    this.#copies.set(segment, copy)
  }

  #rebuildForLog(segment: Segment): void {
    if (this.#copies.has(segment)) return
    this.rebuild(segment)
    this.#lackingLog.add(segment)
  }

  /** A peer that was away had the log. Those with layers may be damaged, and wait for this segment to be whole. */
  #endRebuildForLog(segment: Segment): void {
    if (segment.state !== 'rebuilding' || !this.#lackingLog.delete(segment)) return
    this.#copies.get(segment)?.end()
    this.#copies.delete(segment)
    segment.healed()
    this.#host.touched(segment)
    this.mend(segment)
  }

  /**
   * Notes of what gossip proved may not fit on a full disk. What memory says then is no less true; a restart would only
   * have to prove it again.
   */
  #guard(action: () => void): void {
    try {
      action()
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'DiskFull') throw error
      this.#host.count('failedDiskFull')
    }
  }

  tick(): void {
    const { gapMs, gossipMs } = this.#host.options
    for (const gossip of this.#gossip.values()) this.#guard(() => gossip.tick(gapMs, gossipMs))
    for (const [segment, copy] of this.#copies) {
      copy.tick()
      if (copy.state !== 'done') continue
      this.#copies.delete(segment)
      this.#lackingLog.delete(segment)
      this.#host.touched(segment)
    }
    for (const [segment, repair] of this.#columns) {
      repair.tick()
      if (repair.state !== 'done') continue
      this.#columns.delete(segment)
      this.#host.touched(segment)
      // What was found since it was done.
      this.mend(segment)
    }
  }
}
