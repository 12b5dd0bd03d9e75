/** What branch, pin and opening cost, for volumes of very different sizes. */
import { blockNumber, type VolumeId } from '../../src/protocol/lsn.ts'
import type { BenchTable } from '../table.ts'
import type { BenchFleet } from './bench-fleet.ts'
import { median } from './samples.ts'
import type { Settings } from './settings.ts'
import { RANDOM } from './streaming.ts'
import { BLOCK_BYTES } from './sync-load.ts'

const GIB = 2 ** 30
const BLOCKS_WRITTEN = 256
const TIMES = 15

const COLUMNS = [
  { name: 'branch', unit: 'us' },
  { name: 'pin', unit: 'us' },
  { name: 'open for reading', unit: 'us' },
  { name: 'open and read', unit: 'us' },
  { name: 'open for writing', unit: 'us' },
  { name: 'groups', unit: 'of 10 GiB' },
]

/** A volume with a few blocks, spread over so many bytes. */
async function sparse(fleet: BenchFleet, bytes: number): Promise<VolumeId> {
  const id = await fleet.volumes.create()
  const writer = await fleet.volumes.open(id)
  const blocks = bytes / BLOCK_BYTES
  for (let i = 0; i < BLOCKS_WRITTEN; i++) {
    const block = blockNumber(Math.floor((i / (BLOCKS_WRITTEN - 1)) * (blocks - 1)))
    await writer.write([{ block, bytes: RANDOM.subarray(i * BLOCK_BYTES, (i + 1) * BLOCK_BYTES) }])
  }
  await writer.sync()
  return id
}

async function timed(into: number[], action: () => Promise<unknown>): Promise<void> {
  const from = performance.now()
  await action()
  into.push((performance.now() - from) * 1000)
}

async function measure({ volumes }: BenchFleet, id: VolumeId, times: readonly number[][], name: string): Promise<void> {
  const [branch = [], pin = [], view = [], viewRead = [], open = []] = times
  let made: VolumeId | undefined
  await timed(branch, async () => {
    made = await volumes.branch(id)
  })
  await timed(pin, () => volumes.pin(id, name))
  await volumes.unpin(id, name)
  await timed(view, async () => (await volumes.view(id)).close())
  await timed(viewRead, async () => {
    const opened = await volumes.view(id)
    await opened.read(blockNumber(0))
    await opened.close()
  })
  await timed(open, () => volumes.open(id))
  if (made !== undefined) await volumes.delete(made)
}

/** @param full a volume with a GiB of blocks in it */
export async function constantCost(
  { log }: Settings,
  fleet: BenchFleet,
  full: VolumeId | undefined,
): Promise<BenchTable[]> {
  log('branch, pin, open')
  const small = '1 GiB, sparse'
  const volumes: [string, VolumeId][] = [
    [small, await sparse(fleet, GIB)],
    ['64 GiB, sparse', await sparse(fleet, 64 * GIB)],
  ]
  if (full !== undefined) volumes.push(['streamed into before, every block', full])
  const times = new Map(volumes.map(([name]) => [name, Array.from({ length: 5 }, () => [] as number[])]))
  for (let i = 0; i < TIMES; i++) {
    for (const [name, id] of volumes) await measure(fleet, id, times.get(name) ?? [], `pin-${i}`)
  }
  const groups = new Map<string, number>()
  for (const [name, id] of volumes) groups.set(name, (await fleet.volumes.get(id)).groups.size)
  return [
    {
      title: 'branch, pin and open, by size of the volume',
      compared: 'volumes of different sizes with each other',
      settings: { times: TIMES, blocksWritten: BLOCKS_WRITTEN, registry: 'SQLite, synchronous=FULL' },
      columns: COLUMNS,
      ratio: { column: 'branch', baseline: small, better: 'lower' },
      rows: volumes.map(([name]) => ({
        name,
        values: [...(times.get(name) ?? []).map((each) => median(each)), groups.get(name) ?? null],
      })),
      notes: ['Opening for writing asks every group at once; the others do not look at groups at all.'],
    },
  ]
}
