/** A writer that is killed or hangs under full load: how long nobody can write, where the time goes, and what is lost. */
import { rmSync } from 'node:fs'
import { whyNoMount } from '../test/fuse-mounts.ts'
import { borealisOutages, type Outages, plainOutages } from './failover/rounds.ts'
import { type FailoverSettings, settingsOf } from './failover/settings.ts'
import { PHASES } from './failover/timeline.ts'
import { findPgbench } from './pgbench/load.ts'
import type { Bench, BenchTable } from './table.ts'
import { median } from './volume/samples.ts'

const shown = ({ scale, clients, memoryMib }: FailoverSettings) => ({
  PostgreSQL: 17,
  scale,
  clients,
  'memory of each engine': `${memoryMib} MiB`,
})

function outageTable(rows: readonly Outages[], settings: FailoverSettings): BenchTable {
  return {
    title: 'time without a successful write',
    compared:
      'four clients that write through the writer endpoint while pgbench runs TPC-B; on ext4 the same server restarted, and an asynchronous standby promoted, both the moment that the primary is killed',
    settings: shown(settings),
    columns: [
      { name: 'median', unit: 's' },
      { name: 'worst', unit: 's' },
      { name: 'rounds', unit: 'n' },
      { name: 'lost commits', unit: 'n' },
      { name: 'acknowledged', unit: 'n' },
    ],
    ratio: { column: 'median', baseline: rows.at(-1)?.name ?? '', better: 'lower' },
    rows: rows.map(({ name, outagesMs, lost, acknowledged }) => ({
      name,
      values: [median(outagesMs) / 1000, Math.max(...outagesMs) / 1000, outagesMs.length, lost, acknowledged],
    })),
    notes: [
      'killed: SIGKILL to the supervisor of the instance; hung: SIGSTOP to all of its processes',
      'the worst of the four clients counts; they wait 1 s for an answer, and look the name up for each connection',
      'on ext4 nobody has to notice that the primary is gone; it is known',
      ...rows.map(({ name, outagesMs }) => `${name}: ${outagesMs.map((ms) => (ms / 1000).toFixed(2)).join(' ')} s`),
    ],
  }
}

function phaseTable({ name, timelines, redoSeconds }: Outages, settings: FailoverSettings): BenchTable {
  const of = (phase: (typeof PHASES)[number]) =>
    timelines.flatMap((timeline) => (timeline[phase] === undefined ? [] : [timeline[phase]]))
  return {
    title: `${name}: when each thing was first seen`,
    compared: 'the region as `borealis status` shows it, looked at every 20 ms',
    settings: shown(settings),
    columns: [
      { name: 'median', unit: 'ms' },
      { name: 'worst', unit: 'ms' },
    ],
    ratio: { column: 'median', baseline: 'written', better: 'lower' },
    rows: PHASES.map((phase) => ({
      name: phase,
      values:
        of(phase).length === 0 ? [null, null] : [Math.round(median(of(phase))), Math.round(Math.max(...of(phase)))],
    })),
    notes: [
      'a ratio is the part of the whole that had gone by',
      `redo, by the engines' logs, between starting and available: ${redoSeconds.join(' ')} s`,
    ],
  }
}

export const run: Bench = async ({ args, log }) => {
  const why = whyNoMount()
  if (why !== undefined) throw new Error(why)
  findPgbench()
  const settings = settingsOf(args, log)
  try {
    const ours = await borealisOutages(settings)
    const plain = await plainOutages(settings)
    return [outageTable([...ours, ...plain], settings), ...ours.map((each) => phaseTable(each, settings))]
  } finally {
    rmSync(settings.folder, { recursive: true, force: true })
  }
}
