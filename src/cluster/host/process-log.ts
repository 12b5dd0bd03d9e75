/** Where a process complains. */
import { openSync, renameSync, statSync } from 'node:fs'

/** The one before is kept. */
const LOG_BYTES_MAX = 16 << 20

/** @returns a descriptor that appends */
export function openLog(path: string): number {
  try {
    if (statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return openSync(path, 'a', 0o600)
}
