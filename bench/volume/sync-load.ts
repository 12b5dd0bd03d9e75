/** Clients that change a little of a block and wait until it is durable, again and again. */
import { randomFillSync } from 'node:crypto'
import { blockNumber } from '../../src/protocol/lsn.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import type { BenchFleet } from './bench-fleet.ts'
import { since } from './processor-time.ts'
import { median, quantile, type Round } from './samples.ts'

export const BLOCK_BYTES = 8192
export const CHANGED_BYTES = 500
/** Few enough that folding sixteen deltas into an image happens all the time, as in any long run. */
export const BLOCKS_PER_CLIENT = 16

const RANDOM = randomFillSync(new Uint8Array(1 << 20))

/** Changes `parts` places of a block, `CHANGED_BYTES` bytes together, to random bytes. */
export function change(block: Uint8Array, parts = 1): void {
  const length = Math.floor(CHANGED_BYTES / parts)
  for (let part = 0; part < parts; part++) {
    const from = Math.floor(Math.random() * (RANDOM.length - length))
    const stripe = Math.floor(block.length / parts)
    const at = part * stripe + Math.floor(Math.random() * (stripe - length))
    block.set(RANDOM.subarray(from, from + length), at)
  }
}

/** What each volume's clients wrote last: the next round goes on from there. */
const written = new WeakMap<VolumeWriter, Uint8Array[][]>()

function blocksOf(writer: VolumeWriter, number: number): Uint8Array[] {
  const all = written.get(writer) ?? []
  written.set(writer, all)
  all[number] ??= Array.from({ length: BLOCKS_PER_CLIENT }, () => new Uint8Array(BLOCK_BYTES))
  return all[number]
}

async function client(writer: VolumeWriter, number: number, until: number, times: number[]): Promise<void> {
  const blocks = blocksOf(writer, number)
  for (let i = 0; performance.now() < until; i++) {
    const bytes = blocks[i % BLOCKS_PER_CLIENT] as Uint8Array
    change(bytes)
    const block = blockNumber(number * BLOCKS_PER_CLIENT + (i % BLOCKS_PER_CLIENT))
    const from = performance.now()
    await writer.write([{ block, bytes }])
    await writer.sync()
    times.push((performance.now() - from) * 1000)
  }
}

/** One round of so many clients for so long. Columns are per sync. */
export async function syncLoad(fleet: BenchFleet, writer: VolumeWriter, clients: number, ms: number): Promise<Round> {
  const times: number[] = []
  const { stats } = writer.replication
  const sentBefore = stats.bytesSent
  const framesBefore = stats.framesSent
  const hosts = fleet.hostTime()
  const cpu = process.cpuUsage()
  const from = performance.now()
  await Promise.all(Array.from({ length: clients }, (_, i) => client(writer, i, from + ms, times)))
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const spent = since(hosts, fleet.hostTime())
  const count = times.length
  return {
    p50: median(times),
    p99: quantile(times, 0.99),
    rate: count / seconds,
    driver: (user + system) / count,
    nodes: spent.runUs / count,
    waiting: spent.waitUs / count,
    switches: spent.switches / count,
    shipped: (stats.bytesSent - sentBefore) / 6 / count,
    frames: (stats.framesSent - framesBefore) / count,
  }
}
