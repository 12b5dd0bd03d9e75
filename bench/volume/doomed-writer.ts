/**
 * A process to be killed: opens a volume and writes as much as it can, small synced changes and streamed blocks, and
 * says after each sync what is durable.
 *
 *   node doomed-writer.ts REGISTRY VOLUME
 */
import { writeSync } from 'node:fs'
import { blockNumber, volumeId } from '../../src/protocol/lsn.ts'
import { SqliteRegistry } from '../../src/volume/sqlite-registry.ts'
import { openFleet } from '../../src/volume/tcp-fleet.ts'
import { RANDOM } from './streaming.ts'
import { BLOCK_BYTES, change } from './sync-load.ts'

const CLIENTS = 8
const STREAM_FROM = 4096
const STREAM_BLOCKS = 32_768

const [registry = '', volume = ''] = process.argv.slice(2)
const fleet = openFleet(SqliteRegistry.open(registry))
const writer = await fleet.volumes.open(volumeId(Number(volume)))

async function client(number: number): Promise<never> {
  const bytes = new Uint8Array(BLOCK_BYTES)
  for (let i = 0; ; i++) {
    change(bytes)
    await writer.write([{ block: blockNumber(number * 16 + (i % 16)), bytes }])
    const durable = await writer.sync()
    writeSync(1, `${durable}\n`)
  }
}

async function streamer(): Promise<never> {
  for (let i = 0; ; i++) {
    const from = (i % 4096) * BLOCK_BYTES
    await writer.write([
      { block: blockNumber(STREAM_FROM + (i % STREAM_BLOCKS)), bytes: RANDOM.subarray(from, from + BLOCK_BYTES) },
    ])
    if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

await Promise.all([streamer(), ...Array.from({ length: CLIENTS }, (_, i) => client(i))])
