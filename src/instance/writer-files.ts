/** The files of a writer: the head of the volume, and scratch directories on the local disk. */
import { RelationFiles } from './relation-files.ts'
import type { ServedFiles, ServedVolume } from './served-files.ts'
import { attachFiles, openVolume } from './volume-files.ts'

/** @throws VolumeError `NotFound`, `Fenced`, `Closed` when it is not wanted any more */
export async function openWriter(served: ServedVolume): Promise<ServedFiles> {
  const { fleet, volume, cacheBytes, scratch, left, isWanted, onFenced } = served
  const writer = await openVolume(fleet, volume, { cacheBytes }, isWanted)
  writer.onFenced(onFenced)
  const attached = await attachFiles(writer, scratch, left)
  const files = new RelationFiles(attached.files)
  return {
    files,
    durability: writer,
    get figures() {
      const { blockBytes, blocks, blocksFree } = files.statfs()
      return { epoch: writer.volume.epoch, vdl: writer.vdl, bytesUsed: (blocks - blocksFree) * blockBytes }
    },
    overlayBytes: null,
    rebuild: null,
    sync: () => writer.sync(),
    close: async () => {},
    leave: () => attached.leave(),
  }
}
