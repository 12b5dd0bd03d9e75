/** How long a volume cannot be written after its writer was killed in the middle of its work. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { blockNumber, type Lsn, lsn, type VolumeId } from '../../src/protocol/lsn.ts'
import type { BenchTable } from '../table.ts'
import type { BenchFleet } from './bench-fleet.ts'
import { median } from './samples.ts'
import type { Settings } from './settings.ts'
import { BLOCK_BYTES } from './sync-load.ts'

const PROGRAM = fileURLToPath(new URL('./doomed-writer.ts', import.meta.url))
const LOAD_MS = 1500
const TIMES = 7

const COLUMNS = [
  { name: 'p50', unit: 'ms' },
  { name: 'slowest', unit: 'ms' },
]

/** Starts a writer, kills it under load, and answers the last LSN that it said was durable. */
async function killWriter(fleet: BenchFleet, id: VolumeId, ms: number): Promise<Lsn> {
  const writer = spawn(process.execPath, [PROGRAM, fleet.registryPath, String(id)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let last = ''
  writer.stdout.on('data', (chunk: Buffer) => {
    last = (last + chunk.toString()).slice(-200)
  })
  await once(writer.stdout, 'data')
  await new Promise((resolve) => setTimeout(resolve, ms))
  const end = once(writer, 'close')
  writer.kill('SIGKILL')
  await end
  const whole = last.slice(0, last.lastIndexOf('\n')).split('\n').at(-1)
  return lsn(Number(whole))
}

export async function recovery({ part, log }: Settings, fleet: BenchFleet): Promise<BenchTable[]> {
  log('recovery')
  const orderly: number[] = []
  const opened: number[] = []
  const written: number[] = []
  const id = await fleet.volumes.create()
  const times = Math.max(2, Math.round(TIMES * part))
  for (let i = 0; i < times; i++) {
    const durable = await killWriter(fleet, id, LOAD_MS)
    const from = performance.now()
    const writer = await fleet.volumes.open(id)
    opened.push(performance.now() - from)
    if (writer.vdl < durable) throw new Error(`${durable} was durable, and ${writer.vdl} is what recovery found`)
    await writer.write([{ block: blockNumber(0), bytes: new Uint8Array(BLOCK_BYTES).fill(i + 1) }])
    await writer.sync()
    written.push(performance.now() - from)
    const again = performance.now()
    await fleet.volumes.open(id)
    orderly.push(performance.now() - again)
  }
  const row = (name: string, values: number[]) => ({ name, values: [median(values), Math.max(...values)] })
  const baseline = 'open, nothing to recover'
  return [
    {
      title: 'recovery after kill -9 of the writer under load',
      compared: 'opening a volume whose writer was killed with opening it when all was durable',
      settings: { times, loadMs: LOAD_MS, load: '8 clients that sync, and one that streams' },
      columns: COLUMNS,
      ratio: { column: 'p50', baseline, better: 'lower' },
      rows: [
        row(baseline, orderly),
        row('open after kill -9', opened),
        row('until the first sync is durable', written),
      ],
      notes: ['Each time it was checked that all that the killed writer had called durable was there.'],
    },
  ]
}
