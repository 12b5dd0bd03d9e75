/**
 * What stays of one block's versions after garbage collection. Hot path: a whole block is folded in about 10 us.
 */
import { CONTROL_BLOCK, lsn, ZERO_LSN } from '../../protocol/lsn.ts'
import { RecordKind } from '../../protocol/record.ts'
import type { Chain } from './chain.ts'
import {
  applyEntry,
  ENTRY_HEAD_BYTES_MAX,
  entryKind,
  entryLsn,
  entryPrevBlock,
  entryVisibleFrom,
  FLAG_EXPANDED,
  isBase,
  writeEntry,
} from './entry.ts'
import { damageOf, LayerDamage } from './layer-damage.ts'
import type { LayerWriter } from './layer-writer.ts'
import type { RangeTrim } from './range-trims.ts'
import type { ParentRead } from './read-block.ts'

/** Puts a version of zeros into `versions` (oldest first) for each of the trims, which cover the block. */
export function insertTrims(versions: Chain, trims: readonly RangeTrim[]): void {
  for (const trim of trims) {
    const bytes = new Uint8Array(ENTRY_HEAD_BYTES_MAX)
    const view = new DataView(bytes.buffer)
    writeEntry(
      bytes,
      view,
      0,
      { ...trim, kind: RecordKind.TRIM, flags: 0, prevBlock: ZERO_LSN },
      FLAG_EXPANDED,
      bytes.subarray(0, 0),
    )
    let place = versions.length
    while (place > 0 && entryLsn(versions.views[place - 1]!, versions.at[place - 1]!) > trim.lsn) place--
    if (place > 0 && entryLsn(versions.views[place - 1]!, versions.at[place - 1]!) === trim.lsn) continue
    versions.bytes.splice(place, 0, bytes)
    versions.views.splice(place, 0, view)
    versions.at.splice(place, 0, 0)
    versions.length++
  }
}

export class BlockFolder {
  /** Bytes kept because they are the newest at the cutoff. */
  liveBytes = 0
  /** Bytes kept for the highest of the pins that need them, by pin. */
  readonly pinned = new Map<number, number>()
  readonly #writer: LayerWriter
  /** Pins below the cutoff, ascending, then the cutoff: what is visible at these stays readable. */
  readonly #points: readonly number[]
  readonly #parentRead: ParentRead | undefined
  readonly #collectedTo: number
  readonly #content: Uint8Array

  /**
   * @param points ascending; the last one is the cutoff.
   * @param parentRead given: zeros must be kept, as the parent may have something else there.
   * @param collectedTo of the layer set, see `BlockVersion.collectedTo`.
   */
  constructor(
    writer: LayerWriter,
    blockBytes: number,
    points: readonly number[],
    parentRead: ParentRead | undefined,
    collectedTo: number,
  ) {
    this.#writer = writer
    this.#points = points
    this.#parentRead = parentRead
    this.#collectedTo = collectedTo
    this.#content = new Uint8Array(blockBytes)
  }

  /**
   * Writes what stays of a block.
   * @param versions all entries of the block in the layers that are merged, oldest first.
   * @throws LayerDamage when a delta does not apply to the version before it.
   */
  fold(block: number, versions: Chain): void {
    try {
      this.#fold(block, versions)
    } catch (error) {
      throw damageOf(block, error)
    }
  }

  #fold(block: number, versions: Chain): void {
    const { bytes, views, at, length } = versions
    const points = block === CONTROL_BLOCK ? this.#points.slice(-1) : this.#points
    const cutoff = points[points.length - 1]!
    let p = 0
    let written = false
    let base = -1
    let applied = -1
    let visible = length === 0 ? 0 : entryVisibleFrom(views[0]!, at[0]!)
    for (let i = 0; i < length; i++) {
      const view = views[i]!
      const kind = entryKind(view, at[i]!)
      if (isBase(kind)) base = i
      else if (i > 0 && kind === RecordKind.DELTA) {
        const below = entryLsn(views[i - 1]!, at[i - 1]!)
        const applies = entryPrevBlock(view, at[i]!)
        if (applies !== below) this.#mismatch(block, entryLsn(view, at[i]!), applies, below)
      }
      const next = i + 1 < length ? entryVisibleFrom(views[i + 1]!, at[i + 1]!) : Number.POSITIVE_INFINITY
      if (visible > cutoff) {
        this.#writer.append(block, bytes[i]!, view, at[i]!)
        written = true
      } else {
        while (p < points.length && points[p]! < visible) p++
        if (p < points.length && points[p]! < next) {
          let length = 0
          if (kind === RecordKind.DELTA) {
            if (applied < base || applied < 0) applied = this.#start(block, base, versions)
            for (; applied < i; applied++) {
              applyEntry(bytes[applied + 1]!, views[applied + 1]!, at[applied + 1]!, this.#content)
            }
            const own = entryLsn(view, at[i]!)
            length = this.#writer.appendImage(block, own, visible - own, this.#content)
          } else if (kind === RecordKind.FULL) {
            length = this.#writer.appendAsImage(block, bytes[i]!, view, at[i]!)
          } else if (kind !== RecordKind.TRIM || written || this.#parentRead !== undefined) {
            length = this.#writer.append(block, bytes[i]!, view, at[i]!)
          }
          written ||= length > 0
          this.#count(length, next)
        }
      }
      visible = next
    }
  }

  /** Puts the base (the entry `base`, or what is below all entries) into the content; answers which entry is in it. */
  #start(block: number, base: number, versions: Chain): number {
    const { bytes, views, at } = versions
    if (base >= 0) {
      applyEntry(bytes[base]!, views[base]!, at[base]!, this.#content)
      return base
    }
    const first = entryLsn(views[0]!, at[0]!)
    const below = this.#parentRead?.(block, lsn(first))
    const applies = entryPrevBlock(views[0]!, at[0]!)
    const tolerated = (below?.lsn ?? 0) === 0 ? Math.max(this.#collectedTo, below?.collectedTo ?? 0) : 0
    if (applies !== (below?.lsn ?? 0) && applies > tolerated) this.#mismatch(block, first, applies, below?.lsn ?? 0)
    if (below?.bytes === undefined) this.#content.fill(0)
    else this.#content.set(below.bytes)
    return -1
  }

  #mismatch(block: number, own: number, applies: number, below: number): never {
    throw new LayerDamage({ block }, `block ${block}: delta ${own} applies to ${applies}, but ${below} is below it`)
  }

  #count(length: number, next: number): void {
    const last = this.#points.length - 1
    if (this.#points[last]! < next) {
      this.liveBytes += length
      return
    }
    let pin = last - 1
    while (pin > 0 && this.#points[pin]! >= next) pin--
    this.pinned.set(this.#points[pin]!, (this.pinned.get(this.#points[pin]!) ?? 0) + length)
  }
}
