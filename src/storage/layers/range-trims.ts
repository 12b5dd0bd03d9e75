/**
 * TRIM records of more blocks than are worth an entry each. A memtable keeps them in a list, a layer in its index
 * area; for every block inside they are a version of zeros.
 */
import type { Lsn } from '../../protocol/lsn.ts'
import { lsn, readU64, writeU64 } from '../../protocol/lsn.ts'

/** TRIM records of up to this many blocks become one entry per block: 128 entries of 24 bytes are less than one block. */
export const TRIM_EXPANDED_MAX = 128

export interface RangeTrim {
  /** The blocks [first, end) of the group become zeros at `lsn`. */
  readonly first: number
  readonly end: number
  readonly lsn: Lsn
  readonly toCpl: number
  readonly volumeEpoch: number
  readonly prevVolume: Lsn
  readonly prevGroup: Lsn
}

export const RANGE_TRIM_BYTES = 40

export function writeRangeTrim(view: DataView, at: number, trim: RangeTrim): void {
  writeU64(view, at, trim.lsn)
  writeU64(view, at + 8, trim.prevVolume)
  writeU64(view, at + 16, trim.prevGroup)
  view.setUint32(at + 24, trim.first, true)
  view.setUint32(at + 28, trim.end, true)
  view.setUint32(at + 32, trim.toCpl, true)
  view.setUint32(at + 36, trim.volumeEpoch, true)
}

export function readRangeTrim(view: DataView, at: number): RangeTrim {
  return {
    lsn: lsn(readU64(view, at)),
    prevVolume: lsn(readU64(view, at + 8)),
    prevGroup: lsn(readU64(view, at + 16)),
    first: view.getUint32(at + 24, true),
    end: view.getUint32(at + 28, true),
    toCpl: view.getUint32(at + 32, true),
    volumeEpoch: view.getUint32(at + 36, true),
  }
}

/** The parts of `trims` inside the blocks [from, to), in LSN order. */
export function clipTrims(trims: readonly RangeTrim[], from: number, to: number): RangeTrim[] {
  return trims
    .filter((t) => t.first < to && t.end > from)
    .map((t) =>
      t.first >= from && t.end <= to ? t : { ...t, first: Math.max(t.first, from), end: Math.min(t.end, to) },
    )
    .sort((a, b) => a.lsn - b.lsn)
}

/**
 * The newest trim of a block at a bound, in a list without order. For the short lists of a memtable.
 * @param byLsn the bound is the highest LSN to be seen; otherwise it is a read point.
 * @returns its LSN; 0 when there is none.
 */
export function newestTrim(trims: readonly RangeTrim[], block: number, bound: number, byLsn: boolean): number {
  let newest = 0
  for (const t of trims) {
    if (t.first <= block && t.end > block && t.lsn > newest && (byLsn ? t.lsn : t.lsn + t.toCpl) <= bound)
      newest = t.lsn
  }
  return newest
}

/** The trims of a layer, made for looking them up by block: sorted by their first block. */
export class TrimIndex {
  readonly trims: readonly RangeTrim[]
  /** The highest end among the trims up to each place: where it is not above a block, nothing further left holds it. */
  readonly #highestEnd: Float64Array

  constructor(trims: readonly RangeTrim[]) {
    this.trims = trims.toSorted((a, b) => a.first - b.first || a.lsn - b.lsn)
    this.#highestEnd = new Float64Array(trims.length)
    let end = 0
    for (const [i, t] of this.trims.entries()) {
      end = Math.max(end, t.end)
      this.#highestEnd[i] = end
    }
  }

  get length(): number {
    return this.trims.length
  }

  /** As `newestTrim`. */
  newest(block: number, bound: number, byLsn: boolean): number {
    const trims = this.trims
    let low = 0
    let high = trims.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (trims[middle]!.first <= block) low = middle + 1
      else high = middle
    }
    let newest = 0
    for (let i = low - 1; i >= 0 && this.#highestEnd[i]! > block; i--) {
      const t = trims[i]!
      if (t.end > block && t.lsn > newest && (byLsn ? t.lsn : t.lsn + t.toCpl) <= bound) newest = t.lsn
    }
    return newest
  }
}

/** Puts parts of one trim that touch each other together again; answers them in LSN order. */
export function joinTrims(parts: readonly RangeTrim[]): RangeTrim[] {
  const joined: RangeTrim[] = []
  for (const part of parts.toSorted((a, b) => a.lsn - b.lsn || a.first - b.first)) {
    const last = joined.at(-1)
    if (last === undefined || last.lsn !== part.lsn || last.end < part.first) joined.push(part)
    else joined[joined.length - 1] = { ...last, end: Math.max(last.end, part.end) }
  }
  return joined
}
