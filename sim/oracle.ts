/**
 * What the volumes should contain, worked out the simple way: every mini-transaction ever written, in the order of its
 * LSNs, with whole blocks.
 *
 * Each opening by a writer begins a timeline that goes on from the VDL which its recovery found. What an earlier
 * writer wrote above that point is not part of the volume, however long that writer goes on without knowing.
 */
import { type Lsn, lsn, type VolumeId, volumeName } from '../src/protocol/lsn.ts'

/** A rule of the volume was seen to be broken. */
export class Violation extends Error {
  readonly rule: string
  constructor(rule: string, message: string) {
    super(`${rule}: ${message}`)
    this.name = 'Violation'
    this.rule = rule
  }
}

export interface ModelMtr {
  /** The LSN of the record before its first. */
  readonly after: Lsn
  /** The LSN of its last record: from there on it is visible, whole. */
  readonly cpl: Lsn
  /** Blocks as it leaves them; undefined is a block of zeros. */
  readonly changes: ReadonlyMap<number, Uint8Array | undefined>
}

interface Version {
  readonly cpl: Lsn
  readonly content: Uint8Array | undefined
}

/** Where something goes on from: a point in the past of a volume. */
export interface Origin {
  readonly timeline: Timeline
  readonly at: Lsn
}

/** What one writer wrote, from one opening to its end. */
export class Timeline {
  readonly volume: VolumeId
  readonly epoch: number
  /** Undefined at the very beginning of a volume without a parent. */
  readonly origin: Origin | undefined
  readonly #mtrs: ModelMtr[] = []
  readonly #versions = new Map<number, Version[]>()
  #head: Lsn
  /** Undefined until its opening ended well: before that nobody relies on any of it, not even on where it begins. */
  #acknowledged: Lsn | undefined
  /** What a later recovery kept of it; above, it is no part of the volume. */
  #cutAt: Lsn | undefined

  /** LSNs up to here were annulled when it began: none of them is its own. */
  readonly floor: Lsn

  constructor(volume: VolumeId, epoch: number, origin: Origin | undefined, floor: Lsn) {
    this.volume = volume
    this.epoch = epoch
    this.origin = origin
    this.floor = floor
    this.#head = this.start
  }

  get start(): Lsn {
    return this.origin?.at ?? lsn(0)
  }

  /** The last LSN that was written here. */
  get head(): Lsn {
    return this.#head
  }

  get acknowledged(): Lsn | undefined {
    return this.#acknowledged
  }

  get cutAt(): Lsn | undefined {
    return this.#cutAt
  }

  get mtrs(): readonly ModelMtr[] {
    return this.#mtrs
  }

  written(mtr: ModelMtr): void {
    if (mtr.after < this.head || mtr.cpl <= mtr.after) {
      throw new Violation('LSNs grow', `${this} wrote (${mtr.after}, ${mtr.cpl}] after ${this.head}`)
    }
    if (mtr.cpl <= this.floor) {
      throw new Violation('LSNs are never used twice', `${this} wrote ${mtr.cpl}, annulled up to ${this.floor}`)
    }
    this.#mtrs.push(mtr)
    this.#head = mtr.cpl
    for (const [block, content] of mtr.changes) {
      const versions = this.#versions.get(block)
      if (versions === undefined) this.#versions.set(block, [{ cpl: mtr.cpl, content }])
      else versions.push({ cpl: mtr.cpl, content })
    }
  }

  /** The writer gave out LSNs up to here for records that change no block (its clock). */
  reached(at: Lsn): void {
    if (at > this.#head) this.#head = at
  }

  /** A sync was answered, or the opening: all up to `at` has to survive, whatever happens. */
  acknowledge(at: Lsn): void {
    if (at > this.head) {
      throw new Violation('only what was written is acknowledged', `${this} acknowledged ${at} of ${this.head}`)
    }
    if (this.#cutAt !== undefined && at > this.#cutAt) {
      throw new Violation(
        'no acknowledged sync is lost',
        `${this} acknowledged ${at} though it was cut at ${this.#cutAt}`,
      )
    }
    if (this.#acknowledged === undefined || at > this.#acknowledged) this.#acknowledged = at
  }

  /** A later recovery found the volume to end before this timeline began. */
  drop(at: Lsn): void {
    if (this.#acknowledged !== undefined) {
      throw new Violation('no acknowledged sync is lost', `${this} was opened at ${this.start}, recovery kept ${at}`)
    }
    // Whatever it may still acknowledge is lost.
    this.#cutAt = lsn(-1)
  }

  /** A later recovery found the volume to end at `at`, at or before which it takes over. */
  cut(at: Lsn): void {
    if (this.#acknowledged !== undefined && this.#acknowledged > at) {
      throw new Violation(
        'no acknowledged sync is lost',
        `${this} acknowledged ${this.#acknowledged}, recovery kept ${at}`,
      )
    }
    const torn = this.#mtrs.find((mtr) => mtr.after < at && at < mtr.cpl)
    if (torn !== undefined) {
      throw new Violation(
        'recovery ends at a consistency point',
        `${at} lies inside (${torn.after}, ${torn.cpl}] of ${this}`,
      )
    }
    if (at > this.head)
      throw new Violation('recovery invents nothing', `${this} wrote up to ${this.head}, recovery found ${at}`)
    if (this.#cutAt === undefined || at < this.#cutAt) this.#cutAt = at
  }

  /** The content of a block as it was at an LSN, undefined for zeros. */
  block(block: number, at: Lsn): Uint8Array | undefined {
    const versions = this.#versions.get(block)
    let low = 0
    let high = versions?.length ?? 0
    while (low < high) {
      const middle = (low + high) >> 1
      if ((versions as Version[])[middle]!.cpl <= at) low = middle + 1
      else high = middle
    }
    if (low > 0) return (versions as Version[])[low - 1]!.content
    return this.origin?.timeline.block(block, lsn(Math.min(at, this.origin.at)))
  }

  /** All blocks that were ever written here or in its past. */
  blocks(found = new Set<number>()): Set<number> {
    for (const block of this.#versions.keys()) found.add(block)
    this.origin?.timeline.blocks(found)
    return found
  }

  toString(): string {
    return `${volumeName(this.volume)} epoch ${this.epoch}`
  }
}

/** Cutoff and pins as the registry has them. */
export interface Retention {
  readonly cutoff: Lsn
  readonly pins: readonly Lsn[]
}

/** One volume with all its timelines, one of which is in force. */
export class VolumeModel {
  readonly id: VolumeId
  readonly blockBytes: number
  readonly #timelines: Timeline[] = []
  #retention: Retention
  /** No LSN up to here may be given out again. */
  #spentTo: Lsn

  /** @param branchedFrom the parent's timeline and the LSN; undefined for an empty volume */
  constructor(id: VolumeId, blockBytes: number, branchedFrom?: Origin) {
    this.id = id
    this.blockBytes = blockBytes
    this.#timelines.push(new Timeline(id, 0, branchedFrom, branchedFrom?.at ?? lsn(0)))
    this.current.acknowledge(this.current.start)
    this.#retention = { cutoff: this.current.start, pins: [] }
    this.#spentTo = this.current.start
  }

  get current(): Timeline {
    return this.#timelines.at(-1) as Timeline
  }

  /** All up to here has to survive. */
  get acknowledged(): Lsn {
    return lsn(this.#timelines.reduce((most, timeline) => Math.max(most, timeline.acknowledged ?? 0), 0))
  }

  get retention(): Retention {
    return this.#retention
  }

  retain(retention: Retention): void {
    if (retention.cutoff < this.#retention.cutoff) {
      throw new Violation(
        'the cutoff never goes back',
        `${volumeName(this.id)}: ${this.#retention.cutoff} to ${retention.cutoff}`,
      )
    }
    this.#retention = retention
  }

  /**
   * A recovery recorded its truncation: the volume goes on from `vdl`, and (vdl, to] is annulled. Called at the moment
   * when that is durable, whether or not the writer lives to make use of it.
   */
  recovered(epoch: number, vdl: Lsn, to: Lsn): Timeline {
    if (epoch <= this.current.epoch) {
      throw new Violation('one writer per epoch', `${volumeName(this.id)}: epoch ${epoch} after ${this.current.epoch}`)
    }
    // Timelines that began above the VDL are lost whole; the one it lies in is cut.
    const index = this.#timelines.findLastIndex((timeline) => timeline.start <= vdl)
    const kept = this.#timelines[index]
    if (kept === undefined) {
      throw new Violation(
        'recovery loses no past',
        `${volumeName(this.id)} goes on from ${this.#timelines[0]?.start}, not ${vdl}`,
      )
    }
    for (const timeline of this.#timelines.slice(index + 1)) timeline.drop(vdl)
    kept.cut(vdl)
    if (to < this.#spentTo)
      throw new Violation('LSNs are never used twice', `truncation to ${to}, given out ${this.#spentTo}`)
    this.#spentTo = to
    const timeline = new Timeline(this.id, epoch, { timeline: kept, at: vdl }, to)
    this.#timelines.push(timeline)
    return timeline
  }

  /** A writer of some epoch wrote. One that was replaced may go on for a while: its LSNs are annulled already. */
  written(timeline: Timeline, mtr: ModelMtr): void {
    timeline.written(mtr)
    if (timeline === this.current) {
      this.#spentTo = lsn(Math.max(this.#spentTo, mtr.cpl))
    } else if (mtr.cpl > (this.#after(timeline)?.floor ?? 0)) {
      throw new Violation(
        'LSNs are never used twice',
        `${timeline} wrote ${mtr.cpl}, above what its successor annulled`,
      )
    }
  }

  /** As `Timeline.reached`. */
  reached(timeline: Timeline, at: Lsn): void {
    timeline.reached(at)
    if (timeline === this.current) this.#spentTo = lsn(Math.max(this.#spentTo, at))
  }

  #after(timeline: Timeline): Timeline | undefined {
    return this.#timelines[this.#timelines.indexOf(timeline) + 1]
  }

  timelineOf(epoch: number): Timeline | undefined {
    return this.#timelines.find((timeline) => timeline.epoch === epoch)
  }

  get timelines(): readonly Timeline[] {
    return this.#timelines
  }

  /** The volume's content at an LSN, as it is for ever once that LSN is durable. */
  block(block: number, at: Lsn): Uint8Array {
    return this.current.block(block, at) ?? new Uint8Array(this.blockBytes)
  }

  /** Whether a read at an LSN has to succeed, may, or must not be answered with data. */
  readable(at: Lsn): 'must' | 'may' | 'never' {
    if (at > this.#spentTo) return 'never'
    if (at > this.acknowledged) return 'may'
    return at >= this.#retention.cutoff || this.#retention.pins.includes(at) ? 'must' : 'may'
  }

  /** Consistency points of the timeline in force, its past included down to the volume's own beginning, oldest first. */
  consistencyPoints(): Lsn[] {
    const points: Lsn[] = []
    let end = this.current.head
    for (let timeline: Timeline | undefined = this.current; timeline !== undefined && timeline.volume === this.id; ) {
      const last = end
      for (const mtr of timeline.mtrs.toReversed()) if (mtr.cpl <= last) points.push(mtr.cpl)
      end = timeline.start
      timeline = timeline.origin?.timeline
    }
    return points.reverse()
  }
}

/** All volumes of a run. */
export class Oracle {
  readonly #volumes = new Map<VolumeId, VolumeModel>()

  create(id: VolumeId, blockBytes: number): VolumeModel {
    return this.#add(new VolumeModel(id, blockBytes))
  }

  /** A branch shows its parent as it was at `at`, which is durable there. */
  branch(id: VolumeId, parent: VolumeId, at: Lsn): VolumeModel {
    const model = this.volume(parent)
    // The branch rests on it, so a later recovery of the parent may not cut it away.
    if (at > model.current.start) model.current.acknowledge(at)
    return this.#add(new VolumeModel(id, model.blockBytes, { timeline: model.current, at }))
  }

  #add(model: VolumeModel): VolumeModel {
    if (this.#volumes.has(model.id)) throw new Violation('volumes are made once', volumeName(model.id))
    this.#volumes.set(model.id, model)
    return model
  }

  volume(id: VolumeId): VolumeModel {
    const model = this.#volumes.get(id)
    if (model === undefined) throw new Violation('volumes are known', volumeName(id))
    return model
  }

  has(id: VolumeId): boolean {
    return this.#volumes.has(id)
  }

  volumes(): VolumeModel[] {
    return [...this.#volumes.values()]
  }
}
