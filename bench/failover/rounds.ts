/** A writer is killed, or stands still, under full load; again and again. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SUPERUSER } from '../../src/engine/postgres/template.ts'
import { EndpointNames } from '../../test/chaos/endpoint-client.ts'
import { identities, instanceProcesses, signalAll } from '../../test/instance-processes.ts'
import { RegionHome } from '../../test/region-home.ts'
import { pause, until } from '../../test/waiting.ts'
import { connectTo, PlainCluster } from '../cluster/plain-cluster.ts'
import { SteadyLoad } from '../cluster/steady-load.ts'
import { PROBE_ANSWER_MS_MAX, PROBE_SCHEMA, WriteProbe } from '../cluster/write-probe.ts'
import { bulkLoad, type Reach } from '../pgbench/load.ts'
import type { FailoverSettings } from './settings.ts'
import { FailoverWatch, type Timeline } from './timeline.ts'

const CLUSTER = 'demo'
/** Of full load before each: connections are made and the engine is at its pace. */
const LOADED_MS = 2500
/** On a machine with a lot of other work. */
const OUTAGE_MS_MAX = 240_000

export interface Outages {
  readonly name: string
  readonly outagesMs: readonly number[]
  readonly lost: number
  readonly acknowledged: number
  readonly timelines: readonly Timeline[]
  /** What engines said of their recoveries. */
  readonly redoSeconds: readonly number[]
}

async function reachOfWriter(home: RegionHome): Promise<Reach> {
  const { name, port } = await home.writer(CLUSTER)
  return { socketFolder: join(home.root, 'instances', name, 'run'), port, user: SUPERUSER }
}

/** There is somebody to take over. */
const untilWhole = (home: RegionHome): Promise<unknown> =>
  until(
    'writer and reader are available',
    async () =>
      (await home.status()).instances.every(({ state, role, lagMs }) => {
        return state === 'available' && (role === 'writer' || lagMs !== null)
      }),
    OUTAGE_MS_MAX,
  )

/** What the engine says of its last recovery. */
function redoSeconds(home: RegionHome, instance: string): number | undefined {
  const folder = join(home.root, 'instances', instance, 'logs')
  const text = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'))
  const said = text.join('').matchAll(/redo done at .* elapsed: ([\d.]+) s/g)
  const last = [...said].at(-1)?.[1]
  return last === undefined ? undefined : Number(last)
}

/** With one reader. */
export async function borealisOutages(settings: FailoverSettings): Promise<Outages[]> {
  const { scale, clients, memoryMib, rounds, hungRounds, log } = settings
  await using home = await RegionHome.make(['--memory-mib', `${memoryMib}`, '--readers', '1'])
  home.environment.BOREALIS_HOSTS_FILE = EndpointNames.makeHostsFile(home)
  await home.up()
  await bulkLoad(await reachOfWriter(home), scale)
  const superuser = await home.superuser(CLUSTER)
  await superuser.query(`${PROBE_SCHEMA}; GRANT ALL ON probe TO postgres`)
  // What is replayed is to be of the load that is measured, not of the one that made the tables.
  await superuser.query('CHECKPOINT')
  await superuser.end()
  log(`borealis: loaded scale ${scale}`)
  const names = await EndpointNames.of(home, CLUSTER)
  const probe = new WriteProbe(() => names.connect(names.the('writer'), PROBE_ANSWER_MS_MAX))
  const load = new SteadyLoad(clients, () => reachOfWriter(home))
  const round = async (what: 'killed' | 'hung') => {
    await untilWhole(home)
    await pause(LOADED_MS)
    const writer = await home.writer(CLUSTER)
    const watch = new FailoverWatch(home, CLUSTER, writer)
    const outageMs = await probe.outage(() => {
      if (what === 'killed') signalAll(identities([writer.pid]), 'SIGKILL')
      else signalAll(instanceProcesses(writer), 'SIGSTOP')
    }, OUTAGE_MS_MAX)
    const timeline = await watch.end(outageMs)
    // Sessions of pgbench may wait for a server that hung for as long as TCP does.
    if (what === 'hung') load.restart()
    const redo = redoSeconds(home, (await home.writer(CLUSTER)).name)
    log(`borealis, writer ${what}: ${Math.round(outageMs)} ms; ${timelineText(timeline)}; redo ${redo ?? '-'} s`)
    return { outageMs, timeline, redo }
  }
  const several = async (what: 'killed' | 'hung', count: number) => {
    const done: Awaited<ReturnType<typeof round>>[] = []
    for (let i = 0; i < count; i++) done.push(await round(what))
    return done
  }
  try {
    const killed = await several('killed', rounds)
    const hung = await several('hung', hungRounds)
    await untilWhole(home)
    await Promise.all([probe.stop(), load.stop()])
    const client = await home.superuser(CLUSTER)
    const counts = await probe.lost(client)
    await client.end()
    const row = (name: string, of: typeof killed): Outages => ({
      name,
      ...counts,
      outagesMs: of.map(({ outageMs }) => outageMs),
      timelines: of.map(({ timeline }) => timeline),
      redoSeconds: of.flatMap(({ redo }) => redo ?? []),
    })
    return [row('borealis, writer killed', killed), ...(hung.length > 0 ? [row('borealis, writer hung', hung)] : [])]
  } finally {
    await Promise.all([probe.stop(), load.stop()])
  }
}

const timelineText = (timeline: Timeline): string =>
  Object.entries(timeline)
    .map(([phase, ms]) => `${phase} ${Math.round(ms)}`)
    .join(', ')

/** What is known at once here has to be found out elsewhere: the time to notice is not in it. */
export async function plainOutages(settings: FailoverSettings): Promise<Outages[]> {
  const { scale, clients, plainRounds, folder, buffersBytes, log } = settings
  if (plainRounds === 0) return []
  const cluster = await PlainCluster.create(folder, buffersBytes)
  try {
    await bulkLoad(cluster.reach, scale)
    const client = await connectTo(cluster.reach)
    await client.query(PROBE_SCHEMA)
    await client.query('CHECKPOINT')
    client.drop()
    log(`ext4: loaded scale ${scale}`)
    const measure = async (
      name: string,
      recover: () => Promise<void>,
      after: () => Promise<void>,
    ): Promise<Outages> => {
      const outagesMs: number[] = []
      const counts = { lost: 0, acknowledged: 0 }
      for (let i = 0; i < plainRounds; i++) {
        await after()
        const first = await connectTo(cluster.reach)
        await first.query('TRUNCATE probe')
        first.drop()
        const probe = new WriteProbe(() => connectTo(cluster.reach, PROBE_ANSWER_MS_MAX))
        const load = new SteadyLoad(clients, async () => cluster.reach)
        try {
          await pause(LOADED_MS)
          outagesMs.push(
            await probe.outage(async () => {
              cluster.killPrimary()
              await recover()
            }, OUTAGE_MS_MAX),
          )
        } finally {
          await Promise.all([probe.stop(), load.stop()])
        }
        const last = await connectTo(cluster.reach)
        const { lost, acknowledged } = await probe.lost(last)
        last.drop()
        counts.lost += lost
        counts.acknowledged += acknowledged
        log(`${name}: ${Math.round(outagesMs.at(-1) ?? 0)} ms, ${lost} of ${acknowledged} lost`)
      }
      return { name, outagesMs, ...counts, timelines: [], redoSeconds: [] }
    }
    return [
      await measure(
        'ext4, restarted in place',
        () => cluster.restartPrimary(),
        async () => {},
      ),
      await measure(
        'ext4, standby promoted',
        () => cluster.promote(),
        () => cluster.addStandbys(1),
      ),
    ]
  } finally {
    await cluster.stop()
  }
}
