/** What a writer asks of registry and nodes outside the data path. */
import type { VolumeId } from '../protocol/lsn.ts'
import { readGroup, readVolume } from './registry-cells.ts'
import { checkLive } from './volume-changes.ts'
import type { VolumeContext } from './volume-context.ts'
import { configureAddress, createVolumeGroup } from './volume-groups.ts'
import { volumeState } from './volume-record.ts'
import { readAt } from './volume-view.ts'
import type { WriterControl } from './writer-env.ts'

/** @param epoch of the writer: what it does ends when somebody else has a higher one */
export function writerControl(context: VolumeContext, id: VolumeId, epoch: number): WriterControl {
  const { registry, client } = context
  return {
    addGroup: (group) => createVolumeGroup(context, id, epoch, group),
    groupConfig: async (group) => {
      const { record } = await readVolume(registry, id)
      checkLive(record)
      return (await readGroup(registry, record.placement, group)).record
    },
    seal: async (address) => {
      const { record, version } = await readVolume(registry, id)
      if (record.epoch === epoch) await client.call(address, 'seal', { state: volumeState(record, version) })
    },
    configure: (address, config) => configureAddress(context, id, config.group, address),
    readInherited: async (block) => {
      const { record } = await readVolume(registry, id)
      return readAt(context, record, block, record.base)
    },
  }
}
