/** Processes of an engine whose instance was killed. They end by themselves, soon; this is for those that do not. */
import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { isAlive, signal } from '../engine/postgres/processes.ts'

const POLL_MS = 10
/** What they wait for ends with the server of their files, which is gone. */
const END_MS_MAX = 10_000

/**
 * Who works in a folder or below it. The folder itself is not touched: it may be a dead mount. It has to be mounted still:
 * the working directory of those who are left in a mount that was taken away has another name.
 */
function processesBelow(folder: string): number[] {
  const isBelow = (pid: string): boolean => {
    try {
      const place = readlinkSync(`/proc/${pid}/cwd`)
      return place === folder || place.startsWith(`${folder}/`)
    } catch {
      return false
    }
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && isBelow(name))
    .map(Number)
    .filter(isAlive)
}

/** Kills who works below a mount, before that is taken away. Who waits for its server ends when the server does. */
export function killProcessesIn(mount: string): void {
  const killed = new Set<number>()
  for (;;) {
    // Again, for those that were being started.
    const fresh = processesBelow(mount).filter((pid) => !killed.has(pid))
    if (fresh.length === 0) return
    for (const pid of fresh) {
      signal(pid, 'SIGKILL')
      killed.add(pid)
    }
  }
}

/**
 * Ends who works below the mount of an instance that nobody serves. Only an engine of that very instance does so: the
 * caller holds the instance's lock.
 */
export async function endProcessesIn(mount: string): Promise<void> {
  for (const end = performance.now() + END_MS_MAX; performance.now() < end; await pause(POLL_MS)) {
    const left = processesBelow(mount)
    if (left.length === 0) return
    for (const pid of left) signal(pid, 'SIGKILL')
  }
}
