/** Looks at a simulated disk from outside of its machine: nothing that is done here changes it, and no time passes. */
import { type Lsn, ZERO_LSN } from '../src/protocol/lsn.ts'
import type { Disk, DiskFile } from '../src/storage/disk.ts'
import { BlockRanges } from '../src/storage/layers/block-ranges.ts'
import { LayerCache } from '../src/storage/layers/layer-cache.ts'
import { damagedBlocks } from '../src/storage/layers/layer-damage.ts'
import { BLOCK_END, type SegmentIdentity } from '../src/storage/layers/layer-file.ts'
import type { LayerManifest } from '../src/storage/layers/layer-ref.ts'
import { LayerSet } from '../src/storage/layers/layer-set.ts'
import { scrub } from '../src/storage/layers/scrub.ts'
import { readManifest, segmentFolder } from '../src/storage/segment-manifest.ts'
import type { SimDisk } from './disk.ts'
import { Effects } from './effects.ts'

const IS_LAYER = /^segments\/[^/]+\/layer-/

/** Whether a file holds blocks: what is wrong with one of them concerns those blocks alone. */
export const isLayerFile = (path: string): boolean => IS_LAYER.test(path)

const unwritten = (file: Omit<DiskFile, 'write' | 'writeDurable' | 'allocate' | 'sync'>): DiskFile => ({
  path: file.path,
  size: () => file.size(),
  read: (offset, length) => file.read(offset, length),
  close: () => file.close(),
  write: () => {},
  writeDurable: () => {},
  allocate: () => {},
  sync: () => {},
})

function observed(disk: SimDisk): Disk {
  const mounted = disk.mount(new Effects(), () => {})
  const nothing = (): void => {}
  const nowhere = (path: string): DiskFile =>
    unwritten({ path, size: () => 0, read: () => new Uint8Array(0), close: nothing })
  return {
    list: (folder) => mounted.list(folder),
    open: (path) => unwritten(mounted.open(path)),
    exists: (path) => mounted.exists(path),
    freeBytes: () => mounted.freeBytes(),
    create: nowhere,
    makeFolder: nothing,
    rename: nothing,
    remove: nothing,
    removeFolder: nothing,
    syncFolder: nothing,
  }
}

/** How far a segment has everything in layers on a disk. */
export const flushedOnDisk = (disk: SimDisk, { volume, group }: SegmentIdentity): Lsn =>
  readManifest(observed(disk), segmentFolder(volume, group))?.flushed ?? ZERO_LSN

/**
 * The blocks of a segment that cannot be read from a disk, whether or not anybody has noticed.
 * @param known its layers, from a node that is up; otherwise what its manifest says
 */
export function blocksLost(disk: SimDisk, segment: SegmentIdentity, known?: LayerManifest): BlockRanges {
  const lost = new BlockRanges()
  const folder = segmentFolder(segment.volume, segment.group)
  const isOurs = (path: string): boolean => path.startsWith(`${folder}/`) && isLayerFile(path)
  if (disk.damage(isOurs).length === 0) return lost
  const seen = observed(disk)
  const manifest = known ?? readManifest(seen, folder)?.layers
  if (manifest === undefined) {
    lost.add(0, BLOCK_END)
    return lost
  }
  const layers = LayerSet.fromManifest(manifest, { ...segment, disk: seen, folder, cache: new LayerCache() })
  const steps = scrub(layers)
  for (let step = steps.next(); step.done !== true; step = steps.next()) {
    for (const damage of step.value.damages) {
      for (const { from, to } of damagedBlocks(layers.refs, damage)) lost.add(from, to)
    }
  }
  layers.close()
  return lost
}
