/** Whether file systems can be mounted here at all: better known before anything is started. */
import { closeSync, mkdtempSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { MountError, mountDevice, openDevice, unmountHere } from '../fuse/real-mount.ts'
import { CliError } from './cli-error.ts'
import type { Home } from './home.ts'

/** @throws CliError that says what to do */
export function checkMounting(home: Home): void {
  const place = mkdtempSync(join(home.region, 'mount-'))
  try {
    const fd = openDevice()
    try {
      mountDevice(fd, place)
      unmountHere(place)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (error instanceof MountError) throw new CliError(error.message, { cause: error })
    throw error
  } finally {
    rmdirSync(place)
  }
}
