/**
 * A column: all that a segment has of some neighbouring blocks up to an LSN, written anew from the history that another
 * segment gave, in place of every layer that holds them. Mends damage wherever in those layers it is.
 */
import { invariant, VolumeError } from '../../protocol/errors.ts'
import { CONTROL_BLOCK, type Lsn, lsn } from '../../protocol/lsn.ts'
import { RecordKind } from '../../protocol/record.ts'
import { entryKind, entryLsn, entryPrevBlock } from './entry.ts'
import type { ReadPage } from './history.ts'
import type { LayerEdit, LayerRef } from './layer-ref.ts'
import type { LayerSet } from './layer-set.ts'
import { LayerWriter } from './layer-writer.ts'
import { joinTrims, newestTrim, type RangeTrim } from './range-trims.ts'

/** The layers that hold some of the blocks [from, to) at or below an LSN. */
const layersBelow = (layers: LayerSet, from: number, to: number, upTo: Lsn): LayerRef[] =>
  layers.refs.filter((ref) => ref.fromBlock < to && ref.toBlock > from && ref.lo < upTo)

export class ColumnWriter {
  readonly from: number
  /** What is written is all that there is at or below. */
  readonly upTo: Lsn
  readonly #layers: LayerSet
  readonly #writer: LayerWriter
  #trims: RangeTrim[] = []
  /** The block at hand, and its newest entry. */
  #block = -1
  #last = 0

  /**
   * Begins a column of the blocks [from, to), of all that is in layers.
   * @param base nothing at or below this LSN is the segment's own
   */
  constructor(layers: LayerSet, from: number, to: number, base: Lsn) {
    this.#layers = layers
    this.from = from
    this.upTo = lsn(layers.flushedTo)
    const old = layersBelow(layers, from, to, this.upTo)
    const { disk, folder } = layers.setting
    this.#writer = new LayerWriter(disk, folder, layers.setting, {
      id: layers.takeId(),
      kind: 'delta',
      // Above all that it stands for: merges of newer layers pass it over, and go on in one piece at both its sides.
      level: 1 + Math.max(0, ...old.map((ref) => ref.level)),
      lo: old.length === 0 ? base : Math.min(...old.map((ref) => ref.lo)),
      hi: this.upTo,
    })
  }

  get bytes(): number {
    return this.#writer.bytes
  }

  /** Notes range trims; those outside of what the column comes to be are left out in the end. */
  addTrims(trims: readonly RangeTrim[]): void {
    this.#trims = joinTrims([...this.#trims, ...trims])
  }

  /** Takes a page, which goes on where the one before ended. @throws VolumeError `Corrupt` unless versions fit each other */
  append({ bytes, view, trims, blocks }: ReadPage): void {
    this.addTrims(trims)
    for (const { block, entries } of blocks) {
      if (block !== this.#block) this.#last = 0
      this.#block = block
      for (const at of entries) {
        this.#check(view, at)
        this.#writer.append(block, bytes, view, at)
        this.#last = entryLsn(view, at)
      }
    }
  }

  /** A delta applies to the entry before it, or to a trim in between; the first may apply to what is elsewhere. */
  #check(view: DataView, at: number): void {
    if (this.#block === CONTROL_BLOCK || entryKind(view, at) !== RecordKind.DELTA) return
    const below = Math.max(this.#last, newestTrim(this.#trims, this.#block, entryLsn(view, at) - 1, true))
    const applies = entryPrevBlock(view, at)
    if (below === 0 || applies === below) return
    throw new VolumeError('Corrupt', `history of block ${this.#block}: a delta applies to ${applies}, not to ${below}`)
  }

  /**
   * Ends the column before block `to`. What is newer than it stays as it is.
   * @returns the edit to install; undefined when a merge has put newer records together with those of the column: it
   *   has to be begun again
   */
  finish(to: number): LayerEdit | undefined {
    invariant(to > this.from, 'a column without blocks')
    const { from, upTo } = this
    const old = layersBelow(this.#layers, from, to, upTo)
    if (old.some((ref) => ref.hi > upTo)) return undefined
    const hide = Array.from(new Set(old.map(({ id }) => id)), (id) => ({ id, fromBlock: from, toBlock: to }))
    const isEmpty = this.#writer.groups === 0 && !this.#trims.some(({ first, end }) => first < to && end > from)
    if (isEmpty) {
      this.discard()
      return { add: [], hide }
    }
    const steps = this.#writer.finish(this.#trims, from, to)
    let step = steps.next()
    while (step.done !== true) step = steps.next()
    return { add: [step.value], hide }
  }

  /** Removes what was written: it is not wanted. */
  discard(): void {
    this.#writer.discard()
  }
}
