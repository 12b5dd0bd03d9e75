/** Processes that may long be gone, and their numbers somebody else's: told apart by when they started. */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

export interface ProcessIdentity {
  readonly pid: number
  /** In ticks since the machine was started (proc(5), field 22 of `stat`), with the machine's own start. */
  readonly started: string
}

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

/** undefined: there is no such process, or only its status is left to be asked for. */
export function identify(pid: number): ProcessIdentity | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // Behind the name, which may contain anything but ends with the last `)`: field 3 and on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state] = fields
  return state === 'Z' || state === 'X' ? undefined : { pid, started: `${fields[19]}@${bootId()}` }
}

export const isAlive = ({ pid, started }: ProcessIdentity): boolean => identify(pid)?.started === started

const POLL_MS = 20

async function untilGone(processes: readonly ProcessIdentity[], msMax: number): Promise<boolean> {
  for (const end = performance.now() + msMax; ; await pause(POLL_MS)) {
    if (!processes.some(isAlive)) return true
    if (performance.now() > end) return false
  }
}

function send({ pid }: ProcessIdentity, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Ends those that are still who they were: in order, and after `msMax` at once. @returns how many there were */
export async function endAll(processes: readonly ProcessIdentity[], msMax: number): Promise<number> {
  const left = processes.filter(isAlive)
  for (const each of left) send(each, 'SIGTERM')
  if (await untilGone(left, msMax)) return left.length
  for (const each of left.filter(isAlive)) send(each, 'SIGKILL')
  await untilGone(left, msMax)
  return left.length
}
