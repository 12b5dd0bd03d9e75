/** The files of an instance: a volume opened for writing, and the file system in it. */
import { setTimeout as pause } from 'node:timers/promises'
import { SCRATCH_PATHS } from '../engine/postgres/scratch.ts'
import type { FileOperations, Ino, Timestamp } from '../filesystem/file-operations.ts'
import { FileSystem } from '../filesystem/file-system.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { ScratchDirectories } from '../filesystem/scratch-directories.ts'
import { ScratchDevice, writerDevice } from '../filesystem/volume-devices.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import type { DiskFile } from '../storage/disk.ts'
import { OverlayStore, type SavedIndex } from '../volume/overlay-store.ts'
import type { Fleet } from '../volume/tcp-fleet.ts'
import type { VolumeWriter } from '../volume/writer.ts'
import type { WriterOptions } from '../volume/writer-options.ts'
import { DATA_FOLDER } from './instance-folder.ts'

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

/** Of `FilesLeft`: the next server may be of another version. */
export const FILES_LEFT_FORMAT = 1

/** What a server leaves for the one that goes on with its files while programs have them open. */
export interface FilesLeft {
  readonly format: typeof FILES_LEFT_FORMAT
  /** Without a name, and open. */
  readonly openOrphans: readonly Ino[]
  /** What is where in the scratch file. */
  readonly scratch: SavedIndex
  /** Of a reader: where its view of the volume is. */
  readonly readPoint?: number
}

/** @throws Error when it is of a version that this one does not know */
export function parseFilesLeft(raw: unknown): FilesLeft {
  const left = raw as FilesLeft
  if (left?.format !== FILES_LEFT_FORMAT) throw new Error(`what the last server left has format ${left?.format}`)
  return left
}

export interface AttachedFiles {
  readonly files: FileOperations
  /** To be called last: nothing may be written any more. */
  leave(): FilesLeft
}

/**
 * @param left by whoever served these files before, to programs that still have them open
 * @throws FsError when there is something else in the volume, or it cannot be read
 */
export async function attachFiles(
  writer: VolumeWriter,
  scratch: ScratchPlace,
  left?: FilesLeft,
): Promise<AttachedFiles> {
  const device = writerDevice(writer)
  if (left === undefined) await formatIfNew(device)
  const stillOpen = left?.openOrphans ?? []
  const main = await FileSystem.attach(device, { now, stillOpen })
  const directories = SCRATCH_PATHS.filter(({ kind }) => kind === 'folder').map(({ path }) => `${DATA_FOLDER}/${path}`)
  const store = new OverlayStore(scratch.file, device.blockBytes, scratch.bytesMax)
  if (left !== undefined) store.load(left.scratch)
  const scratchDevice = new ScratchDevice(store, device.blockBytes)
  const files = await ScratchDirectories.graft(main, { now, device: scratchDevice, directories, stillOpen })
  return { files, leave: () => ({ format: FILES_LEFT_FORMAT, openOrphans: files.openOrphans, scratch: store.save() }) }
}
