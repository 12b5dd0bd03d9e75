/** Kills parts of a region with SIGKILL, and waits until it is whole again. */
import { childrenOf, isAlive, signal } from '../src/engine/postgres/processes.ts'
import type { RegionHome } from './region-home.ts'
import { until } from './waiting.ts'

/**
 * What is killed: of an instance its engine, the server of its files, its supervisor, or two of them at once; the host of a
 * zone; `storage`, the hosts of all three; `everything`, with the region's own process.
 */
export const VICTIMS = [
  'engine',
  'server',
  'instance',
  'instance and engine',
  'instance and server',
  'zone',
  'storage',
  'everything',
] as const
export type Victim = (typeof VICTIMS)[number]

/** A recovery on a busy machine. */
const WHOLE_MS_MAX = 120_000

const ZONES = ['a', 'b', 'c'] as const

type Pids = readonly (number | null)[]

/** Several at once; one that has just ended by itself is as good as killed. */
function kill(pids: Pids): void {
  for (const pid of new Set(pids)) if (pid !== null) signal(pid, 'SIGKILL')
}

async function victims(home: RegionHome, victim: Victim, zone: string): Promise<Pids> {
  const { pid, instances, storageNodes } = await home.status()
  const [writer] = instances
  const hosts = storageNodes.map((node) => node.pid)
  switch (victim) {
    case 'engine':
      return [writer?.enginePid ?? null]
    case 'server':
      return [writer?.serverPid ?? null]
    case 'instance':
      return [writer?.pid ?? null]
    case 'instance and engine':
      return [writer?.pid ?? null, writer?.enginePid ?? null]
    case 'instance and server':
      return [writer?.pid ?? null, writer?.serverPid ?? null]
    case 'zone':
      return storageNodes.filter((node) => node.zone === zone).map((node) => node.pid)
    case 'storage':
      return hosts
    case 'everything':
      return [pid, ...instances.flatMap((each) => [each.pid, each.serverPid, each.enginePid]), ...hosts]
  }
}

/** Resolves when all of it runs again, and nothing of what was killed. @returns how long that took */
export async function crash(home: RegionHome, victim: Victim, zone: string = ZONES[0]): Promise<number> {
  const killed = await victims(home, victim, zone)
  const { enginePid } = await home.writer()
  const sessions = enginePid === null ? [] : childrenOf(enginePid)
  const startedMs = performance.now()
  // One stands still, as those do who wait for a lock that nobody will give back: it does not end by itself.
  const [still] = sessions
  if (killed.includes(enginePid) && still !== undefined) signal(still, 'SIGSTOP')
  kill(killed)
  if (victim === 'everything') await home.up()
  const isBack = async (): Promise<boolean> => {
    const { clusters, instances, storageNodes } = await home.status()
    const [cluster] = clusters
    const [writer] = instances
    const pids = [writer?.pid, writer?.serverPid, writer?.enginePid, ...storageNodes.map((node) => node.pid)]
    if (pids.some((pid) => typeof pid !== 'number' || killed.includes(pid))) return false
    const isRunning = storageNodes.every(({ state }) => state === 'running')
    return isRunning && writer?.state === 'available' && cluster?.storage === 'ok'
  }
  await until(`the region is whole after ${victim} was killed`, isBack, WHOLE_MS_MAX)
  const tookMs = performance.now() - startedMs
  const after = await home.writer()
  // Clients of theirs would wait for ever.
  if (after.enginePid !== enginePid)
    await until(`the engine's processes are gone after ${victim} was killed`, () => !sessions.some(isAlive))
  return tookMs
}
