/** Nodes under load for a while, with writers that come and go: memory and descriptors stay within bounds. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { Ledger, LedgerWriter } from '../ledger.ts'
import { checkLedger } from '../ledger-check.ts'
import { LEDGER_GEOMETRY } from '../ledger-image.ts'
import { ProcessFleet } from '../process-fleet.ts'
import { pause, printedSeed, until } from '../waiting.ts'

/** BOREALIS_ENDURANCE_MS=60000 for a longer one. */
const LOAD_MS = Number(process.env.BOREALIS_ENDURANCE_MS ?? 10_000)
const SAMPLE_MS = 250
/** Of a host process with two nodes with small settings: two threads of V8, log buffers, memory tables, caches. */
const RSS_BYTES_MAX = 512 << 20
/** The second half may have this much more than the first at its worst: V8 takes its time. */
const GROWTH_BYTES_MAX = 64 << 20

const rssOf = (pid: number): number =>
  1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

describe('nodes under load for a while', () => {
  let fleet: ProcessFleet
  after(() => fleet?.stop())

  it('keep their memory and their descriptors', async () => {
    const random = new Random(printedSeed('endurance'))
    fleet = await ProcessFleet.start('zones')
    const client = fleet.client()
    const volume = await client.volumes.create(LEDGER_GEOMETRY)
    const ledger = new Ledger(random.u32())
    const newWriter = () => new LedgerWriter(ledger, fleet.registryPath, volume, { clients: 16, pauseMs: 0 })
    let writer = newWriter()
    await writer.opened()
    await writer.progress(200)
    const pids = fleet.hosts.map(({ pid }) => pid)
    const peaks = pids.map(() => [0, 0] as [number, number])
    /** With one writer, and all layers open that are going to be. */
    let descriptors: readonly number[] = []
    const start = performance.now()
    for (let now = start; now - start < LOAD_MS; now = performance.now()) {
      const half = now - start < LOAD_MS / 2 ? 0 : 1
      if (half === 1 && descriptors.length === 0) descriptors = pids.map(descriptorsOf)
      for (const [i, pid] of pids.entries()) {
        const peak = peaks[i] as [number, number]
        peak[half] = Math.max(peak[half], rssOf(pid))
      }
      // Some end in order and some do not; their connections have to go either way.
      if (random.chance(SAMPLE_MS / 2000)) {
        await (random.chance(0.5) ? writer.kill() : writer.stop())
        await client.volumes.collect(
          volume,
          (ledger.acknowledged.at(-1) as { lsn: Parameters<typeof client.volumes.collect>[1] }).lsn,
        )
        writer = newWriter()
        await writer.opened()
      }
      await pause(SAMPLE_MS)
    }
    await writer.progress(100)
    const last = ledger.highest
    await writer.stop()
    const text = pids.map((pid, i) => ({
      pid,
      rss: peaks[i]?.map((bytes) => bytes >> 20),
      fds: [descriptors[i], descriptorsOf(pid)],
    }))
    console.log(JSON.stringify({ acknowledged: last, hosts: text.map(({ rss, fds }) => ({ rss, fds })) }))
    for (const [i, pid] of pids.entries()) {
      const [first, second] = peaks[i] as [number, number]
      assert(second < RSS_BYTES_MAX, `a host holds ${second >> 20} MiB`)
      assert(second - first < GROWTH_BYTES_MAX, `a host grew from ${first >> 20} to ${second >> 20} MiB`)
      // Layers come and go by the hundred; connections of writers that are gone must not stay.
      await until(
        `a host has no more descriptors than the ${descriptors[i]} before`,
        () => descriptorsOf(pid) <= (descriptors[i] as number) + 16,
      )
    }
    await checkLedger(client, volume, ledger, random, last)
    fleet.checkThatNoneStopped()
  })
})
