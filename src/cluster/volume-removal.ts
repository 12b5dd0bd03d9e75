/** Deleting a volume that others may have been branched from: they become volumes of their own first. */
import { setTimeout as pause } from 'node:timers/promises'
import { VolumeError } from '../protocol/errors.ts'
import { parseVolumeName, type VolumeId } from '../protocol/lsn.ts'
import type { Volumes } from '../volume/volumes.ts'

const TRIES_MAX = 20
const PAUSE_MS = 250

/** Copies into every branch what it shows of the volume, while its engine goes on. Branches of a branch come before it. */
async function detachBranches(volumes: Volumes, id: VolumeId): Promise<void> {
  for (const { kind, id: name } of (await volumes.get(id)).pins) {
    const branch = kind === 'branch' ? parseVolumeName(name) : undefined
    if (branch === undefined) continue
    await detachBranches(volumes, branch)
    await volumes.detach(branch)
  }
}

/** Nothing happens when there is none any more. @throws VolumeError when too few nodes answer */
export async function removeVolume(volumes: Volumes, id: VolumeId): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await detachBranches(volumes, id)
      return await volumes.delete(id)
    } catch (error) {
      if (error instanceof VolumeError && error.code === 'NotFound') return
      if (!(error instanceof VolumeError) || !error.retryable || tries === TRIES_MAX) throw error
      await pause(PAUSE_MS)
    }
  }
}
