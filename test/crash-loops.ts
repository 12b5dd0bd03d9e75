/**
 * Crashes under load, again and again:
 *
 *   node test/crash-loops.ts [--rounds 50] [--clients 8] [--seed S] [--victim engine]
 *
 * In each round the clients of a cluster transfer money while tables are made, rewritten and dropped; at a random moment
 * the engine, the server of its files, the instance, the hosts of a zone or of all zones, or everything at once is killed
 * with SIGKILL. When it is back no acknowledged transfer is missing, none that was rolled back is there; indexes, tables, balances and the file
 * system are whole, and all copies of all blocks are the same. Closes with `N passed, N failed`.
 */
import { parseArgs } from 'node:util'
import { Random } from '../sim/random.ts'
import { attachPast } from '../src/instance/past-files.ts'
import { crash, VICTIMS, type Victim } from './crashes.ts'
import { LoadedCluster } from './loaded-cluster.ts'
import { pause } from './waiting.ts'

export interface RoundReport {
  readonly victim: Victim
  /** Of load before the crash. */
  readonly afterMs: number
  /** Until all of it was there again. */
  readonly backMs: number
  readonly acknowledged: number
  readonly problems: readonly string[]
}

const LOAD_MS_MAX = 3000
/** Of them at least so many are acknowledged before the next crash. */
const TRANSFERS_MIN = 50

/** The file system at the head, while its writer goes on. */
async function checkFiles({ fleet, volume }: LoadedCluster): Promise<string[]> {
  const view = await fleet.volumes.view(volume)
  try {
    return (await attachPast(view)).check()
  } finally {
    await view.close()
  }
}

/** The load runs when it is called, and has stopped when it resolves. */
export async function crashOnce(cluster: LoadedCluster, victim: Victim, random: Random): Promise<RoundReport> {
  const { load, home } = cluster
  const afterMs = random.magnitude(50, LOAD_MS_MAX)
  const before = load.acknowledged
  const problems: string[] = []
  let backMs = 0
  try {
    await load.progress(TRANSFERS_MIN)
    await pause(afterMs)
    backMs = await crash(home, victim, random.pick(['a', 'b', 'c']))
    await cluster.stop()
    problems.push(...(await cluster.check()), ...(await checkFiles(cluster)), ...(await cluster.checkCopies()))
  } catch (error) {
    problems.push(`${error instanceof Error ? error.stack : error}\n${home.logs()}`)
    await cluster.stop().catch((problem) => problems.push(`the load: ${problem}`))
  }
  return { victim, afterMs, backMs: Math.round(backMs), acknowledged: load.acknowledged - before, problems }
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '50' },
      clients: { type: 'string', default: '8' },
      victim: { type: 'string', multiple: true },
      seed: { type: 'string', default: `${Date.now() % 0x7fff_ffff}` },
    },
  })
  const seed = Number(values.seed)
  console.log(`seed ${seed}`)
  const random = new Random(seed).fork('rounds')
  const victims = VICTIMS.filter((each) => values.victim?.includes(each) ?? true)
  await using cluster = await LoadedCluster.make(seed, Number(values.clients))
  let failed = 0
  let passed = 0
  // What is broken stays so: the first failure ends it.
  while (passed < Number(values.rounds) && failed === 0) {
    cluster.start()
    const report = await crashOnce(cluster, random.pick(victims), random)
    if (report.problems.length > 0) failed++
    else passed++
    console.log(JSON.stringify({ round: passed + failed, ...report }))
  }
  console.log(JSON.stringify({ acknowledged: cluster.load.acknowledged, upkeep: cluster.upkeep.counts }))
  console.log(`${passed} passed, ${failed} failed`)
  return failed === 0
}

if (import.meta.main) process.exitCode = (await main()) ? 0 : 1
