/** The files of an instance: a volume opened for writing, and the file system in it. */
import { setTimeout as pause } from 'node:timers/promises'
import { SCRATCH_PATHS } from '../engine/postgres/scratch.ts'
import type { FileOperations, Timestamp } from '../filesystem/file-operations.ts'
import { FileSystem } from '../filesystem/file-system.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { ScratchDirectories } from '../filesystem/scratch-directories.ts'
import { ScratchDevice, writerDevice } from '../filesystem/volume-devices.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import type { DiskFile } from '../storage/disk.ts'
import { OverlayStore } from '../volume/overlay-store.ts'
import type { Fleet } from '../volume/tcp-fleet.ts'
import type { VolumeWriter } from '../volume/writer.ts'
import type { WriterOptions } from '../volume/writer-options.ts'

/** The data directory, in the root of the file system. */
export const DATA_FOLDER = 'data'

const OPEN_PAUSE_MS = 250

const now = (): Timestamp => {
  const ms = Date.now()
  return { seconds: Math.floor(ms / 1000), nanoseconds: (ms % 1000) * 1_000_000 }
}

/**
 * Opens the volume, and tries again for as long as its storage nodes do not answer.
 * @throws VolumeError `NotFound`, `Fenced`, `Closed` when `isWanted` says that nobody waits for it any more
 */
export async function openVolume(
  fleet: Fleet,
  volume: VolumeId,
  options: Partial<WriterOptions>,
  isWanted: () => boolean,
): Promise<VolumeWriter> {
  for (;;) {
    try {
      return await fleet.volumes.open(volume, options)
    } catch (error) {
      if (!(error instanceof VolumeError) || !error.retryable) throw error
      if (!isWanted()) throw new VolumeError('Closed', 'the opening was given up', { cause: error })
      await pause(OPEN_PAUSE_MS)
    }
  }
}

async function formatIfNew(device: ReturnType<typeof writerDevice>): Promise<void> {
  // In namespaces of an ordinary user there is no other user, and who owns nothing may write nothing.
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  try {
    await FileSystem.format(device, { now, owner })
  } catch (error) {
    // There is one already; or something else, which attaching will say.
    if (!(error instanceof FsError) || error.code !== 'EEXIST') throw error
  }
}

/** Where what is worth nothing after a restart lies: a file of the local disk, at most so large. */
export interface ScratchPlace {
  readonly file: DiskFile
  readonly bytesMax: number
}

/** @throws FsError when there is something else in the volume, or it cannot be read */
export async function attachFiles(writer: VolumeWriter, scratch: ScratchPlace): Promise<FileOperations> {
  const device = writerDevice(writer)
  await formatIfNew(device)
  const main = await FileSystem.attach(device, { now })
  const directories = SCRATCH_PATHS.filter(({ kind }) => kind === 'folder').map(({ path }) => `${DATA_FOLDER}/${path}`)
  const store = new OverlayStore(scratch.file, device.blockBytes, scratch.bytesMax)
  return ScratchDirectories.graft(main, { now, device: new ScratchDevice(store, device.blockBytes), directories })
}
