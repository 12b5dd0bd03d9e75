/** Readers: how far behind they are, what they cost the writer, and how long it takes to add one; against standbys. */
import { rmSync } from 'node:fs'
import { whyNoMount } from '../test/fuse-mounts.ts'
import { findPgbench } from './pgbench/load.ts'
import { attachments } from './replicas/attach.ts'
import { loadedReplicas } from './replicas/loaded.ts'
import { type ReplicasSettings, settingsOf } from './replicas/settings.ts'
import type { Bench, BenchTable } from './table.ts'
import { median, quantile } from './volume/samples.ts'

const MIB = 1 << 20

const shown = ({ scale, clients, seconds, rounds, memoryMib }: ReplicasSettings) => ({
  PostgreSQL: 17,
  scale,
  clients,
  'seconds of each slice': seconds,
  rounds,
  'memory of each engine': `${memoryMib} MiB`,
})

async function loadedTables(settings: ReplicasSettings): Promise<BenchTable[]> {
  const { lags, rates } = await loadedReplicas(settings)
  const { readers } = settings
  const names = [...new Set(rates.map(({ side }) => side))]
  const tps = (side: string, replicas: number): number =>
    median(rates.filter((each) => each.side === side && each.replicas === replicas).map((each) => each.tps))
  return [
    {
      title: 'lag of a reader while the writer has all the load it takes (TPC-B)',
      compared: 'from when a client of the writer was told of a commit until a session on the reader shows it',
      settings: shown(settings),
      columns: [
        { name: 'p50', unit: 'ms' },
        { name: 'p99', unit: 'ms' },
        { name: 'longest', unit: 'ms' },
        { name: 'writes', unit: 'n' },
      ],
      ratio: { column: 'p50', baseline: lags.at(-1)?.name ?? '', better: 'lower' },
      rows: lags.map(({ name, ms }) => ({
        name,
        values: [median(ms), quantile(ms, 0.99), Math.max(...ms), ms.length],
      })),
      notes: ['the session on the reader asks again as soon as it has its answer: that is in the figures'],
    },
    {
      title: `throughput of the writer (TPC-B), alone and with ${readers} readers`,
      compared: 'readers on the shared volume, and standbys with copies on ext4 that the same server streams to',
      settings: shown(settings),
      columns: [
        { name: 'alone', unit: 'tps' },
        { name: 'with readers', unit: 'tps' },
        { name: 'left', unit: 'part' },
      ],
      ratio: { column: 'left', baseline: 'ext4, standbys', better: 'higher' },
      rows: names.map((side) => ({
        name: side,
        values: [tps(side, 0), tps(side, readers), tps(side, readers) / tps(side, 0)],
      })),
      notes: ['all of it on one machine: readers and standbys take processor time from the writer'],
    },
  ]
}

async function attachTable(settings: ReplicasSettings): Promise<BenchTable> {
  const all = await attachments(settings)
  return {
    title: `another reader for a cluster of ${settings.gib} GiB`,
    compared: 'from the command to the answer to the first query, and what the reader takes of the local disk',
    settings: { PostgreSQL: 15, GiB: settings.gib },
    columns: [
      { name: 'time', unit: 's' },
      { name: 'local disk', unit: 'MiB' },
    ],
    ratio: { column: 'time', baseline: all[0]?.name ?? '', better: 'lower' },
    rows: all.map(({ name, ms, bytes }) => ({ name, values: [ms / 1000, bytes / MIB] })),
    notes: ['PostgreSQL 15, since pg_basebackup of the machine is'],
  }
}

export const run: Bench = async ({ args, log }) => {
  const why = whyNoMount()
  if (why !== undefined) throw new Error(why)
  findPgbench()
  const settings = settingsOf(args, log)
  try {
    const tables: BenchTable[] = []
    if (settings.parts.includes('lag')) tables.push(...(await loadedTables(settings)))
    if (settings.parts.includes('attach')) tables.push(await attachTable(settings))
    return tables
  } finally {
    rmSync(settings.folder, { recursive: true, force: true })
  }
}
