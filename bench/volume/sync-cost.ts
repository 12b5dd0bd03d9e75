/** One client and eight that sync each change: latency, rate, and where the time goes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import type { BenchTable } from '../table.ts'
import { BenchFleet } from './bench-fleet.ts'
import { rawAppends } from './raw-loop.ts'
import { medianRound, pick, type Round } from './samples.ts'
import type { Settings } from './settings.ts'
import { BLOCK_BYTES, BLOCKS_PER_CLIENT, CHANGED_BYTES, syncLoad } from './sync-load.ts'
import { countSystemCalls } from './system-calls.ts'
import { WireFloor } from './wire-floor.ts'

const RAW = 'append + fdatasync, changed bytes'
const RAW_BLOCK = 'append + fdatasync, whole block'
const WIRE = 'wire alone: 4 of 6 answers, no disk'
const FLOOR = 'wire and a durable page on each node'
const MEMORY = 'volume, nodes in memory'
const VOLUME = 'volume, six logs on the disk'
/** What a sync sends to a node, about. */
const MESSAGE_BYTES = 650
const WARM_UP_MS = 1500
const ROUND_MS = 1200

const COLUMNS = [
  { name: 'p50', unit: 'us' },
  { name: 'p99', unit: 'us' },
  { name: 'rate', unit: '1/s' },
  { name: 'driver', unit: 'CPU us/sync' },
  { name: 'nodes', unit: 'CPU us/sync' },
  { name: 'waiting', unit: 'us/sync' },
  { name: 'switches', unit: '1/sync' },
  { name: 'frames', unit: '1/sync' },
  { name: 'shipped', unit: 'bytes/sync' },
]

interface Bed {
  readonly fleet: BenchFleet
  readonly writer: VolumeWriter
}

async function makeBed(folder: string): Promise<Bed> {
  const fleet = await BenchFleet.start(folder)
  return { fleet, writer: await fleet.volumes.open(await fleet.volumes.create()) }
}

export async function syncCost(settings: Settings): Promise<BenchTable[]> {
  const { folder, memoryFolder, log } = settings
  const disk = await makeBed(join(folder, 'sync'))
  const memory = memoryFolder === undefined ? undefined : await makeBed(join(memoryFolder, 'sync'))
  const wire = memoryFolder === undefined ? undefined : await WireFloor.start(join(memoryFolder, 'wire'), MESSAGE_BYTES)
  const floor = await WireFloor.start(join(folder, 'wire'), MESSAGE_BYTES)
  try {
    const tables: BenchTable[] = []
    for (const clients of [1, 8]) {
      log(`sync, ${clients} clients`)
      const rows = await measure(settings, clients, disk, memory, { wire, floor })
      tables.push(table(settings, clients, rows))
      if (clients === 1) tables.push(split(settings, rows))
    }
    log('sync, system calls')
    tables.push(...(await countSystemCalls(disk.fleet, disk.writer)))
    return tables
  } finally {
    await wire?.stop()
    await floor.stop()
    await memory?.fleet.stop()
    await disk.fleet.stop()
  }
}

async function measure(
  { folder, rounds, part }: Settings,
  clients: number,
  disk: Bed,
  memory: Bed | undefined,
  { wire, floor }: { readonly wire: WireFloor | undefined; readonly floor: WireFloor },
): Promise<Map<string, Round>> {
  const changed = new Uint8Array(CHANGED_BYTES).fill(1)
  const block = new Uint8Array(BLOCK_BYTES).fill(1)
  const ms = ROUND_MS * Math.sqrt(part)
  const measured = new Map<string, Round[]>([RAW, RAW_BLOCK, WIRE, FLOOR, MEMORY, VOLUME].map((name) => [name, []]))
  await syncLoad(disk.fleet, disk.writer, clients, WARM_UP_MS)
  if (memory !== undefined) await syncLoad(memory.fleet, memory.writer, clients, WARM_UP_MS)
  for (let i = 0; i < rounds; i++) {
    measured.get(RAW)?.push(rawAppends(folder, changed, ms / 2))
    measured.get(VOLUME)?.push(await syncLoad(disk.fleet, disk.writer, clients, ms))
    measured.get(RAW_BLOCK)?.push(rawAppends(folder, block, ms / 4))
    if (memory !== undefined) measured.get(MEMORY)?.push(await syncLoad(memory.fleet, memory.writer, clients, ms / 2))
    measured.get(FLOOR)?.push(await floor.round(clients, ms / 2))
    if (wire !== undefined) measured.get(WIRE)?.push(await wire.round(clients, ms / 2))
  }
  return new Map([...measured].map(([name, each]) => [name, medianRound(each)]))
}

const shared = ({ rounds }: Settings) => ({
  rounds,
  blockBytes: BLOCK_BYTES,
  changedBytes: CHANGED_BYTES,
  blocksPerClient: BLOCKS_PER_CLIENT,
  processes: 3,
  nodesEach: 2,
  durable: '4 of 6, O_DIRECT|O_DSYNC each',
})

function table(settings: Settings, clients: number, rows: ReadonlyMap<string, Round>): BenchTable {
  const one = clients === 1
  return {
    title: `${clients} client${one ? '' : 's'}, each changes ${CHANGED_BYTES} bytes of a block and syncs`,
    compared: 'the volume with one process that appends the same bytes to a file and calls fdatasync, on the same disk',
    settings: { ...shared(settings), clients },
    columns: COLUMNS,
    ratio: { column: one ? 'p50' : 'rate', baseline: RAW, better: one ? 'lower' : 'higher' },
    rows: [...rows].map(([name, round]) => ({ name, values: pick(round, COLUMNS) })),
    notes: [
      'waiting: threads of the nodes that were ready and had no core; driver: the raw loop itself in its rows',
      'shipped: to one of six nodes',
    ],
  }
}

/** Differences between the variants, which each leave one thing out. */
function split(settings: Settings, rows: ReadonlyMap<string, Round>): BenchTable {
  const p50 = (name: string) => rows.get(name)?.p50 ?? Number.NaN
  const parts: [string, number][] = [
    ['network: wire alone', p50(WIRE)],
    ['disk: a page on each node, beyond the wire', p50(FLOOR) - p50(WIRE)],
    ['driver and nodes: beyond both', p50(VOLUME) - p50(FLOOR)],
    ['the same, nodes in memory', p50(MEMORY) - p50(WIRE)],
    ['all', p50(VOLUME)],
  ]
  return {
    title: 'where the latency of a sync goes, one client',
    compared: 'medians of the variants above: each leaves one thing out',
    settings: shared(settings),
    columns: [{ name: 'time', unit: 'us' }],
    ratio: { column: 'time', baseline: 'all', better: 'lower' },
    rows: parts.map(([name, time]) => ({ name, values: [Number.isNaN(time) ? null : time] })),
    notes: [existsSync('/dev/shm') ? 'in memory: tmpfs' : 'no tmpfs here: only the whole was measured'],
  }
}
