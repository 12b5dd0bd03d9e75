/** The storage volume, 4 of 6 copies durable, against a raw loop of append and fdatasync on the same disk. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, BenchTable } from './table.ts'
import { BenchFleet } from './volume/bench-fleet.ts'
import { coldReads, type Past, pastReads } from './volume/cold-reads.ts'
import { constantCost } from './volume/constant-cost.ts'
import { recovery } from './volume/recovery.ts'
import { type Settings, settingsOf } from './volume/settings.ts'
import { bytesShipped, bytesStored } from './volume/space.ts'
import { streaming } from './volume/streaming.ts'
import { syncCost } from './volume/sync-cost.ts'
import { BLOCK_BYTES } from './volume/sync-load.ts'

/** What is streamed, read back and measured on disk. */
const STREAMED_BYTES = 2 ** 30

/** Everything but single syncs happens on one fleet, part after part, as a fleet lives. */
async function onOneFleet(settings: Settings): Promise<BenchTable[]> {
  const { parts, part } = settings
  const wants = (...names: Settings['parts']) => names.some((name) => parts.includes(name))
  const tables: BenchTable[] = []
  const fleet = await BenchFleet.start(join(settings.folder, 'fleet'))
  try {
    let streamed: Parameters<typeof bytesStored>[2]
    let past: Past | undefined
    if (wants('stream', 'reads')) {
      const blocks = Math.round((STREAMED_BYTES / BLOCK_BYTES) * part)
      streamed = { writer: await fleet.volumes.open(await fleet.volumes.create()), blocks }
      tables.push(...(await streaming(settings, fleet, streamed.writer, blocks)))
      if (wants('reads')) tables.push(...(await coldReads(settings, fleet, streamed.writer, blocks)))
    }
    if (wants('past')) {
      const outcome = await pastReads(settings, fleet)
      tables.push(...outcome.tables)
      past = outcome.past
    }
    if (wants('constant')) tables.push(...(await constantCost(settings, fleet, streamed?.writer.volume.volume)))
    if (wants('recovery')) tables.push(...(await recovery(settings, fleet)))
    if (wants('space')) {
      tables.push(...(await bytesShipped(settings, fleet)))
      tables.push(...(await bytesStored(settings, fleet, streamed, past)))
    }
    return tables
  } finally {
    await fleet.stop()
  }
}

export const run: Bench = async ({ args, log }) => {
  const settings = settingsOf(args, log)
  try {
    const tables: BenchTable[] = []
    if (settings.parts.includes('sync')) tables.push(...(await syncCost(settings)))
    if (settings.parts.some((part) => part !== 'sync')) tables.push(...(await onOneFleet(settings)))
    return tables
  } finally {
    rmSync(settings.folder, { recursive: true, force: true })
    if (settings.memoryFolder !== undefined) rmSync(settings.memoryFolder, { recursive: true, force: true })
  }
}
