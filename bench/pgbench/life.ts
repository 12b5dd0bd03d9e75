/** How long a cluster takes to be made, to be stopped and started, and to come back from a kill under load. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { SUPERUSER } from '../../src/engine/postgres/template.ts'
import { RegionHome } from '../../test/region-home.ts'
import type { BenchTable } from '../table.ts'
import { residentBytes } from '../volume/processor-time.ts'
import { median } from '../volume/samples.ts'
import { bulkLoad, type Reach, runLoad } from './load.ts'
import type { Settings } from './settings.ts'
import { nodeProcesses } from './side.ts'

const CLIENTS = 8
const LOADED_SCALE = 20
const TRIES = 3

async function timed(what: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await what()
  return (performance.now() - startedMs) / 1000
}

async function firstQuery(home: RegionHome): Promise<void> {
  const client = await home.connect()
  await client.query('SELECT 1')
  await client.end()
}

async function killEverything(home: RegionHome): Promise<void> {
  const { pid, instances, storageNodes } = await home.status()
  const all = [
    pid,
    ...instances.flatMap((each) => [...(each.pid === null ? [] : nodeProcesses(each.pid)), each.enginePid]),
    ...storageNodes.map((each) => each.pid),
  ]
  for (const each of new Set(all)) if (each !== null) process.kill(each, 'SIGKILL')
}

interface Times {
  readonly create: number
  readonly restart: number[]
  readonly recover: number[]
  readonly instanceMiB: number
}

async function measure(home: RegionHome, { log, seconds }: Settings): Promise<Times> {
  const create = await timed(async () => {
    await home.up()
    await firstQuery(home)
  })
  log(`from nothing to the first query: ${create.toFixed(1)} s`)
  const { port, name } = await home.writer()
  const reach: Reach = { socketFolder: join(home.root, 'instances', name, 'run'), port, user: SUPERUSER }
  await bulkLoad(reach, LOADED_SCALE)
  await runLoad(reach, 'tpc-b', CLIENTS, seconds)
  const { pid } = await home.writer()
  assert(pid !== null)
  const instanceMiB = residentBytes(nodeProcesses(pid)) / 2 ** 20
  const restart: number[] = []
  const recover: number[] = []
  for (let i = 0; i < TRIES; i++) {
    restart.push(
      await timed(async () => {
        await home.down()
        await home.up()
        await firstQuery(home)
      }),
    )
    log(`stopped, started, first query: ${restart.at(-1)?.toFixed(1)} s`)
    const load = runLoad(reach, 'tpc-b', CLIENTS, 1000).catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    await killEverything(home)
    recover.push(
      await timed(async () => {
        await home.up()
        await firstQuery(home)
      }),
    )
    log(`killed under load, started, first query: ${recover.at(-1)?.toFixed(1)} s`)
    // Sessions that waited for each other end only with what the start cleared away.
    await load
  }
  return { create, restart, recover, instanceMiB }
}

export async function life(settings: Settings): Promise<BenchTable> {
  const home = await RegionHome.make([])
  try {
    const { create, restart, recover, instanceMiB } = await measure(home, settings)
    const row = (name: string, seconds: number, most: number) => ({ name, values: [seconds, most, seconds / most] })
    return {
      title: 'a cluster, with `borealis up` and `borealis down`',
      compared: 'time to the first query, with the time that it may take',
      settings: {
        PostgreSQL: 17,
        scale: LOADED_SCALE,
        clients: CLIENTS,
        tries: TRIES,
        'memory of the instance beside its engine, after the load': `${Math.round(instanceMiB)} MiB`,
      },
      columns: [
        { name: 'time', unit: 's' },
        { name: 'may take', unit: 's' },
        { name: 'part of it', unit: 'ratio' },
      ],
      ratio: { column: 'time', baseline: 'created from nothing', better: 'lower' },
      rows: [
        row('created from nothing', create, 6),
        row('stopped and started', median(restart), 3),
        row('everything killed under load, started', median(recover), 5),
      ],
      notes: [
        `all: restarts ${restart.map((s) => s.toFixed(1)).join(' ')}; recoveries ${recover.map((s) => s.toFixed(1)).join(' ')}`,
      ],
    }
  } finally {
    await home[Symbol.asyncDispose]()
  }
}
