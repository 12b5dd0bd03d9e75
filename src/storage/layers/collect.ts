/** Garbage collection: folds old versions of blocks into images. */
import { Chain } from './chain.ts'
import type { CollectPlan } from './collect-plan.ts'
import { BlockFolder, insertTrims } from './fold-block.ts'
import { BLOCK_END } from './layer-file.ts'
import type { LayerEdit } from './layer-ref.ts'
import { LayerScan } from './layer-scan.ts'
import type { LayerSet } from './layer-set.ts'
import { LAYER_TARGET_BYTES, LayerWriter, SLICE_BYTES } from './layer-writer.ts'
import { replaceInputs, visibleTrims } from './merge.ts'
import type { RangeTrim } from './range-trims.ts'
import type { ParentRead } from './read-block.ts'

/**
 * Runs one job of a plan: writes one image layer, which covers the plan's blocks or the first of them. Of each block
 * stay all versions that are not visible at the cutoff, and as images of their own LSN the newest ones visible at the
 * cutoff and at each pin. Yields after each slice of work of about a millisecond; ending it early removes what was
 * written.
 * @param parentRead of a branch: versions of zeros stay, as they hide what the parent has.
 * @returns the edit to install.
 * @throws VolumeError `Corrupt`, `DiskFull`, and what `parentRead` throws.
 */
export function* collect(layers: LayerSet, plan: CollectPlan, parentRead?: ParentRead): Generator<void, LayerEdit> {
  const { inputs, fromBlock, toBlock, lo, hi, grant } = plan
  const { cutoff } = grant
  const { disk, blockBytes } = layers.setting
  const targetBytes = layers.setting.layerBytes ?? LAYER_TARGET_BYTES
  const points: number[] = [...new Set(grant.pins.filter((pin) => pin < cutoff))].sort((a, b) => a - b)
  points.push(cutoff)

  const trims = visibleTrims(layers, inputs, fromBlock, toBlock)
  const settled = trims.filter((t) => t.lsn + t.toCpl <= cutoff)
  const kept = trims.filter((t) => t.lsn + t.toCpl > cutoff)
  if (parentRead !== undefined) kept.push(...withoutCovered(settled, points))

  const scans: LayerScan[] = []
  for (const ref of inputs) {
    scans.push(new LayerScan(layers.reader(ref), Math.max(ref.fromBlock, fromBlock), Math.min(ref.toBlock, toBlock)))
    yield
  }
  const writer = new LayerWriter(disk, layers.setting.folder, layers.setting, {
    id: layers.takeId(),
    kind: 'image',
    level: 0,
    lo,
    hi,
  })
  const fold = new BlockFolder(writer, blockBytes, points, parentRead, layers.collectedTo)
  const versions = new Chain()
  let done = false
  try {
    let end = toBlock
    let work = 0
    for (;;) {
      let block = BLOCK_END
      for (const scan of scans) if (scan.block < block) block = scan.block
      if (block === BLOCK_END) break
      if (writer.bytes >= targetBytes) {
        end = block
        break
      }
      versions.clear()
      for (const scan of scans) if (scan.block === block) scan.pushBlock(versions)
      if (trims.length > 0) {
        const covering = trims.filter((t) => t.first <= block && t.end > block)
        if (covering.length > 0) insertTrims(versions, covering)
      }
      fold.fold(block, versions)
      work += writer.takeWritten()
      for (const scan of scans) {
        work += scan.bytesRead
        scan.bytesRead = 0
      }
      if (work >= SLICE_BYTES) {
        work = 0
        yield
      }
    }
    const empty = writer.groups === 0 && !kept.some((t) => t.first < end)
    if (empty) return { ...replaceInputs(inputs, fromBlock, end, []), collectedTo: cutoff }
    const ref = yield* writer.finish(kept, fromBlock, end)
    done = true
    const image = { ...ref, collectedTo: cutoff, liveBytes: fold.liveBytes, pinned: [...fold.pinned] }
    return { ...replaceInputs(inputs, fromBlock, end, [image]), collectedTo: cutoff }
  } finally {
    if (!done) writer.discard()
  }
}

/** Range trims without those that a later one covers before any point that stays readable. */
function withoutCovered(trims: readonly RangeTrim[], points: readonly number[]): RangeTrim[] {
  const newestFirst = trims.toSorted((a, b) => b.lsn - a.lsn)
  const kept: RangeTrim[] = []
  for (const trim of newestFirst) {
    const point = points.find((p) => p >= trim.lsn + trim.toCpl)!
    const covered = kept.some((t) => t.first <= trim.first && t.end >= trim.end && t.lsn + t.toCpl <= point)
    if (!covered) kept.push(trim)
  }
  return kept
}
