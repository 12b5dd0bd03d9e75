/**
 * The background work on the layers of one segment: merges, so that reads visit few of them, and garbage collection,
 * so that they stay small.
 */
import { invariant } from '../../protocol/errors.ts'
import { ZERO_LSN } from '../../protocol/lsn.ts'
import { collect } from './collect.ts'
import { type Grant, planCollect } from './collect-plan.ts'
import type { LayerEdit } from './layer-ref.ts'
import type { LayerSet } from './layer-set.ts'
import { LAYER_TARGET_BYTES } from './layer-writer.ts'
import { merge } from './merge.ts'
import { FAN_IN_MAX, mergeDebt, planMerge } from './merge-plan.ts'
import type { ParentRead } from './read-block.ts'

export interface CompactionSetting {
  readonly layers: LayerSet
  /** Given for a branch, whose zeros must stay. */
  readonly parentRead?: ParentRead | undefined
  /** Garbage below this is left alone. Default: a sixteenth of a file. */
  readonly minGarbageBytes?: number
}

/** After a look for garbage that found nothing, the next one is when the cutoff went on by this share of what is kept. */
const LOOK_AGAIN_SHARE = 32

export class Compaction {
  readonly #layers: LayerSet
  readonly #parentRead: ParentRead | undefined
  readonly #targetBytes: number
  readonly #minGarbageBytes: number
  #grant: Grant = { cutoff: ZERO_LSN, pins: [] }
  #pins = ''
  /** Where the next look for garbage begins. */
  #nextBlock = 0
  /** The last look that found nothing. */
  #idle: { readonly version: number; readonly cutoff: number; readonly pins: string } | undefined
  #collectNext = false
  #debt: { readonly version: number; readonly bytes: number } | undefined
  #garbage = 0

  constructor(setting: CompactionSetting) {
    this.#layers = setting.layers
    this.#parentRead = setting.parentRead
    this.#targetBytes = setting.layers.setting.layerBytes ?? LAYER_TARGET_BYTES
    this.#minGarbageBytes = setting.minGarbageBytes ?? this.#targetBytes / 16
  }

  get grant(): Grant {
    return this.#grant
  }

  /** Allows collection up to a grant that is durable. @throws VolumeError `Invariant` when the cutoff goes back. */
  setGrant(grant: Grant): void {
    invariant(grant.cutoff >= this.#grant.cutoff, () => `cutoff went from ${this.#grant.cutoff} to ${grant.cutoff}`)
    this.#grant = grant
    this.#pins = [...grant.pins].sort((a, b) => a - b).join()
  }

  /** An estimate of the bytes that wait for `runJob`: to be merged, and of the collection at hand. */
  needed(): number {
    const { version } = this.#layers
    if (this.#debt?.version !== version) this.#debt = { version, bytes: mergeDebt(this.#layers) }
    return this.#debt.bytes + this.#garbage
  }

  /**
   * Picks the most urgent job and runs it; at most one file of the target size is written. Only one job at a time may
   * run on a layer set, besides one flush. Yields after each slice of work of about a millisecond. Ending it early
   * (`return()`, or an error) removes what was written.
   * @returns the edit to install; undefined: nothing is to be done.
   * @throws VolumeError `Corrupt`, `DiskFull`, and what `parentRead` throws.
   */
  *runJob(): Generator<void, LayerEdit | undefined> {
    const plan = planMerge(this.#layers, this.#targetBytes)
    const urgent = plan !== undefined && plan.level === 1 && plan.inputs.length >= FAN_IN_MAX
    // In turns, so that under load neither layers nor garbage grow without end.
    if (plan !== undefined && (urgent || !this.#collectNext)) {
      this.#collectNext = true
      return yield* merge(this.#layers, plan)
    }
    this.#collectNext = false
    const edit = yield* this.#collect()
    if (edit !== undefined) return edit
    const again = planMerge(this.#layers, this.#targetBytes)
    return again && (yield* merge(this.#layers, again))
  }

  *#collect(): Generator<void, LayerEdit | undefined> {
    const grant = this.#grant
    const layers = this.#layers
    if (grant.cutoff === 0 || !this.#shouldLook()) return undefined
    const { version } = layers
    const plan = yield* planCollect(layers, grant, this.#nextBlock, this.#targetBytes, this.#minGarbageBytes)
    if (plan === undefined) {
      if (layers.version === version) this.#idle = { version, cutoff: grant.cutoff, pins: this.#pins }
      return undefined
    }
    this.#garbage = plan.liveBytes + plan.garbageBytes
    try {
      const edit = yield* collect(layers, plan, this.#parentRead)
      this.#nextBlock = edit.hide[0]?.toBlock ?? 0
      return edit
    } finally {
      this.#garbage = 0
    }
  }

  #shouldLook(): boolean {
    const idle = this.#idle
    if (idle === undefined || idle.version !== this.#layers.version || idle.pins !== this.#pins) return true
    const kept = this.#layers.flushedTo - idle.cutoff
    return this.#grant.cutoff > idle.cutoff && (this.#grant.cutoff - idle.cutoff) * LOOK_AGAIN_SHARE >= kept
  }
}
