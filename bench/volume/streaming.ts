/** Streaming full blocks of random bytes through one writer. Leaves the volume behind for the reads. */
import { randomFillSync } from 'node:crypto'
import { blockNumber } from '../../src/protocol/lsn.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import type { BenchTable } from '../table.ts'
import type { BenchFleet } from './bench-fleet.ts'
import { since } from './processor-time.ts'
import { rawAppends } from './raw-loop.ts'
import { medianRound, pick, type Round } from './samples.ts'
import type { Settings } from './settings.ts'
import { BLOCK_BYTES } from './sync-load.ts'

/** What `writer.write` is given at once: a large write of a file system. */
const BLOCKS_PER_WRITE = 16
const RAW_CHUNK_BYTES = 1 << 20
/** Layers are still being written when the last block is durable. */
const SETTLE_MS_MAX = 8000
/** Incompressible, and made before anything is measured. */
export const RANDOM = randomFillSync(new Uint8Array(32 << 20))

const COLUMNS = [
  { name: 'throughput', unit: 'MB/s' },
  { name: 'driver', unit: 'CPU us/block' },
  { name: 'nodes', unit: 'CPU us/block' },
  { name: 'waiting', unit: 'us/block' },
  { name: 'held', unit: 'MB' },
  { name: 'driver memory', unit: 'MB' },
  { name: 'nodes memory', unit: 'MB' },
]

/** Writes blocks [from, from + count) and waits until all are durable. */
async function stream(fleet: BenchFleet, writer: VolumeWriter, from: number, count: number, each: number) {
  const hosts = fleet.hostTime()
  const cpu = process.cpuUsage()
  const begun = performance.now()
  let held = 0
  let pool = 0
  for (let at = from; at < from + count; at += each) {
    const changes = Array.from({ length: Math.min(each, from + count - at) }, (_, i) => {
      if (pool + BLOCK_BYTES > RANDOM.length) pool = 0
      const bytes = RANDOM.subarray(pool, pool + BLOCK_BYTES)
      pool += BLOCK_BYTES
      return { block: blockNumber(at + i), bytes }
    })
    await writer.write(changes)
    held = Math.max(held, writer.memoryBytes)
    // A program that streams reads from somewhere: the event loop turns.
    if (((at - from) / each) % 8 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await writer.sync()
  const seconds = (performance.now() - begun) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const spent = since(hosts, fleet.hostTime())
  return {
    throughput: (count * BLOCK_BYTES) / 1e6 / seconds,
    driver: (user + system) / count,
    nodes: spent.runUs / count,
    waiting: spent.waitUs / count,
    held: held / 1e6,
    'driver memory': process.memoryUsage.rss() / 1e6,
    'nodes memory': fleet.hostMemory() / 1e6,
  }
}

const RAW = 'append + fdatasync, 1 MiB each'
const RAW_SIX = 'the same, six times the bytes'
const VOLUME = `volume, ${BLOCKS_PER_WRITE} blocks a write`
const SINGLE = 'volume, 1 block a write'

/** @param blocks how many to write in all; they are 0 to `blocks` afterwards */
export async function streaming(
  { folder, rounds, part, log }: Settings,
  fleet: BenchFleet,
  writer: VolumeWriter,
  blocks: number,
): Promise<BenchTable[]> {
  const chunk = RANDOM.subarray(0, RAW_CHUNK_BYTES)
  const turns = Math.min(rounds, 3)
  const each = Math.ceil(blocks / turns)
  const measured = new Map<string, Round[]>([RAW, RAW_SIX, SINGLE, VOLUME].map((name) => [name, []]))
  for (let turn = 0; turn < turns; turn++) {
    log(`stream, round ${turn + 1} of ${turns}`)
    // The raw loop has the disk to itself.
    await fleet.settle(SETTLE_MS_MAX)
    const raw = rawAppends(folder, chunk, 500 * part)
    measured.get(RAW)?.push({ throughput: raw.throughput ?? 0 })
    const count = Math.min(each, blocks - turn * each)
    const single = Math.floor(count / 4)
    measured.get(SINGLE)?.push(await stream(fleet, writer, turn * each, single, 1))
    measured.get(VOLUME)?.push(await stream(fleet, writer, turn * each + single, count - single, BLOCKS_PER_WRITE))
    await fleet.settle(SETTLE_MS_MAX)
    const six = rawAppends(folder, chunk, 500 * part)
    measured.get(RAW_SIX)?.push({ throughput: (six.throughput ?? 0) / 6 })
  }
  return [
    {
      title: 'streaming full blocks of random bytes, one writer',
      compared: 'user data durable on 4 of 6 with one process that appends and syncs them to one file',
      settings: {
        rounds: turns,
        blocksEach: each,
        blockBytes: BLOCK_BYTES,
        unackedBytesMax: writer.options.unackedBytesMax,
        frameBytes: writer.options.frameBytes,
        cacheBytes: writer.options.cacheBytes,
        driver: 'one thread, that of the benchmark',
      },
      columns: COLUMNS,
      ratio: { column: 'throughput', baseline: RAW, better: 'higher' },
      rows: [...measured].map(([name, each_]) => ({ name, values: pick(medianRound(each_), COLUMNS) })),
      notes: [
        'held: cache and unacknowledged frames of the writer, at the most; driver memory includes the benchmark itself',
        'background work of the nodes (layers of three full copies) runs at the same time and is in their CPU',
      ],
    },
  ]
}
