/**
 * Where garbage collection is worth it next.
 *
 * What may go is every version that is not the newest one at the cutoff, at a pin, or visible only after the cutoff. A
 * region is a row of blocks over one bottom layer. It is collected when half of its live image is garbage, or a
 * quarter of the image was trimmed: so for every byte that is dropped about two are written.
 */
import { invariant } from '../../protocol/errors.ts'
import type { Lsn } from '../../protocol/lsn.ts'
import type { LayerIndex } from './layer-file.ts'
import { BLOCK_END, GROUP_ENDS_IN_ZEROS } from './layer-file.ts'
import type { LayerRef } from './layer-ref.ts'
import type { LayerSet } from './layer-set.ts'
import { visibleTrims } from './merge.ts'
import { TrimIndex } from './range-trims.ts'

/** What may be collected; durable, and never taken back, before it is used. */
export interface Grant {
  /** Read points below are not read any more, but for the pins. */
  readonly cutoff: Lsn
  /** In any order; those at or above the cutoff have no effect. */
  readonly pins: readonly Lsn[]
}

export interface CollectPlan {
  /** Oldest first: all layers at the bottom of those blocks, up to the LSN `hi`. */
  readonly inputs: readonly LayerRef[]
  readonly fromBlock: number
  readonly toBlock: number
  readonly lo: number
  readonly hi: number
  readonly grant: Grant
  /** Estimates, in bytes. */
  readonly liveBytes: number
  readonly garbageBytes: number
}

/** Garbage is collected when it is at least half as much as what stays. */
const GARBAGE_SHARE = 2
/** Or when a quarter of the image was trimmed. */
const TRIMMED_SHARE = 4
/** A neighbour is taken along, whether worth it or not, when it has less than an eighth of a file: files stay few. */
const SMALL_SHARE = 8

interface Region {
  readonly from: number
  to: number
  readonly lo: number
  readonly hi: number
  readonly bottom: LayerRef
  readonly refs: Set<LayerRef>
}

/** Rows of slices with the same bottom layer and the same highest LSN to be collected. */
function regions(layers: LayerSet, cutoff: number): Region[] {
  const found: Region[] = []
  for (const { from, to, stack } of layers.slices()) {
    let depth = 0
    while (depth < stack.length && worthTaking(stack[stack.length - 1 - depth]!, depth, cutoff)) depth++
    if (depth === 0) continue
    const taken = stack.slice(stack.length - depth)
    const bottom = taken[taken.length - 1]!
    const { hi } = taken[0]!
    const last = found.at(-1)
    if (last?.bottom.id === bottom.id && last.hi === hi && last.to === from) {
      last.to = to
      for (const ref of taken) last.refs.add(ref)
    } else {
      found.push({ from, to, lo: bottom.lo, hi, bottom, refs: new Set(taken) })
    }
  }
  return found
}

/** A layer that straddles the cutoff is taken when most of its records are below, and an old image always. */
function worthTaking(ref: LayerRef, depth: number, cutoff: number): boolean {
  if (ref.lo >= cutoff) return false
  return ref.hi <= cutoff || (depth === 0 && ref.kind === 'image') || collectable(ref, cutoff) >= 0.5
}

/** The share of a layer's records that are at or below the cutoff, supposing that they are spread evenly. */
function collectable(ref: LayerRef, cutoff: number): number {
  const from = Math.max(ref.lo, ref.collectedTo)
  if (ref.hi <= from) return 0
  return Math.min(1, Math.max(0, (cutoff - from) / (ref.hi - from)))
}

interface Worth {
  readonly live: number
  readonly garbage: number
  readonly due: boolean
}

const NOT_WORTH: Worth = { live: 0, garbage: 0, due: false }

/** Estimates what a region has of live bytes and of garbage; reads indexes, but no data. */
function* assess(layers: LayerSet, region: Region, grant: Grant, minBytes: number): Generator<void, Worth> {
  const { from, to } = region
  const pins = new Set<number>(grant.pins)
  let history = 0
  let imageLive = 0
  let marked = false
  for (const ref of region.refs) {
    const bytes = layers.bytesIn(ref, from, to)
    const share = ref.bytes === 0 ? 0 : bytes / ref.bytes
    marked ||= ref.kind === 'delta' && (ref.trims > 0 || ref.zeros > 0)
    const kept = ref.pinned.filter(([at]) => pins.has(at)).reduce((sum, [, n]) => sum + n, 0)
    const pinned = ref.pinned.reduce((sum, [, n]) => sum + n, 0)
    history += Math.max(0, bytes - (ref.liveBytes + pinned) * share) * collectable(ref, grant.cutoff)
    history += (pinned - kept) * share
    imageLive += ref.liveBytes * share
  }
  // Without a walk: what is live is at least the image, unless something was trimmed.
  if (!marked && history < minBytes) return NOT_WORTH
  if (!marked && imageLive > 0 && history * GARBAGE_SHARE < imageLive) return NOT_WORTH
  const blocks = yield* countBlocks(layers, region, grant.cutoff)
  const { blockBytes } = layers.setting
  const each = blocks.image > 0 && imageLive > 0 ? Math.min(blockBytes, imageLive / blocks.image) : blockBytes
  const live = blocks.live * each
  const garbage = Math.max(0, history + imageLive - live)
  const trimmed = blocks.imageDead * each
  const due =
    Math.max(garbage, trimmed) >= minBytes &&
    (garbage * GARBAGE_SHARE >= live || (imageLive > 0 && trimmed * TRIMMED_SHARE >= imageLive))
  return { live, garbage, due }
}

interface Cursor {
  readonly index: LayerIndex
  readonly image: boolean
  readonly settled: boolean
  g: number
  readonly end: number
}

interface BlockCount {
  live: number
  image: number
  imageDead: number
}

/** Blocks counted between two yields. */
const BLOCKS_PER_SLICE = 8192

/** Counts blocks of a region from the indexes: those that are not zeros, those of the image, and of them the zeros. */
function* countBlocks(layers: LayerSet, region: Region, cutoff: number): Generator<void, BlockCount> {
  const refs = [...region.refs].sort((a, b) => a.lo - b.lo)
  const trims = new TrimIndex(visibleTrims(layers, refs, region.from, region.to))
  const cursors = refs.map((ref): Cursor => {
    const { index } = layers.reader(ref)
    return {
      index,
      image: ref.kind === 'image',
      settled: ref.hi <= cutoff,
      g: index.lowerBound(Math.max(region.from, ref.fromBlock)),
      end: index.lowerBound(Math.min(region.to, ref.toBlock)),
    }
  })
  const count: BlockCount = { live: 0, image: 0, imageDead: 0 }
  for (let counted = 1; ; counted++) {
    if (counted % BLOCKS_PER_SLICE === 0) yield
    let block = BLOCK_END
    for (const c of cursors) if (c.g < c.end && c.index.block[c.g]! < block) block = c.index.block[c.g]!
    if (block === BLOCK_END) return count
    let image = false
    let dead = false
    for (const c of cursors) {
      if (c.g === c.end || c.index.block[c.g] !== block) continue
      while (c.g < c.end && c.index.block[c.g] === block) c.g++
      image ||= c.image
      dead = c.settled && (c.index.flags[c.g - 1]! & GROUP_ENDS_IN_ZEROS) !== 0
      dead ||= trims.length > 0 && trims.newest(block, cutoff, false) > c.index.firstLsn[c.g - 1]!
    }
    if (!dead) count.live++
    if (image) count.image++
    if (image && dead) count.imageDead++
  }
}

/**
 * Looks for a region that is worth it, from the block `start` on and then from the first one. Yields between regions.
 * @param minBytes regions with less garbage are left alone.
 */
export function* planCollect(
  layers: LayerSet,
  grant: Grant,
  start: number,
  targetBytes: number,
  minBytes: number,
): Generator<void, CollectPlan | undefined> {
  const version = layers.version
  const all = regions(layers, grant.cutoff)
  const first = Math.max(
    0,
    all.findIndex((region) => region.to > start),
  )
  for (let i = 0; i < all.length; i++) {
    const at = (first + i) % all.length
    const worth = yield* assess(layers, all[at]!, grant, minBytes)
    if (worth.due) return yield* extend(layers, all, at, worth, grant, targetBytes, minBytes)
    yield
    // A flush or another job changed the layers meanwhile: the next call looks at the new ones.
    if (layers.version !== version) return undefined
  }
  return undefined
}

/** Takes regions at the right along, as long as one output file may have room for them. */
function* extend(
  layers: LayerSet,
  all: readonly Region[],
  at: number,
  worth: Worth,
  grant: Grant,
  targetBytes: number,
  minBytes: number,
): Generator<void, CollectPlan> {
  const { from, hi } = all[at]!
  const inputs = new Set(all[at]!.refs)
  let { to, lo } = all[at]!
  let { live, garbage } = worth
  for (let i = at + 1; i < all.length && live < targetBytes; i++) {
    const next = all[i]!
    if (next.from !== to || next.hi !== hi) break
    const more = yield* assess(layers, next, grant, minBytes)
    if (!more.due && layers.bytesIn(next.bottom, next.from, next.to) * SMALL_SHARE >= targetBytes) break
    live += more.live
    garbage += more.garbage
    to = next.to
    lo = Math.min(lo, next.lo)
    for (const ref of next.refs) inputs.add(ref)
  }
  invariant(lo < hi, 'a region without records')
  return {
    inputs: [...inputs].sort((a, b) => a.lo - b.lo),
    fromBlock: from,
    toBlock: to,
    lo,
    hi,
    grant,
    liveBytes: live,
    garbageBytes: garbage,
  }
}
