/** Slices of a load on one side after the other, and what they cost. */
import { median } from '../volume/samples.ts'
import { bulkLoad, runLoad, type Script } from './load.ts'
import type { Settings } from './settings.ts'
import { account, type Counters, difference, type Side } from './side.ts'
import { ask } from './sides.ts'

export interface SliceSums {
  readonly side: Side
  readonly rates: number[]
  readonly latenciesMs: number[]
  operations: number
  /** Of all slices together. */
  counters: Counters
}

const added = (a: Counters, b: Counters): Counters =>
  Object.fromEntries(Object.keys({ ...a, ...b }).map((name) => [name, (a[name] ?? 0) + (b[name] ?? 0)]))

const sumsOf = (sides: readonly Side[]): SliceSums[] =>
  sides.map((side) => ({ side, rates: [], latenciesMs: [], operations: 0, counters: {} }))

export const medianRate = ({ rates }: SliceSums): number => median(rates)

/** Microseconds on a core, of whatever is behind `name`, for each operation. */
export const perOperation = ({ counters, operations }: SliceSums, name: string): number =>
  (counters[name] ?? Number.NaN) / operations

export const processorNames = ({ counters }: SliceSums): string[] =>
  Object.keys(counters).filter((name) => name.endsWith(' us'))

/** Side after side in each round, so that what else the machine does falls on all of them. */
export async function runSlices(
  sides: readonly Side[],
  settings: Settings,
  script: Script,
  clients: number,
): Promise<SliceSums[]> {
  const sums = sumsOf(sides)
  for (let round = 1; round <= settings.rounds; round++) {
    for (const sum of sums) {
      const before = await account(sum.side)
      const { tps, latencyMs, transactions, runUs } = await runLoad(sum.side.reach, script, clients, settings.seconds)
      const cost = { ...difference(before, await account(sum.side)), 'pgbench us': runUs }
      settings.log(`${script} ${clients} clients, round ${round}, ${sum.side.name}: ${Math.round(tps)} tps`)
      sum.rates.push(tps)
      sum.latenciesMs.push(latencyMs)
      sum.operations += transactions
      sum.counters = added(sum.counters, cost)
    }
  }
  return sums
}

/** Rows of `pgbench_accounts` a second, from the first statement to the last primary key. */
export async function runBulkLoads(sides: readonly Side[], settings: Settings): Promise<SliceSums[]> {
  const sums = sumsOf(sides)
  const rows = settings.bulkScale * 100_000
  for (let round = 1; round <= settings.rounds; round++) {
    for (const sum of sums) {
      const before = await account(sum.side)
      const { seconds, runUs } = await bulkLoad(sum.side.reach, settings.bulkScale)
      const cost = { ...difference(before, await account(sum.side)), 'pgbench us': runUs }
      settings.log(`bulk load, round ${round}, ${sum.side.name}: ${seconds.toFixed(1)} s`)
      sum.rates.push(rows / seconds)
      sum.operations += rows
      sum.counters = added(sum.counters, cost)
    }
  }
  return sums
}

/** By the index, since a scan of a large table leaves the buffers alone: what is measured is not how they fill. */
const FILL_BUFFERS = `SET enable_seqscan = off; SET enable_bitmapscan = off; SET max_parallel_workers_per_gather = 0;
  SELECT sum(abalance) FROM pgbench_accounts WHERE aid > 0`

/** The tables that the load works on, in the buffers, with nothing left to write from their making. */
export async function prepare(sides: readonly Side[], settings: Settings): Promise<void> {
  for (const { name, reach } of sides) {
    const { seconds } = await bulkLoad(reach, settings.scale)
    await ask(reach, 'CHECKPOINT')
    await ask(reach, FILL_BUFFERS)
    settings.log(`scale ${settings.scale} on ${name}: ${seconds.toFixed(1)} s`)
  }
}
