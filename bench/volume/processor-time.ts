/** What processes spent, to the microsecond: the kernel's account of each thread (`/proc/PID/task/TID/schedstat`). */
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessorTime {
  /** On a core. */
  readonly runUs: number
  /** Ready to run, waiting for a core. */
  readonly waitUs: number
  /** Times that a thread was put on a core. */
  readonly switches: number
}

export function processorTime(pids: readonly number[]): ProcessorTime {
  let runUs = 0
  let waitUs = 0
  let switches = 0
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [run = 0, wait = 0, count = 0] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8')
        .split(' ')
        .map(Number)
      runUs += run / 1000
      waitUs += wait / 1000
      switches += count
    }
  }
  return { runUs, waitUs, switches }
}

export const since = (from: ProcessorTime, to: ProcessorTime): ProcessorTime => ({
  runUs: to.runUs - from.runUs,
  waitUs: to.waitUs - from.waitUs,
  switches: to.switches - from.switches,
})

/** Resident memory of processes, in bytes. */
export function residentBytes(pids: readonly number[]): number {
  let bytes = 0
  for (const pid of pids) {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    bytes += Number(kilobytes ?? 0) * 1024
  }
  return bytes
}
