/** Reads of blocks that the driver does not hold: at the head, and far back. */
import { type BlockNumber, blockNumber, type Lsn, lsn } from '../../src/protocol/lsn.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import type { BenchTable } from '../table.ts'
import type { BenchFleet } from './bench-fleet.ts'
import { since } from './processor-time.ts'
import { RawFile } from './raw-loop.ts'
import { median, medianRound, pick, quantile, type Round } from './samples.ts'
import type { Settings } from './settings.ts'
import { RANDOM } from './streaming.ts'
import { BLOCK_BYTES } from './sync-load.ts'

const READERS = 32
const ROUND_MS = 1500
/** Background work that streaming left is let finish first, as far as it does in this time. */
const SETTLE_MS_MAX = 20_000

const COLUMNS = [
  { name: 'rate', unit: '1/s' },
  { name: 'p50', unit: 'us' },
  { name: 'p99', unit: 'us' },
  { name: 'driver', unit: 'CPU us/read' },
  { name: 'nodes', unit: 'CPU us/read' },
]

type Read = (block: BlockNumber) => Promise<Uint8Array>

async function readLoad(fleet: BenchFleet, read: Read, blocks: number, readers: number, ms: number): Promise<Round> {
  const times: number[] = []
  const hosts = fleet.hostTime()
  const cpu = process.cpuUsage()
  const from = performance.now()
  const reader = async () => {
    for (let now = from; now < from + ms; ) {
      await read(blockNumber(Math.floor(Math.random() * blocks)))
      const then = performance.now()
      times.push((then - now) * 1000)
      now = then
    }
  }
  await Promise.all(Array.from({ length: readers }, reader))
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(cpu)
  const spent = since(hosts, fleet.hostTime())
  return {
    rate: times.length / seconds,
    p50: median(times),
    p99: quantile(times, 0.99),
    driver: (user + system) / times.length,
    nodes: spent.runUs / times.length,
  }
}

const RAW = 'pread of one file, one thread'
const ONE = 'volume, 1 reader'
const MANY = `volume, ${READERS} readers`
const VIEW = `view at the head, ${READERS} readers`

/** @param blocks of the volume that were written: 0 to `blocks` */
export async function coldReads(
  { folder, rounds, part, log }: Settings,
  fleet: BenchFleet,
  writer: VolumeWriter,
  blocks: number,
): Promise<BenchTable[]> {
  log('cold reads')
  const id = writer.volume.volume
  await writer.sync()
  const settled = await fleet.settle(SETTLE_MS_MAX)
  const cold = await fleet.volumes.open(id, { cacheBytes: BLOCK_BYTES * 16 })
  const view = await fleet.volumes.view(id)
  const raw = new RawFile(folder, blocks, BLOCK_BYTES, RANDOM)
  const ms = ROUND_MS * Math.sqrt(part)
  const measured = new Map<string, Round[]>([RAW, ONE, MANY, VIEW].map((name) => [name, []]))
  const viewed: Read = (block) => view.read(block)
  const written: Read = (block) => cold.read(block)
  try {
    await readLoad(fleet, written, blocks, READERS, ms)
    for (let i = 0; i < rounds; i++) {
      measured.get(RAW)?.push(raw.reads(ms / 4))
      measured.get(MANY)?.push(await readLoad(fleet, written, blocks, READERS, ms))
      measured.get(ONE)?.push(await readLoad(fleet, written, blocks, 1, ms / 3))
      measured.get(VIEW)?.push(await readLoad(fleet, viewed, blocks, READERS, ms / 2))
    }
  } finally {
    raw.close()
    await view.close()
  }
  return [
    {
      title: `random reads of cold blocks at the head, ${Math.round((blocks * BLOCK_BYTES) / 2 ** 20)} MiB of them`,
      compared: 'reads through the driver with pread of 8 KiB from one file of the same size',
      settings: { rounds, readers: READERS, cache: '16 blocks', pageCache: 'warm on both sides', settled },
      columns: COLUMNS,
      ratio: { column: 'rate', baseline: RAW, better: 'higher' },
      rows: [...measured].map(([name, each]) => ({ name, values: pick(medianRound(each), COLUMNS) })),
      notes: ['cold: not in the cache of the driver; layers lie in the page cache, so no disk is measured here'],
    },
  ]
}

const PAST_BLOCKS = 4096
const PAST_CHANGES = 64
const PAST_RECORDS = 1_000_000
const SMALL_BYTES = 32

/** Small changes of random blocks, so many records of them. */
async function changeMuch(writer: VolumeWriter, records: number, images: readonly Uint8Array[]): Promise<void> {
  for (let done = 0; done < records; done += PAST_CHANGES) {
    const first = Math.floor(Math.random() * PAST_BLOCKS)
    const changes = Array.from({ length: PAST_CHANGES }, (_, i) => {
      // Apart from each other, so that a mini-transaction never changes a block twice.
      const block = (first + i * (PAST_BLOCKS / PAST_CHANGES)) % PAST_BLOCKS
      const bytes = images[block] as Uint8Array
      const from = Math.floor(Math.random() * (RANDOM.length - SMALL_BYTES))
      bytes.set(RANDOM.subarray(from, from + SMALL_BYTES), Math.floor(Math.random() * (BLOCK_BYTES - SMALL_BYTES)))
      return { block: blockNumber(block), bytes }
    })
    await writer.write(changes)
    if ((done / PAST_CHANGES) % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await writer.sync()
}

export interface Past {
  readonly writer: VolumeWriter
  /** A copy of what the volume holds now. */
  readonly userBytes: number
  readonly changedBytes: number
}

const HEAD = 'at the head'
const BACK = 'so many records back'

/** A volume of a few thousand blocks with a long past, and reads of both its ends. */
export async function pastReads(
  { rounds, part, log }: Settings,
  fleet: BenchFleet,
): Promise<{ tables: BenchTable[]; past: Past }> {
  const records = Math.round(PAST_RECORDS * part)
  const writer = await fleet.volumes.open(await fleet.volumes.create(), { cacheBytes: 2 * PAST_BLOCKS * BLOCK_BYTES })
  const images = Array.from({ length: PAST_BLOCKS }, (_, i) =>
    RANDOM.slice((i % 4096) * BLOCK_BYTES, ((i % 4096) + 1) * BLOCK_BYTES),
  )
  for (const [i, bytes] of images.entries()) await writer.write([{ block: blockNumber(i), bytes }])
  // Some past below the point that is read, too.
  await changeMuch(writer, records / 10, images)
  const back: Lsn = lsn(await writer.sync())
  log(`past, ${records} records`)
  const begun = performance.now()
  await changeMuch(writer, records, images)
  const seconds = (performance.now() - begun) / 1000
  const settled = await fleet.settle(SETTLE_MS_MAX)
  const id = writer.volume.volume
  const head = await fleet.volumes.view(id)
  const old = await fleet.volumes.view(id, back)
  const measured = new Map<string, Round[]>([HEAD, BACK].map((name) => [name, []]))
  const ms = ROUND_MS * Math.sqrt(part)
  try {
    for (let i = 0; i < rounds; i++) {
      for (const [name, view] of [[HEAD, head] as const, [BACK, old] as const]) {
        measured.get(name)?.push(await readLoad(fleet, (block) => view.read(block), PAST_BLOCKS, READERS, ms / 2))
      }
    }
  } finally {
    await head.close()
    await old.close()
  }
  const table: BenchTable = {
    title: `reads at the head against reads ${records.toLocaleString('en-US')} records back`,
    compared: 'a view at the head with a view at an older LSN, the same blocks in random order',
    settings: {
      rounds,
      readers: READERS,
      blocks: PAST_BLOCKS,
      bytesChangedEach: SMALL_BYTES,
      recordsBack: records,
      recordsWrittenPerSecond: Math.round(records / seconds),
      pageCache: 'warm',
      settled,
    },
    columns: COLUMNS,
    ratio: { column: 'rate', baseline: HEAD, better: 'higher' },
    rows: [...measured].map(([name, each]) => ({ name, values: pick(medianRound(each), COLUMNS) })),
  }
  const changedBytes = records * 1.1 * SMALL_BYTES
  return { tables: [table], past: { writer, userBytes: PAST_BLOCKS * BLOCK_BYTES, changedBytes } }
}
