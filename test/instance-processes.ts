/** The processes of an instance, to be killed or stopped. */
import { readdirSync, readFileSync } from 'node:fs'
import type { InstanceStatus } from '../src/cli/region-status.ts'
import { identify, isAlive, type ProcessIdentity } from '../src/cluster/host/process-identity.ts'

/** Those that are there. */
export const identities = (pids: readonly (number | null)[]): ProcessIdentity[] =>
  pids.flatMap((pid) => (pid === null ? [] : (identify(pid) ?? [])))

function childrenOf(pid: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
      return parent === pid ? [Number(name)] : []
    } catch {
      // It has ended.
      return []
    }
  })
}

/** An engine's first process, its sessions and workers. */
export const engineProcesses = (enginePid: number | null): ProcessIdentity[] =>
  enginePid === null ? [] : identities([enginePid, ...childrenOf(enginePid)])

/** Supervisor, server of the files, engine. */
export const instanceProcesses = ({ pid, serverPid, enginePid }: InstanceStatus): ProcessIdentity[] => [
  ...identities([pid, serverPid]),
  ...engineProcesses(enginePid),
]

/** Who has ended meanwhile gets none, whoever has its number now. */
export function signalAll(processes: readonly ProcessIdentity[], name: NodeJS.Signals): void {
  for (const each of processes) {
    try {
      if (isAlive(each)) process.kill(each.pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
