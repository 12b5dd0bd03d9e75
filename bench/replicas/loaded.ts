/** A writer with all the load that it takes, with readers and without, and the same on a disk with standbys. */
import { join } from 'node:path'
import { SUPERUSER } from '../../src/engine/postgres/template.ts'
import { RegionHome } from '../../test/region-home.ts'
import { until } from '../../test/waiting.ts'
import { connectTo, PlainCluster } from '../cluster/plain-cluster.ts'
import { bulkLoad, type Reach, runLoad } from '../pgbench/load.ts'
import { BEAT_SCHEMA, readerLag } from './lag.ts'
import type { ReplicasSettings } from './settings.ts'

const CLUSTER = 'demo'
const READY_MS_MAX = 120_000

interface Rate {
  readonly side: string
  readonly replicas: number
  readonly tps: number
}

interface Lag {
  readonly name: string
  readonly ms: readonly number[]
}

/** A writer and those who follow it, on one of the two sides. */
interface Replicated {
  readonly name: string
  readonly writer: () => Promise<Reach>
  readonly followers: () => Promise<readonly Reach[]>
  /** Resolves when there are so many. */
  readonly grow: (count: number) => Promise<void>
}

function onVolume(home: RegionHome): Replicated {
  const reachable = async (role: 'writer' | 'reader'): Promise<Reach[]> =>
    (await home.status()).instances
      .filter((each) => each.role === role && each.state === 'available')
      .map(({ name, port }) => ({ socketFolder: join(home.root, 'instances', name, 'run'), port, user: SUPERUSER }))
  return {
    name: 'borealis, readers',
    writer: async () => {
      const [reach] = await reachable('writer')
      if (reach === undefined) throw new Error('there is no writer')
      return reach
    },
    followers: () => reachable('reader'),
    grow: async (count) => {
      while ((await reachable('reader')).length < count) {
        const { status, output } = await home.borealis('instance', 'create', CLUSTER)
        if (status !== 0) throw new Error(output)
      }
    },
  }
}

const onDisk = (cluster: PlainCluster): Replicated => ({
  name: 'ext4, standbys',
  writer: async () => cluster.reach,
  followers: async () => cluster.standbys.map(({ reach }) => reach),
  grow: (count) => cluster.addStandbys(count - cluster.standbys.length),
})

/** They have what the writer has. */
async function untilFollowing({ writer, followers }: Replicated): Promise<void> {
  const client = await connectTo(await writer())
  const { rows } = await client.query('SELECT pg_current_wal_flush_lsn()::text AS lsn')
  client.drop()
  for (const reach of await followers()) {
    const follower = await connectTo(reach)
    const has = `SELECT pg_last_wal_replay_lsn() >= '${rows[0]?.lsn}'::pg_lsn AS "has"`
    await until('a follower has it all', async () => (await follower.query(has)).rows[0]?.has === true, READY_MS_MAX)
    follower.drop()
  }
}

async function rateOf(side: Replicated, replicas: number, { clients, seconds, log }: ReplicasSettings): Promise<Rate> {
  await untilFollowing(side)
  const { tps } = await runLoad(await side.writer(), 'tpc-b', clients, seconds)
  log(`${side.name}, ${replicas}: ${Math.round(tps)} tps`)
  return { side: side.name, replicas, tps }
}

async function lagOf(side: Replicated, replicas: number, settings: ReplicasSettings): Promise<Lag> {
  const { clients, seconds, log } = settings
  await untilFollowing(side)
  const reach = await side.writer()
  const [first] = await side.followers()
  if (first === undefined) throw new Error('there is no reader')
  const sessions = [await connectTo(reach), await connectTo(first)] as const
  const [ms] = await Promise.all([readerLag(...sessions, seconds), runLoad(reach, 'tpc-b', clients, seconds + 1)])
  for (const session of sessions) session.drop()
  const name = `${side.name}: ${replicas}`
  log(`${name}: lag of ${ms.length} writes`)
  return { name, ms }
}

async function prepare(side: Replicated, scale: number): Promise<void> {
  const reach = await side.writer()
  await bulkLoad(reach, scale)
  const client = await connectTo(reach)
  await client.query(BEAT_SCHEMA)
  await client.query('CHECKPOINT')
  client.drop()
}

/** Both sides take turns, so that whatever else the machine does is shared. */
export async function loadedReplicas(settings: ReplicasSettings): Promise<{ lags: Lag[]; rates: Rate[] }> {
  const { scale, readers, rounds, memoryMib, folder, buffersBytes } = settings
  await using home = await RegionHome.make(['--memory-mib', `${memoryMib}`, '--readers', '0'])
  await home.up()
  const cluster = await PlainCluster.create(folder, buffersBytes)
  try {
    const sides = [onVolume(home), onDisk(cluster)]
    const lags: Lag[] = []
    const rates: Rate[] = []
    const turns = async (replicas: number): Promise<void> => {
      for (let round = 0; round < rounds; round++)
        for (const side of sides) rates.push(await rateOf(side, replicas, settings))
    }
    for (const side of sides) await prepare(side, scale)
    await turns(0)
    for (const count of new Set([1, readers])) {
      for (const side of sides) {
        await side.grow(count)
        lags.push(await lagOf(side, count, settings))
      }
    }
    await turns(readers)
    return { lags, rates }
  } finally {
    await cluster.stop()
  }
}
