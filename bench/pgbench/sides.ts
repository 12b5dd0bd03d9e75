/** The servers that are compared, started on folders of their own. */
import { join } from 'node:path'
import pg from 'pg'
import { BUFFERS_SHARE } from '../../src/engine/postgres/settings.ts'
import { installed } from '../../test/postgres-instance.ts'
import { Delays } from './delays.ts'
import { DiskServer, type ServerPlace } from './disk-server.ts'
import type { Reach } from './load.ts'
import type { Settings, SideName } from './settings.ts'
import { type Counters, nodeProcesses, type Side, writeCalls } from './side.ts'
import { VolumeServer } from './volume-server.ts'

const PORT = 15_432

/** Loopback addresses of this process: other programs use 127.0.0.1. */
let addresses = 0
const nextAddress = (): string => `127.${80 + (process.pid % 40)}.${(process.pid >> 6) % 250}.${++addresses}`

/** Runs one statement. */
export async function ask(reach: Reach, statement: string): Promise<Readonly<Record<string, unknown>>[]> {
  const { socketFolder, port, user } = reach
  const client = new pg.Client({ host: socketFolder, port, user, database: 'postgres' })
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}

/** What the engine counts of its own writes; a WAL write with `open_datasync` is a sync as well. */
async function engineCounters(reach: Reach): Promise<Counters> {
  const [row = {}] = await ask(
    reach,
    `SELECT wal_bytes AS "WAL bytes", wal_write AS "WAL writes",
       CASE current_setting('wal_sync_method') WHEN 'open_datasync' THEN wal_write ELSE wal_sync END AS "WAL syncs",
       (SELECT sum(coalesce(writes, 0) + coalesce(extends, 0)) FROM pg_stat_io) AS "page writes",
       (SELECT sum(coalesce(fsyncs, 0)) FROM pg_stat_io) AS "file syncs"
     FROM pg_stat_wal`,
  )
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)]))
}

export async function diskPlace(
  folder: string,
  { buffersBytes }: Pick<Settings, 'buffersBytes'>,
): Promise<ServerPlace> {
  const memoryBytes = Math.ceil(buffersBytes / BUFFERS_SHARE)
  return { folder, binaries: await installed(), memoryBytes, address: nextAddress(), port: PORT }
}

async function alone(name: SideName, folder: string, settings: Settings): Promise<Side> {
  const server = new DiskServer(await diskPlace(folder, settings))
  await server.create()
  await server.start()
  return {
    name,
    reach: server.reach,
    engines: [server.pid],
    others: {},
    counters: () => engineCounters(server.reach),
    stop: () => server.stop(),
  }
}

/** A commit is acknowledged when the writer and both standbys have its WAL on their disks. */
async function withStandbys(name: SideName, folder: string, settings: Settings, delayUs: number): Promise<Side> {
  const writer = new DiskServer(await diskPlace(join(folder, 'writer'), settings))
  const { address, port } = writer.place
  await writer.create()
  // Its settings get into its WAL: standbys insist on as many sessions as it had.
  await writer.start()
  await writer.stop()
  const delays = delayUs === 0 ? undefined : new Delays(delayUs)
  const standbys: DiskServer[] = []
  for (const zone of ['b', 'c']) {
    const standby = new DiskServer(await diskPlace(join(folder, zone), settings))
    const far = await delays?.to(`${address}:${port}`)
    const [host = address, through = `${port}`] = far?.split(':') ?? []
    await standby.copyOf(writer, { address: host, port: Number(through) })
    standbys.push(standby)
  }
  await writer.start()
  await Promise.all(standbys.map((standby) => standby.start()))
  await ask(writer.reach, 'SELECT 1')
  writer.set('synchronous_standby_names', 'ANY 2 (b, c)')
  await ask(writer.reach, 'SELECT pg_reload_conf()')
  return {
    name,
    reach: writer.reach,
    engines: [writer.pid, ...standbys.map(({ pid }) => pid)],
    others: delays === undefined ? {} : { 'delay proxy': [delays.pid] },
    counters: () => engineCounters(writer.reach),
    stop: async () => {
      await writer.stop('SIGQUIT')
      await Promise.all(standbys.map((standby) => standby.stop('SIGQUIT')))
      await delays?.stop()
    },
  }
}

async function onVolume(name: SideName, folder: string, settings: Settings, delayUs: number): Promise<Side> {
  const delays = delayUs === 0 ? undefined : new Delays(delayUs)
  const { buffersBytes } = settings
  const server = await VolumeServer.start({
    folder,
    version: '17',
    buffersBytes,
    address: nextAddress(),
    port: PORT,
    delays,
  })
  const zones = server.zonePids
  return {
    name,
    reach: server.reach,
    engines: [server.enginePid],
    others: {
      instance: nodeProcesses(server.instancePid),
      zones,
      ...(delays === undefined ? {} : { 'delay proxy': [delays.pid] }),
    },
    counters: async () => ({
      ...(await engineCounters(server.reach)),
      ...(await server.counters()),
      'writes of nodes': zones.reduce((sum, pid) => sum + writeCalls(pid), 0),
    }),
    stop: async () => {
      await server.stop()
      await delays?.stop()
    },
  }
}

/** @param delayUs added to each message between zones */
function startSide(name: SideName, settings: Settings, delayUs = 0): Promise<Side> {
  const folder = join(settings.folder, delayUs === 0 ? name : `${name}-far`)
  if (name === 'volume') return onVolume(name, folder, settings, delayUs)
  if (name === 'standbys') return withStandbys(name, folder, settings, delayUs)
  if (name === 'ext4') return alone(name, folder, settings)
  if (settings.memoryFolder === undefined)
    throw new Error('there is no file system in memory: leave tmpfs out of --sides')
  return alone(name, join(settings.memoryFolder, name), settings)
}

/** Starts them one after the other, and stops them whatever happens. */
export async function withSides<T>(
  names: readonly SideName[],
  settings: Settings,
  delayUs: number,
  use: (sides: readonly Side[]) => Promise<T>,
): Promise<T> {
  const sides: Side[] = []
  try {
    for (const name of names) {
      settings.log(`starting ${name}`)
      sides.push(await startSide(name, settings, delayUs))
    }
    return await use(sides)
  } finally {
    for (const side of sides) await side.stop()
  }
}
