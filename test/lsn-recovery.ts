/**
 * Any LSN of a loaded history, opened and recovered by PostgreSQL:
 *
 *   node test/lsn-recovery.ts [--lsns 200] [--load-s 60] [--clients 8] [--seed S]
 *
 * A cluster is loaded while parts of it are killed. Then points of its history are taken at random, and each is opened as a
 * view with a local overlay or as a branch, by turns: PostgreSQL has to recover; every transfer that was durable by then
 * is there, none from after; indexes, tables, balances and the file system are whole. Closes with `N passed, N failed`.
 */
import { parseArgs } from 'node:util'
import { Random } from '../sim/random.ts'
import { ask } from '../src/cli/control-socket.ts'
import { homeAt } from '../src/cluster/host/home.ts'
import { attachPast } from '../src/instance/past-files.ts'
import { type Lsn, lsn, parseVolumeName } from '../src/protocol/lsn.ts'
import { isAnnulled, type Truncation } from '../src/protocol/truncation.ts'
import { crash, VICTIMS } from './crashes.ts'
import { checkDatabase } from './database-checks.ts'
import { CLUSTER, LoadedCluster } from './loaded-cluster.ts'
import { PastEngine } from './past-engine.ts'
import { presentTransfers } from './tpcb.ts'
import { pause } from './waiting.ts'

export type Kind = 'view' | 'branch'

export interface PointReport {
  readonly at: Lsn
  readonly kind: Kind
  /** Until PostgreSQL accepted connections: with a branch, from its being asked for. */
  readonly openMs: number
  readonly checkMs: number
  readonly transfers: number
  readonly problems: readonly string[]
}

export interface History {
  readonly cluster: LoadedCluster
  /** LSNs that the volume was durable at: consistency points. */
  readonly durablePoints: readonly Lsn[]
  /** What openings after a crash have annulled: there is no log in it. */
  readonly truncations: readonly Truncation[]
}

const NOTE_MS = 20
/** Of load between two crashes. */
const CRASH_AFTER_MS = 6000
/** On a busy machine the load lasts longer. */
const TRANSFERS_MIN = 300

/** @param loadMs how long it is under load; parts of it are killed meanwhile */
export async function makeHistory(seed: number, clients: number, loadMs: number): Promise<History> {
  const cluster = await LoadedCluster.make(seed, clients)
  const random = new Random(seed).fork('crashes')
  const durablePoints = new Set<Lsn>()
  try {
    cluster.start()
    const end = performance.now() + loadMs
    while (performance.now() < end || cluster.load.acknowledged < TRANSFERS_MIN) {
      const next = performance.now() + random.between(CRASH_AFTER_MS / 2, CRASH_AFTER_MS)
      for (; performance.now() < next; await pause(NOTE_MS)) durablePoints.add(cluster.load.durable)
      if (performance.now() < end) await crash(cluster.home, random.pick(VICTIMS), random.pick(['a', 'b', 'c']))
    }
    await cluster.stop()
    const problems = await cluster.check()
    if (problems.length > 0) throw new Error(`the head of the history: ${problems.join('; ')}`)
    const { truncations } = await cluster.fleet.volumes.get(cluster.volume)
    return { cluster, durablePoints: [...durablePoints].filter((at) => at >= cluster.began), truncations }
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

async function opened<T>(
  { home, fleet, volume }: LoadedCluster,
  at: Lsn,
  kind: Kind,
  use: (place: { superuser(): ReturnType<PastEngine['superuser']> }) => Promise<T>,
): Promise<T> {
  if (kind === 'view') {
    await using engine = await PastEngine.start(fleet, volume, at)
    return await use(engine)
  }
  const region = homeAt(home.root)
  const name = `at-${at}`
  try {
    await ask(region, 'branch', { source: CLUSTER, name, at: { lsn: at } })
    return await use({ superuser: () => home.superuser(name) })
  } finally {
    await ask(region, 'delete', { name })
  }
}

/** The file system of that point, as it was left, before anybody has changed anything. */
async function checkFiles({ fleet, volume }: LoadedCluster, at: Lsn): Promise<string[]> {
  const view = await fleet.volumes.view(volume, at)
  try {
    return (await attachPast(view)).check()
  } finally {
    await view.close()
  }
}

export async function provePoint({ cluster }: History, at: Lsn, kind: Kind): Promise<PointReport> {
  const { load, home } = cluster
  const problems: string[] = []
  let [openMs, checkMs, transfers] = [0, 0, 0]
  try {
    problems.push(...(await checkFiles(cluster, at)))
    const startedMs = performance.now()
    await opened(cluster, at, kind, async (place) => {
      openMs = performance.now() - startedMs
      const client = await place.superuser()
      const present = await presentTransfers(client)
      for (const numbers of present.values()) transfers += numbers.size
      problems.push(...load.judge(present, at))
      problems.push(...(await checkDatabase(client)).problems)
      // It serves, too, and what it is told now it keeps.
      await client.query('UPDATE accounts SET balance = balance; CHECKPOINT')
      await client.end()
      checkMs = performance.now() - startedMs - openMs
      if (kind === 'branch') problems.push(...(await checkBranchCopies(cluster, `at-${at}`)))
    })
  } catch (error) {
    const logs = kind === 'branch' ? `\n${home.logs()}` : ''
    problems.push(`${error instanceof Error ? error.stack : error}${logs}`)
  }
  return { at, kind, openMs: Math.round(openMs), checkMs: Math.round(checkMs), transfers, problems }
}

async function checkBranchCopies(cluster: LoadedCluster, name: string): Promise<string[]> {
  const { clusters } = await cluster.home.status()
  const volume = parseVolumeName(clusters.find((each) => each.name === name)?.volume.id ?? '')
  return volume === undefined ? [`branch ${name} has no volume`] : cluster.checkCopies(volume)
}

/** Each crash annuls 256 MiB, many times more than the whole log is long: all of it shows the same. */
const ANNULLED_SHARE = 0.05

/** A point of the history: where it was durable once, or anywhere. */
export function pickPoint({ cluster, durablePoints, truncations }: History, random: Random): Lsn {
  if (durablePoints.length > 0 && random.chance(0.5)) return random.pick(durablePoints)
  const mayBeAnnulled = random.chance(ANNULLED_SHARE)
  for (;;) {
    const at = lsn(random.between(cluster.began, cluster.load.durable))
    if (mayBeAnnulled || !isAnnulled(truncations, at)) return at
  }
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      lsns: { type: 'string', default: '200' },
      'load-s': { type: 'string', default: '60' },
      clients: { type: 'string', default: '8' },
      seed: { type: 'string', default: `${Date.now() % 0x7fff_ffff}` },
    },
  })
  const seed = Number(values.seed)
  console.log(`seed ${seed}`)
  const history = await makeHistory(seed, Number(values.clients), Number(values['load-s']) * 1000)
  const { cluster } = history
  await using _ = cluster
  const { counts } = cluster.upkeep
  console.log(
    JSON.stringify({ acknowledged: cluster.load.acknowledged, from: cluster.began, to: cluster.load.durable }),
  )
  console.log(JSON.stringify(counts))
  const random = new Random(seed).fork('points')
  const reports: PointReport[] = []
  for (let i = 0; i < Number(values.lsns); i++) {
    const report = await provePoint(history, pickPoint(history, random), i % 2 === 0 ? 'view' : 'branch')
    reports.push(report)
    console.log(JSON.stringify({ i, ...report }))
  }
  for (const kind of ['view', 'branch'] as const) {
    const times = reports.filter((report) => report.kind === kind).map(({ openMs }) => openMs)
    times.sort((a, b) => a - b)
    console.log(`${kind}: open ${times[times.length >> 1]} ms in the median, ${times.at(-1)} ms at most`)
  }
  const failed = reports.filter(({ problems }) => problems.length > 0)
  for (const { at, kind, problems } of failed)
    console.log(`FAILED ${kind} at ${at}: ${problems.slice(0, 5).join('\n')}`)
  console.log(`${reports.length - failed.length} passed, ${failed.length} failed`)
  return failed.length === 0
}

if (import.meta.main) process.exitCode = (await main()) ? 0 : 1
