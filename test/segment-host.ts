/** What segments need of a node, for tests of parts of one: a disk in memory, and no log. */
import type { VolumeState } from '../src/protocol/calls.ts'
import { VolumeError } from '../src/protocol/errors.ts'
import { lsn, type VolumeId, volumeId } from '../src/protocol/lsn.ts'
import { LayerCache } from '../src/storage/layers/layer-cache.ts'
import type { SegmentHost } from '../src/storage/segment-host.ts'
import { SegmentTable } from '../src/storage/segment-table.ts'
import type { MemoryDisk } from './memory-disk.ts'

/** A volume of small blocks that was opened once. */
export const stateOf = (id: number, more: Partial<VolumeState> = {}): VolumeState => ({
  volume: volumeId(id) as VolumeId,
  blockBytes: 256,
  blocksPerGroup: 64,
  epoch: 1,
  truncations: [],
  truncationsFromEpoch: 1,
  parent: null,
  base: lsn(0),
  cutoff: lsn(0),
  pins: [],
  grantVersion: 1,
  ...more,
})

/** Node a of `six-members.ts` with what is on a disk. */
export function tableOn(disk: MemoryDisk): { readonly table: SegmentTable; readonly host: SegmentHost } {
  const table = new SegmentTable(disk)
  const host: SegmentHost = {
    disk,
    node: 'a',
    incarnation: 'disk-a',
    layerCache: new LayerCache({ bytesMax: 1024 * 1024 }),
    layerBytes: 64 * 1024,
    readLog: () => {
      throw new VolumeError('Corrupt', 'there is no log here')
    },
    lastLogEntry: () => null,
    needsLogFile: () => {},
    damaged: () => {},
    sibling: (volume, group) => table.get(volume, group),
  }
  table.load(host)
  return { table, host }
}
