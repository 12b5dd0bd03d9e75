/** Merges adjacent delta layers: the same entries in fewer files. Hot path: mostly copies whole groups. */
import { BLOCK_END } from './layer-file.ts'
import type { LayerEdit, LayerRef } from './layer-ref.ts'
import { LayerScan } from './layer-scan.ts'
import type { LayerSet } from './layer-set.ts'
import { LAYER_TARGET_BYTES, LayerWriter, SLICE_BYTES } from './layer-writer.ts'
import type { MergePlan } from './merge-plan.ts'
import { clipTrims, joinTrims, type RangeTrim } from './range-trims.ts'

/** The edit that puts `add` in place of the inputs, in the blocks [fromBlock, toBlock). */
export function replaceInputs(
  inputs: readonly LayerRef[],
  fromBlock: number,
  toBlock: number,
  add: readonly LayerRef[],
): LayerEdit {
  const ids = new Set(inputs.filter((ref) => ref.fromBlock < toBlock && ref.toBlock > fromBlock).map((ref) => ref.id))
  return { add, hide: Array.from(ids, (id) => ({ id, fromBlock, toBlock })) }
}

/** The range trims of the inputs where those are visible, in [from, to). */
export function visibleTrims(layers: LayerSet, inputs: readonly LayerRef[], from: number, to: number): RangeTrim[] {
  const trims = inputs
    .filter((ref) => ref.trims > 0)
    .flatMap((ref) => clipTrims(layers.reader(ref).index.trims.trims, ref.fromBlock, ref.toBlock))
  return clipTrims(joinTrims(trims), from, to)
}

/** The part of an input that nothing else reaches into is taken as it is when it has this share of its file, and of a file. */
const MOVE_SHARE_OF_FILE = 2
const MOVE_SHARE_OF_TARGET = 4

/**
 * Runs one job of a plan: writes one file, which covers the plan's blocks or the first of them. Yields after each slice
 * of work of about a millisecond; ending it early removes what was written. Where only one input has data for long,
 * that part of its file becomes the output, and nothing is written.
 * @returns the edit to install.
 * @throws VolumeError `Corrupt`, `DiskFull`
 */
export function* merge(layers: LayerSet, plan: MergePlan): Generator<void, LayerEdit> {
  const { inputs, fromBlock, toBlock, lo, hi, level } = plan
  const { disk, folder } = layers.setting
  const targetBytes = layers.setting.layerBytes ?? LAYER_TARGET_BYTES
  const trims = visibleTrims(layers, inputs, fromBlock, toBlock)
  const scans: LayerScan[] = []
  for (const ref of inputs) {
    scans.push(new LayerScan(layers.reader(ref), Math.max(ref.fromBlock, fromBlock), Math.min(ref.toBlock, toBlock)))
    yield
  }
  const writer = new LayerWriter(disk, folder, layers.setting, { id: layers.takeId(), kind: 'delta', level, lo, hi })
  let done = false
  try {
    let end = toBlock
    let alone = -1
    let work = 0
    for (;;) {
      let block = BLOCK_END
      let second = BLOCK_END
      let first = 0
      for (let i = 0; i < scans.length; i++) {
        const next = scans[i]!.block
        if (next < block) {
          second = block
          block = next
          first = i
        } else if (next < second) second = next
      }
      if (block === BLOCK_END) break
      if (writer.bytes >= targetBytes) {
        end = block
        break
      }
      if (second > block) {
        const ref = inputs[first]!
        if (alone !== first) {
          const reach = moveReach(ref, block, Math.min(second, ref.toBlock, toBlock), trims)
          const bytes = reach > block ? scans[first]!.bytesTo(reach) : 0
          if (bytes * MOVE_SHARE_OF_FILE >= ref.fileBytes && bytes * MOVE_SHARE_OF_TARGET >= targetBytes) {
            if (writer.groups === 0 && !trims.some((t) => t.first < reach)) {
              return replaceInputs(inputs, fromBlock, reach, [
                { ...ref, lo, hi, level, fromBlock: Math.max(ref.fromBlock, fromBlock), toBlock: reach, bytes },
              ])
            }
            if (writer.groups > 0) {
              end = block
              break
            }
          }
        }
        alone = first
        scans[first]!.copyBlock(writer)
      } else {
        alone = -1
        for (const scan of scans) if (scan.block === block) scan.appendBlock(writer)
      }
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
    if (writer.groups === 0 && trims.length === 0) return replaceInputs(inputs, fromBlock, end, [])
    const ref = yield* writer.finish(trims, fromBlock, end)
    done = true
    return replaceInputs(inputs, fromBlock, end, [ref])
  } finally {
    if (!done) writer.discard()
  }
}

/** Up to where an input could be taken as it is from `block` on: no trim of the inputs may begin before. */
function moveReach(ref: LayerRef, block: number, to: number, trims: readonly RangeTrim[]): number {
  let reach = to
  for (const trim of trims) if (trim.end > block) reach = Math.min(reach, trim.first)
  return ref.fromBlock <= block ? reach : block
}
