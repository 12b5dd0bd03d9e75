/** What was measured, as tables. */
import type { BenchColumn, BenchRow, BenchTable } from '../table.ts'
import { median } from '../volume/samples.ts'
import type { Settings, SideName } from './settings.ts'
import { medianRate, perOperation, processorNames, type SliceSums } from './slices.ts'

const SIDE_TEXT: Readonly<Record<SideName, string>> = {
  ext4: 'ext4, fsync and full_page_writes on',
  tmpfs: 'memory (tmpfs), the same',
  standbys: 'ext4 with two synchronous standbys',
  volume: 'six-copy volume',
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)

const settingsOfTable = ({ rounds, seconds, scale, buffersBytes }: Settings) => ({
  PostgreSQL: 17,
  scale,
  rounds,
  seconds,
  shared_buffers: `${buffersBytes / 2 ** 20}MB`,
})

const sumOf = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0)

/** Throughput of the sides, and processor time by kind of process. */
export function rateTable(
  title: string,
  operation: { readonly name: string; readonly unit: string },
  sums: readonly SliceSums[],
  settings: Settings,
): BenchTable {
  const processes = [...new Set(sums.flatMap(processorNames))]
  const columns: BenchColumn[] = [
    operation,
    { name: 'latency', unit: 'ms' },
    { name: 'to standbys', unit: 'ratio' },
    { name: 'all', unit: 'us' },
    ...processes.map((name) => ({ name: name.replace(/ us$/, ''), unit: 'us' })),
  ]
  const standbys = sums.find(({ side }) => side.name === 'standbys')
  const rows: BenchRow[] = sums.map((sum) => {
    const costs = processes.map((name) => perOperation(sum, name))
    return {
      name: SIDE_TEXT[sum.side.name as SideName],
      values: [
        medianRate(sum),
        finite(median(sum.latenciesMs)),
        standbys === undefined ? null : medianRate(sum) / medianRate(standbys),
        sumOf(costs.filter(Number.isFinite)),
        ...costs.map(finite),
      ],
    }
  })
  return {
    title,
    compared:
      'the same binaries, slices of load on one side after the other; columns in us: processor time of each process for an operation',
    settings: settingsOfTable(settings),
    columns,
    ratio: { column: operation.name, baseline: rows[0]?.name ?? '', better: 'higher' },
    rows,
    notes: [
      `medians of the rates; single slices: ${sums.map(({ side, rates }) => `${side.name} ${rates.map(Math.round).join(' ')}`).join('; ')}`,
    ],
  }
}

/** Bytes and writes for a transaction (or a row), as in table 1 of the paper (SIGMOD 2017). */
export function writesTable(
  load: string,
  each: 'txn' | 'row',
  sums: readonly SliceSums[],
  settings: Settings,
): BenchTable {
  const rows: BenchRow[] = sums.map((sum) => {
    const of = (name: string): number => perOperation(sum, name)
    const copies = sum.side.name === 'standbys' ? 3 : 1
    const log = of('log bytes')
    return {
      name: SIDE_TEXT[sum.side.name as SideName],
      values: [
        finite(Number.isFinite(log) ? log : of('WAL bytes')),
        finite(of('WAL writes')),
        finite(of('WAL syncs')),
        finite(of('page writes')),
        finite(of('file syncs') * 1000),
        finite(Number.isFinite(of('writes of nodes')) ? of('writes of nodes') / 6 : of('WAL syncs') * copies),
      ],
    }
  })
  return {
    title: `${load}: bytes and writes for a ${each === 'txn' ? 'transaction' : 'row'}`,
    compared:
      'bytes: of log to one storage node, or of WAL to one standby; durable writes: of one node, or WAL syncs of all servers together',
    settings: settingsOfTable(settings),
    columns: [
      { name: 'bytes', unit: `1/${each}` },
      { name: 'WAL writes', unit: `1/${each}` },
      { name: 'WAL syncs', unit: `1/${each}` },
      { name: 'page writes', unit: `1/${each}` },
      { name: 'file syncs', unit: `1/1000 ${each}` },
      { name: 'durable writes', unit: `1/${each}` },
    ],
    ratio: { column: 'bytes', baseline: rows[0]?.name ?? '', better: 'lower' },
    rows,
  }
}
