/** PostgreSQL on the six-copy volume against the same binaries on ext4, in memory, and with two synchronous standbys. */
import { rmSync } from 'node:fs'
import { whyNoMount } from '../test/fuse-mounts.ts'
import { life } from './pgbench/life.ts'
import { findPgbench } from './pgbench/load.ts'
import { type Settings, settingsOf } from './pgbench/settings.ts'
import { withSides } from './pgbench/sides.ts'
import { prepare, runBulkLoads, runSlices } from './pgbench/slices.ts'
import { rateTable, writesTable } from './pgbench/tables.ts'
import type { Bench, BenchTable } from './table.ts'

/** As between the zones of a region: one way. */
const ZONE_DELAY_US = 500
/** With delays: enough to see what they cost to few and to many. */
const DELAYED_CLIENTS = [8, 32]

async function nearby(settings: Settings): Promise<BenchTable[]> {
  const { parts, sides: names, clients } = settings
  const wants = (part: Settings['parts'][number]) => parts.includes(part)
  return withSides(names, settings, 0, async (sides) => {
    const tables: BenchTable[] = []
    if (wants('bulk')) {
      const title = `bulk load (pgbench -i), scale ${settings.bulkScale}`
      const sums = await runBulkLoads(sides, settings)
      tables.push(rateTable(title, { name: 'rows', unit: '1/s' }, sums, settings))
      tables.push(writesTable(title, 'row', sums, settings))
    }
    if (!wants('tpcb') && !wants('select')) return tables
    await prepare(sides, settings)
    for (const count of wants('select') ? clients : []) {
      const sums = await runSlices(sides, settings, 'select', count)
      tables.push(rateTable(`select-only, ${count} clients`, { name: 'tps', unit: '1/s' }, sums, settings))
    }
    for (const count of wants('tpcb') ? clients : []) {
      const sums = await runSlices(sides, settings, 'tpc-b', count)
      tables.push(rateTable(`TPC-B, ${count} clients`, { name: 'tps', unit: '1/s' }, sums, settings))
      tables.push(writesTable(`TPC-B, ${count} clients`, 'txn', sums, settings))
    }
    return tables
  })
}

async function farApart(settings: Settings): Promise<BenchTable[]> {
  const names = settings.sides.filter((name) => name === 'standbys' || name === 'volume')
  return withSides(names, settings, ZONE_DELAY_US, async (sides) => {
    const tables: BenchTable[] = []
    await prepare(sides, settings)
    for (const count of DELAYED_CLIENTS.filter((each) => settings.clients.includes(each))) {
      const title = `TPC-B, ${count} clients, ${ZONE_DELAY_US} us more for each message between zones`
      const sums = await runSlices(sides, settings, 'tpc-b', count)
      tables.push(rateTable(title, { name: 'tps', unit: '1/s' }, sums, settings))
    }
    return tables
  })
}

export const run: Bench = async ({ args, log }) => {
  const why = whyNoMount()
  if (why !== undefined) throw new Error(why)
  findPgbench()
  const settings = settingsOf(args, log)
  try {
    const tables: BenchTable[] = []
    if (settings.parts.some((part) => part !== 'delay' && part !== 'life')) tables.push(...(await nearby(settings)))
    if (settings.parts.includes('delay')) tables.push(...(await farApart(settings)))
    if (settings.parts.includes('life')) tables.push(await life(settings))
    return tables
  } finally {
    rmSync(settings.folder, { recursive: true, force: true })
    if (settings.memoryFolder !== undefined) rmSync(settings.memoryFolder, { recursive: true, force: true })
  }
}
