/** A PostgreSQL that is measured, and what it costs: processor time by kind of process, bytes and writes. */
import { readdirSync, readFileSync } from 'node:fs'
import { processorTime } from '../volume/processor-time.ts'
import type { Reach } from './load.ts'

/** Counters that only grow. */
export type Counters = Readonly<Record<string, number>>

export interface Side {
  readonly name: string
  readonly reach: Reach
  /** First processes of engines: their children are sessions and workers. */
  readonly engines: readonly number[]
  /** Other processes, by what they are. */
  readonly others: Readonly<Record<string, readonly number[]>>
  /** Of what is behind the engine. */
  counters(): Promise<Counters>
  stop(): Promise<void>
}

/** The kernel's unit in `/proc/PID/stat`. */
const TICK_US = 10_000

const PARENT_FIELD = 1
const USER_FIELD = 11

/** Fields of `/proc/PID/stat` behind the name, which may contain anything: the state is field 0. */
function statFields(pid: number | string): string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** A process and those of its descendants that run Node: an instance's supervisor and the server of its files. */
export function nodeProcesses(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc')) {
    try {
      if (/^\d+$/.test(name) && readFileSync(`/proc/${name}/comm`, 'latin1').startsWith('node')) {
        parents.set(Number(name), Number(statFields(name)[PARENT_FIELD]))
      }
    } catch {
      // It has ended.
    }
  }
  const found = [pid]
  for (const each of found) for (const [child, parent] of parents) if (parent === each) found.push(child)
  return found
}

/** Processor time of a process and its children, dead ones that it has waited for included. */
function familyTimeUs(pid: number): number {
  let us = 0
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const fields = statFields(name)
      if (name === `${pid}`) {
        for (let i = 0; i < 4; i++) us += Number(fields[USER_FIELD + i]) * TICK_US
      } else if (fields[PARENT_FIELD] === `${pid}`) {
        us += (Number(fields[USER_FIELD]) + Number(fields[USER_FIELD + 1])) * TICK_US
      }
    } catch {
      // It has ended, and is in its parent's account.
    }
  }
  return us
}

/** Processor time of everything on a side, in microseconds, and its counters. */
export async function account(side: Side): Promise<Counters> {
  const counters: Record<string, number> = { ...(await side.counters()) }
  counters['engine us'] = side.engines.reduce((sum, pid) => sum + familyTimeUs(pid), 0)
  for (const [name, pids] of Object.entries(side.others)) counters[`${name} us`] = processorTime(pids).runUs
  return counters
}

export const difference = (from: Counters, to: Counters): Counters =>
  Object.fromEntries(Object.entries(to).map(([name, value]) => [name, value - (from[name] ?? 0)]))

/** Write calls of a process on files; what goes over sockets by `send` is not among them. */
export function writeCalls(pid: number): number {
  return Number(/^syscw: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0)
}
