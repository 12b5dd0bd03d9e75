/**
 * Which delta layers are merged next, so that the layers that a read may have to visit stay few.
 *
 * A flush makes layers of level 0; a merge of four to eight layers of level n makes one of level n + 1. So a block has
 * fewer than four layers of each level once the work is done, and the number of levels grows with the logarithm of
 * the number of flushes. One job makes one file; the rest of the blocks keep the inputs until a later job.
 */
import { BLOCK_END } from './layer-file.ts'
import type { LayerRef } from './layer-ref.ts'
import type { LayerSet, LayerSlice } from './layer-set.ts'

/** This many layers of a level are merged: each record is written once per level, so fewer would cost more. */
export const FAN_IN_MIN = 4
/** At most so many at once: each input has a piece of 256 KiB in memory. */
export const FAN_IN_MAX = 8

/** Layers with LSN ranges in (lo, hi] that one job merges, over blocks in [fromBlock, toBlock). */
export interface MergePlan {
  /** Oldest first; every layer of the band that is visible in those blocks. */
  readonly inputs: readonly LayerRef[]
  readonly fromBlock: number
  readonly toBlock: number
  readonly lo: number
  readonly hi: number
  /** Level of the output. */
  readonly level: number
}

/** The run of delta layers in a stack that should be merged first, if there is one. */
function candidate(slice: LayerSlice): { readonly level: number; readonly run: readonly LayerRef[] } | undefined {
  const { stack } = slice
  for (let from = 0; from < stack.length; ) {
    const { kind, level } = stack[from]!
    let to = from + 1
    while (to < stack.length && stack[to]!.kind === kind && stack[to]!.level === level) to++
    if (kind === 'delta' && to - from >= FAN_IN_MIN) return { level, run: stack.slice(from, to) }
    from = to
  }
  return undefined
}

/**
 * Picks the merge of the lowest level that is due; of those, where most layers wait; of those, the lowest block.
 * @param targetBytes of an output file.
 */
export function planMerge(layers: LayerSet, targetBytes: number): MergePlan | undefined {
  const slices = layers.slices()
  let best: { level: number; run: readonly LayerRef[]; at: number } | undefined
  for (const [at, slice] of slices.entries()) {
    const found = candidate(slice)
    if (found === undefined) continue
    const better =
      best === undefined ||
      found.level < best.level ||
      (found.level === best.level && found.run.length > best.run.length)
    if (better) best = { ...found, at }
  }
  if (best === undefined) return undefined
  const { level, run, at } = best
  const lo = run[run.length - 1]!.lo
  // A merge that an earlier job began at the left goes on with the same inputs, so that the files of one level have
  // the same ends all over the blocks.
  const begun = slices[at - 1]?.stack.find((ref) => ref.kind === 'delta' && ref.level === level + 1 && ref.lo === lo)
  const hi =
    run.find((ref, i) => ref.hi === begun?.hi && run.length - i >= 2)?.hi ??
    run[Math.max(0, run.length - FAN_IN_MAX)]!.hi
  return { ...extend(layers, slices, at, lo, hi, level, targetBytes), lo, hi, level: level + 1 }
}

/** Goes on over the slices at the right while their layers are those of the band, as far as one output file may reach. */
function extend(
  layers: LayerSet,
  slices: readonly LayerSlice[],
  at: number,
  lo: number,
  hi: number,
  level: number,
  targetBytes: number,
): { inputs: LayerRef[]; fromBlock: number; toBlock: number } {
  const inputs = new Set<LayerRef>()
  let bytes = 0
  let end = at
  for (; end < slices.length && bytes < 2 * targetBytes; end++) {
    const { from, to, stack } = slices[end]!
    const band = stack.filter((ref) => ref.lo < hi && ref.hi > lo)
    if (end > at && band.length < 2) break
    if (band.some((ref) => ref.lo < lo || ref.hi > hi || ref.kind !== 'delta' || ref.level > level)) break
    for (const ref of band) {
      inputs.add(ref)
      bytes += layers.bytesIn(ref, from, to)
    }
  }
  return {
    inputs: [...inputs].sort((a, b) => a.lo - b.lo),
    fromBlock: slices[at]!.from,
    toBlock: slices[end]?.from ?? BLOCK_END,
  }
}

/** Bytes of the layers that are due to be merged. */
export function mergeDebt(layers: LayerSet): number {
  const due = new Set<LayerRef>()
  for (const slice of layers.slices()) for (const ref of candidate(slice)?.run ?? []) due.add(ref)
  return due.values().reduce((sum, ref) => sum + ref.bytes, 0)
}
