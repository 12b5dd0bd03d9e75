/**
 * What a node does when nobody waits for it: fold deltas into images, write memtables as layers, merge layers, collect
 * garbage, verify checksums. One job at a time, a slice of about a millisecond at a time, so that an append never
 * waits long (SIGMOD 2017, section 3.3: background work is negatively correlated with foreground work).
 */
import { VolumeError } from '../protocol/errors.ts'
import type { Disk } from './disk.ts'
import { coalesceOne } from './layers/coalesce.ts'
import { Compaction } from './layers/compaction.ts'
import { flush } from './layers/flush.ts'
import { type ScrubReport, type ScrubStep, scrub } from './layers/scrub.ts'
import { materialise } from './materialise.ts'
import type { NodeOptions } from './node-options.ts'
import type { Segment } from './segment.ts'

type JobKind = 'verify' | 'coalesce' | 'flush' | 'materialise' | 'compact'

interface Job {
  readonly kind: JobKind
  readonly segment: Segment
  /** The segment's generation when the job began: a job of an earlier one is void. */
  readonly generation: number
  readonly steps: Generator<void, void>
  /** Log bytes that it turns into layers, to measure how fast that goes. */
  readonly bytes: number
}

/** What the work is done for. */
export interface WorkHost {
  readonly options: NodeOptions
  readonly disk: Disk
  now(): number
  segments(): Iterable<Segment>
  count(name: string): void
  /** Blocks cannot be read: checksums do not match, or versions do not fit each other. */
  damaged(segment: Segment, error: VolumeError): void
}

const COALESCE_PER_SLICE = 32
/** A job that failed is not tried again sooner. */
const RETRY_MS = 500
/** Bytes a millisecond until something was measured. */
const RATE_FIRST = 100_000
const RATE_WEIGHT = 0.2

const stampOf = (segment: Segment): string =>
  `${segment.generation} ${segment.layers.version} ${segment.volume.state.grantVersion}`

const jobOf = (kind: JobKind, segment: Segment, steps: Generator<void, void>, bytes = 0): Job => ({
  kind,
  segment,
  generation: segment.generation,
  steps,
  bytes,
})

export class BackgroundWork {
  readonly #host: WorkHost
  /** Segments that may have something to do. */
  readonly #touched = new Set<Segment>()
  readonly #compactions = new Map<Segment, { readonly compaction: Compaction; readonly generation: number }>()
  /** What layers and grant were like when nothing was found to do for a segment. */
  readonly #compacted = new Map<Segment, string>()
  readonly #notBefore = new Map<Segment, number>()
  readonly #wanted = new Set<Segment>()
  readonly #materialise = new Set<Segment>()
  #job: Job | undefined
  #jobMs = 0
  #bytesPerMs = RATE_FIRST
  #memoryBytes = 0
  #applyDelayMs = 0
  #scrub:
    | {
        readonly segment: Segment
        readonly generation: number
        readonly steps: Generator<ScrubStep, ScrubReport>
      }
    | undefined
  /** Layers to be verified at once. */
  #doubted: { readonly segment: Segment; readonly layer: number }[] = []
  #scrubQueue: Segment[] = []
  #scrubNextMs: number
  #scrubBudget = 0
  #lastTickMs: number

  constructor(host: WorkHost) {
    this.#host = host
    this.#lastTickMs = host.now()
    // At once: nobody knows what became of the disk while no node looked after it.
    this.#scrubNextMs = host.now()
  }

  /** Memory of all memtables, in bytes. */
  get memoryBytes(): number {
    return this.#memoryBytes
  }

  /** How long it would take to apply what was logged beyond what memory is meant to hold. */
  get applyDelayMs(): number {
    return this.#applyDelayMs
  }

  touched(segment: Segment): void {
    this.#touched.add(segment)
  }

  forget(segment: Segment): void {
    this.#touched.delete(segment)
    this.#compactions.delete(segment)
    this.#compacted.delete(segment)
    this.#notBefore.delete(segment)
    this.#wanted.delete(segment)
    this.#materialise.delete(segment)
    this.#doubted = this.#doubted.filter((each) => each.segment !== segment)
    this.#scrubQueue = this.#scrubQueue.filter((each) => each !== segment)
    if (this.#job?.segment === segment) this.#end()
    if (this.#scrub?.segment === segment) this.#scrub = undefined
  }

  /** Something waits for this segment's memtable to be in layers. */
  wantFlush(segment: Segment): void {
    if (segment.kind !== 'full') return
    this.#wanted.add(segment)
    this.#touched.add(segment)
  }

  /** Copies what the segment shows of its ancestor into its own layers. */
  wantMaterialised(segment: Segment): void {
    this.#materialise.add(segment)
    this.#touched.add(segment)
  }

  /** Whether a job works on this segment's layers: they must not be replaced under it. */
  endJobOf(segment: Segment): void {
    if (this.#job?.segment === segment) this.#end()
    if (this.#scrub?.segment === segment) this.#scrub = undefined
  }

  /** As `endJobOf`, for an edit of the layers that only a merge or a collection would not know of. */
  endCompactionOf(segment: Segment): void {
    if (this.#job?.segment === segment && this.#job.kind === 'compact') this.#end()
  }

  /** Verifies one layer at once: a copy of it was damaged. */
  verify(segment: Segment, layer: number): void {
    const isWaiting = this.#doubted.some((each) => each.segment === segment && each.layer === layer)
    if (!isWaiting && segment.layers.refs.some(({ id }) => id === layer)) this.#doubted.push({ segment, layer })
  }

  /** Verifies every layer of the node from now on, whatever the hour. */
  scrubAll(): void {
    this.#scrubQueue = [...this.#host.segments()].filter((segment) => segment.kind === 'full')
    this.#scrubBudget = Number.MAX_SAFE_INTEGER
  }

  tick(): void {
    const now = this.#host.now()
    let memory = 0
    let waiting = 0
    for (const segment of this.#host.segments()) {
      memory += segment.memory.bytes
      if (this.#touched.has(segment)) waiting += this.#compactionOf(segment).needed()
    }
    this.#memoryBytes = memory
    const { memoryBytesMax, flushBytes, scrubBytesPerSecond } = this.#host.options
    const unapplied = Math.max(0, memory - Math.max(memoryBytesMax / 2, flushBytes * 2)) + waiting
    this.#applyDelayMs = Math.min(0xffff_ffff, Math.round(unapplied / this.#bytesPerMs))
    this.#scrubBudget = Math.min(
      Math.max(scrubBytesPerSecond, this.#scrubBudget),
      this.#scrubBudget + ((now - this.#lastTickMs) * scrubBytesPerSecond) / 1000,
    )
    this.#lastTickMs = now
    // A pass that takes longer than that is ended first: the next one would begin with the same segments again.
    if (now >= this.#scrubNextMs && this.#scrub === undefined && this.#scrubQueue.length === 0) {
      this.#scrubNextMs = now + this.#host.options.scrubEveryMs
      this.#scrubQueue = [...this.#host.segments()].filter((segment) => segment.kind === 'full')
    }
  }

  /** One slice; true when there is more to do at once. */
  slice(): boolean {
    if (this.#job !== undefined && this.#job.generation !== this.#job.segment.generation) this.#end()
    this.#job ??= this.#next()
    const job = this.#job
    if (job === undefined) return this.#scrubSlice()
    const before = this.#host.now()
    try {
      const done = job.steps.next().done === true
      this.#jobMs += this.#host.now() - before
      if (done) this.#finished(job)
    } catch (error) {
      this.#failed(job.segment, error)
      this.#job = undefined
    }
    return true
  }

  #end(): void {
    this.#job?.steps.return()
    this.#job = undefined
    this.#jobMs = 0
  }

  #finished(job: Job): void {
    if (job.bytes > 0 && this.#jobMs > 0) {
      this.#bytesPerMs += (job.bytes / this.#jobMs - this.#bytesPerMs) * RATE_WEIGHT
    }
    this.#jobMs = 0
    this.#job = undefined
  }

  #failed(segment: Segment, error: unknown): void {
    this.#jobMs = 0
    if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
    this.#host.count(`failed${error.code}`)
    this.#notBefore.set(segment, this.#host.now() + RETRY_MS)
    if (error.code === 'Corrupt') this.#host.damaged(segment, error)
  }

  /**
   * The most urgent job: what peers wait for; then folding, as reads and flushes are slow without; then room in memory;
   * then merging.
   */
  #next(): Job | undefined {
    const doubted = this.#doubted.pop()
    if (doubted !== undefined) return jobOf('verify', doubted.segment, this.#verified(doubted.segment, doubted.layer))
    const now = this.#host.now()
    let compactable: Segment | undefined
    let flushable: Segment | undefined
    for (const segment of this.#touched) {
      if (segment.kind !== 'full' || segment.state === 'rebuilding') {
        this.#touched.delete(segment)
        continue
      }
      if ((this.#notBefore.get(segment) ?? 0) > now) continue
      if (segment.memory.memtables.some((memtable) => memtable.coalesceQueue > 0))
        return jobOf('coalesce', segment, this.#coalesce(segment))
      const larger = flushable === undefined || segment.memory.bytes > flushable.memory.bytes
      if (this.#mustFlush(segment) && larger) flushable = segment
      if (this.#mayCompact(segment)) compactable ??= segment
      else if (!this.#isBusy(segment) && segment !== flushable) this.#touched.delete(segment)
    }
    if (flushable !== undefined)
      return jobOf('flush', flushable, this.#flush(flushable), flushable.memory.frozen?.bytes)
    for (const segment of this.#materialise) {
      if ((this.#notBefore.get(segment) ?? 0) <= now) return jobOf('materialise', segment, this.#materialised(segment))
    }
    return compactable === undefined ? undefined : jobOf('compact', compactable, this.#compact(compactable))
  }

  /** Merging of a segment's layers; begun anew when the layers were replaced. */
  #compactionOf(segment: Segment): Compaction {
    const { generation } = segment
    let held = this.#compactions.get(segment)
    if (held === undefined || held.generation !== generation) {
      const parentRead = segment.below === null ? undefined : segment.readBelow
      held = { compaction: new Compaction({ layers: segment.layers, parentRead }), generation }
      this.#compactions.set(segment, held)
    }
    return held.compaction
  }

  /** Whether layers can be read, and they or the grant have changed since a look that found nothing to be done. */
  #mayCompact(segment: Segment): boolean {
    return segment.damage.isEmpty && this.#compacted.get(segment) !== stampOf(segment)
  }

  #isBusy(segment: Segment): boolean {
    return segment.memory.frozen !== undefined || this.#wanted.has(segment) || this.#materialise.has(segment)
  }

  /** Sets a memtable aside when it is large, pins old log, or memory is short; answers whether it can be written now. */
  #mustFlush(segment: Segment): boolean {
    const { flushBytes, memoryBytesMax } = this.#host.options
    if (segment.memory.frozen === undefined) {
      const short = this.#memoryBytes > memoryBytesMax && segment.memory.active.bytes > flushBytes / 4
      const wanted = this.#wanted.has(segment)
      if (wanted && segment.memory.active.maxLsn === 0) this.#wanted.delete(segment)
      if (!(segment.memory.active.bytes >= flushBytes || segment.memory.active.full || short || wanted)) return false
      segment.memory.freeze()
    }
    return segment.canFlush
  }

  *#coalesce(segment: Segment): Generator<void, void> {
    for (const memtable of segment.memory.memtables) {
      for (let n = 1; memtable.coalesceQueue > 0; n++) {
        try {
          coalesceOne(memtable, segment.blocks)
        } catch (error) {
          this.#unreadable(segment, error)
          memtable.passOver()
        }
        if (n % COALESCE_PER_SLICE === 0) yield
      }
    }
  }

  /** An image cannot be made now, as blocks here or in an ancestor are damaged: no reason to keep others waiting. */
  #unreadable(segment: Segment, error: unknown): void {
    if (!(error instanceof VolumeError) || error.family !== 'operation') throw error
    this.#host.count(`failed${error.code}`)
    if (error.code === 'Corrupt') this.#host.damaged(segment, error)
  }

  *#flush(segment: Segment): Generator<void, void> {
    const { layers } = segment
    const { frozen } = segment.memory
    if (frozen === undefined) return
    const unreadable = (error: VolumeError): void => this.#unreadable(segment, error)
    const edit = yield* flush({ memtable: frozen, layers, parentRead: segment.readBelow, unreadable })
    segment.installFlush(edit)
    this.#wanted.delete(segment)
    this.#host.count('flushes')
  }

  *#compact(segment: Segment): Generator<void, void> {
    const compaction = this.#compactionOf(segment)
    compaction.setGrant(segment.volume.state)
    const edit = yield* compaction.runJob()
    if (edit === undefined) {
      this.#compacted.set(segment, stampOf(segment))
      return
    }
    segment.layers.install(edit, () => segment.persist())
    this.#host.count(edit.collectedTo === undefined ? 'merges' : 'collections')
  }

  *#materialised(segment: Segment): Generator<void, void> {
    yield* materialise(segment)
    segment.detached()
    this.#materialise.delete(segment)
    this.#host.count('materialised')
  }

  *#verified(segment: Segment, layer: number): Generator<void, void> {
    const steps = scrub(segment.layers, layer)
    for (let step = steps.next(); step.done !== true; step = steps.next()) {
      for (const damage of step.value.damages) this.#host.damaged(segment, damage)
      yield
    }
  }

  /** Verifies a little, within what is allowed for each second. */
  #scrubSlice(): boolean {
    if (this.#scrub !== undefined && this.#scrub.generation !== this.#scrub.segment.generation) this.#scrub = undefined
    if (this.#scrub === undefined) {
      const segment = this.#scrubQueue.pop()
      if (segment === undefined) return false
      this.#scrub = { segment, generation: segment.generation, steps: scrub(segment.layers) }
    }
    if (this.#scrubBudget <= 0) return false
    const { segment, steps } = this.#scrub
    try {
      const step = steps.next()
      if (step.done === true) {
        this.#scrub = undefined
        this.#host.count('scrubbed')
      } else {
        this.#scrubBudget -= step.value.bytes
        for (const damage of step.value.damages) this.#host.damaged(segment, damage)
      }
    } catch (error) {
      this.#scrub = undefined
      this.#failed(segment, error)
    }
    return this.#scrubBudget > 0
  }
}
