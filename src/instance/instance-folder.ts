/** What lies where in an instance's folder on the local disk, and that it is used once at a time. */
import { mkdirSync, openSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { VolumeError } from '../protocol/errors.ts'
import { type FolderLock, lockFolder } from '../storage/real-lock.ts'

/** The data directory, in the root of the file system. */
export const DATA_FOLDER = 'data'

export const mountPlace = (folder: string): string => join(folder, 'mount')
export const dataDirectoryOf = (folder: string): string => join(mountPlace(folder), DATA_FOLDER)

/** Configuration, keys and the socket of the engine, whose folder it is. */
export const runFolder = (folder: string): string => join(folder, 'run')
/** Where a reader finds log of the engine that its writer cannot give it. */
export const walFolderOf = (folder: string): string => join(runFolder(folder), 'wal')

const scratchFolder = (folder: string): string => join(folder, 'scratch')

/** Of the free disk, what sorts may take, and what a reader writes for itself. */
const SCRATCH_SHARE = 0.5

/** A server whose supervisor was killed takes a moment to notice. */
const LOCK_MS_MAX = 10_000
const LOCK_POLL_MS = 20

/**
 * Locks the folder for as long as this process lives, and those that get the lock's descriptor: two supervisors would
 * unmount each other, and so would a server that is left of the last one.
 */
export async function lockInstance(folder: string): Promise<FolderLock> {
  mkdirSync(scratchFolder(folder), { recursive: true, mode: 0o700 })
  for (const end = performance.now() + LOCK_MS_MAX; ; await pause(LOCK_POLL_MS)) {
    try {
      return lockFolder(join(scratchFolder(folder), '.lock'))
    } catch (error) {
      if (!(error instanceof VolumeError) || performance.now() > end) throw error
    }
  }
}

export interface ScratchFile {
  readonly fd: number
  readonly bytesMax: number
}

/** A file without a name: it goes with the last process that has it open. @param bytesMax half of what is free, when it is not given */
export function openScratchFile(folder: string, bytesMax?: number): ScratchFile {
  const path = join(scratchFolder(folder), 'blocks')
  const fd = openSync(path, 'w+', 0o600)
  rmSync(path)
  const { bavail, bsize } = statfsSync(scratchFolder(folder))
  return { fd, bytesMax: bytesMax ?? Math.floor(bavail * bsize * SCRATCH_SHARE) }
}
