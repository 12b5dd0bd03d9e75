/**
 * Copies what a branch's segment shows of its ancestor into image layers of its own, below all that it wrote itself:
 * what detaching a branch does on each full member. A slice at a time; a crash in between leaves it to be begun again.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { Member } from '../protocol/group.ts'
import type { LayerRef } from './layers/layer-ref.ts'
import { LAYER_TARGET_BYTES, LayerWriter } from './layers/layer-writer.ts'
import type { PeerCalls } from './peer-calls.ts'
import type { Segment } from './segment.ts'

/** Blocks that are looked up between two yields: some 2 us each where there is nothing. */
const BLOCKS_PER_SLICE = 256

/**
 * A source that still shows its ancestor has nothing for a segment that does not. It is asked to copy what it shows, too:
 * who was detaching the branch may be gone.
 */
export function awaitDetached({ volume, group }: Segment, { address }: Member, peers: PeerCalls): VolumeError {
  peers.call(address, 'materialise', { volume: volume.state.volume, group }, () => {})
  return new VolumeError('Conflict', 'the source has not been detached yet')
}

/** @throws VolumeError `ReadPointAhead` when the ancestor is not complete here yet, `DiskFull`, `Corrupt` */
export function* materialise(segment: Segment): Generator<void, void> {
  const { below, layers, volume } = segment
  if (below === null) return
  const { base, blocksPerGroup } = volume.state
  const { disk, folder, layerBytes } = layers.setting
  const add: LayerRef[] = []
  const begin = (): LayerWriter =>
    new LayerWriter(disk, folder, layers.setting, { id: layers.takeId(), kind: 'image', level: 0, lo: 0, hi: base })
  let writer = begin()
  let fromBlock = 0
  let done = false
  const finish = function* (toBlock: number): Generator<void, void> {
    const ref = yield* writer.finish([], fromBlock, toBlock)
    add.push({ ...ref, collectedTo: base, liveBytes: ref.bytes })
  }
  try {
    for (let block = 0; block < blocksPerGroup; block++) {
      if (writer.bytes >= (layerBytes ?? LAYER_TARGET_BYTES)) {
        writer.endBlock()
        yield* finish(block)
        writer = begin()
        fromBlock = block
      }
      const version = segment.readBelow(block, base)
      if (version?.bytes !== undefined) writer.appendImage(block, version.lsn, 0, version.bytes)
      if (block % BLOCKS_PER_SLICE === 0) yield
    }
    if (writer.groups > 0) {
      writer.endBlock()
      yield* finish(blocksPerGroup)
      done = true
    }
  } finally {
    if (!done) writer.discard()
  }
  if (add.length > 0) layers.install({ add, hide: [], collectedTo: base }, () => segment.persist())
}
