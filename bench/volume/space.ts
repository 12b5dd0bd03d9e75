/** Bytes: shipped per byte changed, on disk per byte stored, in memory per GiB. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { blockNumber } from '../../src/protocol/lsn.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import type { BenchTable } from '../table.ts'
import type { BenchFleet } from './bench-fleet.ts'
import type { Past } from './cold-reads.ts'
import type { Settings } from './settings.ts'
import { RANDOM } from './streaming.ts'
import { BLOCK_BYTES, CHANGED_BYTES, change } from './sync-load.ts'

const SYNCS = 300
const SETTLE_MS_MAX = 20_000

/** Bytes to one node for each byte that was changed, with a sync after each change, so that nothing is shared. */
async function shipped(writer: VolumeWriter, changedBytes: number, next: (block: Uint8Array, i: number) => void) {
  const block = blockNumber(1_000_000)
  const bytes = new Uint8Array(BLOCK_BYTES)
  bytes.set(RANDOM.subarray(0, BLOCK_BYTES))
  await writer.write([{ block, bytes }])
  await writer.sync()
  const before = writer.replication.stats.bytesSent
  const resends = writer.replication.stats.resends
  for (let i = 0; i < SYNCS; i++) {
    next(bytes, i)
    await writer.write([{ block, bytes }])
    await writer.sync()
  }
  const { stats } = writer.replication
  if (stats.resends > resends) return Number.NaN
  return (stats.bytesSent - before) / 6 / SYNCS / changedBytes
}

export async function bytesShipped({ log }: Settings, fleet: BenchFleet): Promise<BenchTable[]> {
  log('bytes shipped')
  const writer = await fleet.volumes.open(await fleet.volumes.create())
  const whole = (block: Uint8Array, i: number): void =>
    block.set(RANDOM.subarray((1 + (i % 1000)) * BLOCK_BYTES, (2 + (i % 1000)) * BLOCK_BYTES))
  const rows: [string, number][] = [
    ['nothing added', 1],
    [`${CHANGED_BYTES} bytes in one place`, await shipped(writer, CHANGED_BYTES, (block) => change(block))],
    [`${CHANGED_BYTES} bytes in 10 places`, await shipped(writer, CHANGED_BYTES, (block) => change(block, 10))],
    [`${CHANGED_BYTES} bytes in 50 places`, await shipped(writer, CHANGED_BYTES, (block) => change(block, 50))],
    ['whole block', await shipped(writer, BLOCK_BYTES, whole)],
  ]
  return [
    {
      title: 'bytes shipped to one node for each byte changed, one change a sync',
      compared: 'APPEND messages with the bytes that were changed',
      settings: { syncs: SYNCS, blockBytes: BLOCK_BYTES, granuleBytes: 16 },
      columns: [{ name: 'shipped', unit: 'bytes/byte' }],
      ratio: { column: 'shipped', baseline: 'nothing added', better: 'lower' },
      rows: rows.map(([name, value]) => ({ name, values: [Number.isNaN(value) ? null : value] })),
      notes: ['Six nodes get the same bytes. Header of the message 33 bytes, of the record 60, of a range 4.'],
    },
  ]
}

/** Sizes of the files below a folder whose path says that they are layers of a volume, or log. */
function fileBytes(folders: readonly string[], isOne: (path: string) => boolean): number {
  let bytes = 0
  for (const folder of folders) {
    for (const path of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!isOne(path)) continue
      // A file may be merged away meanwhile.
      bytes += statSync(join(folder, path), { throwIfNoEntry: false })?.size ?? 0
    }
  }
  return bytes
}

const FULL_COPIES = 3
const NODES = 6

function layerBytes(fleet: BenchFleet, writer: VolumeWriter): number {
  const name = `vol-${writer.volume.volume.toString(16).padStart(8, '0')}`
  return fileBytes(fleet.nodeFolders, (path) => path.includes(name) && path.includes('layer-')) / FULL_COPIES
}

const USER = 'user data, one copy'

/** @param streamed a volume with `blocks` blocks, each written once */
export async function bytesStored(
  { log }: Settings,
  fleet: BenchFleet,
  streamed: { readonly writer: VolumeWriter; readonly blocks: number } | undefined,
  past: Past | undefined,
): Promise<BenchTable[]> {
  log('bytes stored')
  const rows: { name: string; bytes: number; user: number }[] = []
  if (streamed !== undefined) {
    const user = streamed.blocks * BLOCK_BYTES
    rows.push({
      name: 'layers of a full copy, each block written once',
      bytes: layerBytes(fleet, streamed.writer),
      user,
    })
  }
  if (past !== undefined) {
    const user = past.userBytes
    const kept = `the same, with a past of ${Math.round(past.changedBytes / 1e6)} MB of changes kept`
    rows.push({ name: kept, bytes: layerBytes(fleet, past.writer), user })
    const id = past.writer.volume.volume
    await fleet.volumes.collect(id, past.writer.vdl)
    await fleet.settle(SETTLE_MS_MAX)
    rows.push({ name: 'the same, past collected', bytes: layerBytes(fleet, past.writer), user })
  }
  const log_ = fileBytes(fleet.nodeFolders, (path) => path.endsWith('.pages')) / NODES
  const status = await fleet.status()
  const memtables = status.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0) / FULL_COPIES
  return [
    {
      title: 'bytes on disk for each byte stored, settled',
      compared: 'files of one full copy with the blocks that the volume shows',
      settings: { copies: '3 full, 3 tail', layerBytes: 64 << 20 },
      columns: [
        { name: 'stored', unit: 'bytes/byte' },
        { name: 'files', unit: 'MB' },
      ],
      ratio: { column: 'stored', baseline: USER, better: 'lower' },
      rows: [
        { name: USER, values: [1, null] },
        ...rows.map(({ name, bytes, user }) => ({ name, values: [bytes / user, bytes / 1e6] })),
      ],
      notes: ['Records that are not in layers yet (up to 32 MiB for each segment) are in the hot log only.'],
    },
    {
      title: 'what does not grow with the volume',
      compared: 'memory and log with each other',
      settings: { volumesOnTheFleet: (await fleet.volumes.list()).length },
      columns: [{ name: 'size', unit: 'MB' }],
      ratio: { column: 'size', baseline: 'hot log of a node, spares too', better: 'lower' },
      rows: [
        { name: 'hot log of a node, spares too', values: [log_ / 1e6] },
        { name: 'memtables of a full copy', values: [memtables / 1e6] },
        { name: 'resident, host with two nodes', values: [fleet.hostMemory() / 3 / 1e6] },
      ],
    },
  ]
}
