/** The files of a volume at an LSN, for whoever wants to look at them: read-only, or with changes of his own. */
import { UNFINISHED, VERSION_FILE } from '../engine/postgres/data-directory.ts'
import { ROOT_INO, type Timestamp } from '../filesystem/file-operations.ts'
import { FileSystem } from '../filesystem/file-system.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { overlayDevice, viewDevice } from '../filesystem/volume-devices.ts'
import { OverlayStore } from '../volume/overlay-store.ts'
import { OverlayView } from '../volume/overlay-view.ts'
import type { VolumeView } from '../volume/volume-view.ts'
import { DATA_FOLDER } from './instance-folder.ts'
import type { ScratchPlace } from './volume-files.ts'

/** What files are dated by that are changed here alone. */
export const pastClock = (): Timestamp => {
  const ms = Date.now()
  return { seconds: Math.floor(ms / 1000), nanoseconds: (ms % 1000) * 1_000_000 }
}

/**
 * @param scratch where changes are kept for as long as the files are used; without it there are none (EROFS)
 * @throws FsError when there is no file system in the volume at that LSN, or it cannot be read
 */
export function attachPast(view: VolumeView, scratch?: ScratchPlace): Promise<FileSystem> {
  if (scratch === undefined) return FileSystem.attach(viewDevice(view), { now: pastClock })
  const { blockBytes } = view.record
  const overlay = new OverlayView(view, new OverlayStore(scratch.file, blockBytes, scratch.bytesMax))
  return FileSystem.attach(overlayDevice(overlay, blockBytes), { now: pastClock })
}

/** Whether a database was in the volume at that LSN: made, and made to its end. */
export async function holdsDatabase(view: VolumeView): Promise<boolean> {
  try {
    const files = await attachPast(view)
    const { ino: data } = files.lookup(ROOT_INO, DATA_FOLDER)
    const names = files.readdir(data, 0, Number.MAX_SAFE_INTEGER).map(({ name }) => name)
    return names.includes(VERSION_FILE) && !names.includes(UNFINISHED)
  } catch (error) {
    // No file system yet, or nothing in it.
    if (error instanceof FsError && (error.code === 'EINVAL' || error.code === 'ENOENT')) return false
    throw error
  }
}
