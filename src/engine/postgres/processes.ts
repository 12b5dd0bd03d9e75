/** Live processes of an engine, as Linux tells them. `/proc` is asked synchronously: it is memory. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

const processIds = (): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)

/** undefined: it has gone meanwhile, or is none of our business. */
function ask<T>(question: () => T): T | undefined {
  try {
    return question()
  } catch {
    return undefined
  }
}

/** Every process of PostgreSQL works in its data directory, whoever its parent is now. */
export const processesIn = (folder: string): number[] =>
  processIds().filter((pid) => ask(() => readlinkSync(`/proc/${pid}/cwd`)) === folder)

/** The fields behind the name, which may contain anything but ends with the last `)`. */
const statusOf = (pid: number): string[] | undefined =>
  ask(() =>
    readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' '),
  )

export const childrenOf = (parent: number): number[] => processIds().filter((pid) => statusOf(pid)?.[1] === `${parent}`)

/** A zombie only waits to be asked how it ended. */
export const isAlive = (pid: number): boolean => {
  const state = statusOf(pid)?.[0]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

/** @returns whether there was such a process */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}
