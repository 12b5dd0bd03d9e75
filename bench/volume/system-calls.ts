/** System calls per sync, counted with strace where it is there and allowed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import type { BenchTable } from '../table.ts'
import type { BenchFleet } from './bench-fleet.ts'
import { syncLoad } from './sync-load.ts'

const MS = 1500
/** Fewer than one in so many syncs is not the sync's doing. */
const RARE = 0.05

/** Counts by name, from the table that `strace -c` prints. */
function parse(output: string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of output.split('\n')) {
    const [, calls, name] = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$/.exec(line) ?? []
    if (calls !== undefined && name !== undefined && name !== 'total') counts.set(name, Number(calls))
  }
  return counts
}

async function attach(pid: number): Promise<{ process: ChildProcess; output: () => string }> {
  const tracer = spawn('strace', ['-c', '-f', '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  tracer.stderr.on('data', (chunk: Buffer) => {
    output += chunk.toString()
  })
  await Promise.race([once(tracer.stderr, 'data'), once(tracer, 'exit')])
  return { process: tracer, output: () => output }
}

async function countedLoad(fleet: BenchFleet, writer: VolumeWriter, clients: number, pids: readonly number[]) {
  const tracers = await Promise.all(pids.map(attach))
  const { rate = 0 } = await syncLoad(fleet, writer, clients, MS)
  const counts = new Map<string, number>()
  for (const { process, output } of tracers) {
    const exit = process.exitCode === null ? once(process, 'exit') : undefined
    process.kill('SIGINT')
    await exit
    for (const [name, count] of parse(output())) counts.set(name, (counts.get(name) ?? 0) + count)
  }
  const syncs = (rate * MS) / 1000
  return new Map([...counts].map(([name, count]) => [name, count / syncs]))
}

/** No table where strace cannot be used. */
export async function countSystemCalls(fleet: BenchFleet, writer: VolumeWriter): Promise<BenchTable[]> {
  if (spawnSync('strace', ['-c', 'true']).status !== 0) return []
  const sides = [
    { side: 'nodes', pids: fleet.hostPids },
    { side: 'driver', pids: [process.pid] },
  ]
  const rows = new Map<string, (number | null)[]>()
  for (const [column, clients] of [1, 8].entries()) {
    for (const { side, pids } of sides) {
      const counts = await countedLoad(fleet, writer, clients, pids)
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
      for (const [name, count] of [[`${side}: all`, total] as const, ...counts]) {
        const row = name.startsWith(side) ? name : `${side}: ${name}`
        if (count < RARE && !rows.has(row)) continue
        const values = rows.get(row) ?? [null, null]
        values[column] = count
        rows.set(row, values)
      }
    }
  }
  if (!rows.has('nodes: all')) return []
  return [
    {
      title: 'system calls of a sync, all six nodes together',
      compared: 'calls by name with all calls of the nodes, for one client and for eight',
      settings: { measuredMs: MS, tracer: 'strace -c -f' },
      columns: [
        { name: '1 client', unit: '1/sync' },
        { name: '8 clients', unit: '1/sync' },
      ],
      ratio: { column: '1 client', baseline: 'nodes: all', better: 'lower' },
      rows: [...rows].map(([name, values]) => ({ name, values })),
      notes: ['Tracing makes everything several times slower, so only the counts mean something.'],
    },
  ]
}
