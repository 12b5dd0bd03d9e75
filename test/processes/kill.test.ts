/**
 * Writers and storage hosts that are killed and frozen under load, again and again: nothing that was acknowledged is
 * lost or torn, on any copy, now or in the past.
 */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { VolumeError } from '../../src/protocol/errors.ts'
import type { VolumeId } from '../../src/protocol/lsn.ts'
import type { Fleet } from '../../src/volume/tcp-fleet.ts'
import { type Acknowledged, Ledger, LedgerWriter } from '../ledger.ts'
import { checkLedger } from '../ledger-check.ts'
import { LedgerFollower } from '../ledger-follower.ts'
import { LEDGER_GEOMETRY } from '../ledger-image.ts'
import { type HostPlace, type Layout, ProcessFleet } from '../process-fleet.ts'
import { pause, printedSeed, until } from '../waiting.ts'

/** Of the random events; what comes before and after takes about as long again. */
const CHAOS_MS = Number(process.env.BOREALIS_CHAOS_MS ?? 8_000)
const DOWN_MS_MAX = 1500

const FENCED = 3

/** Does to a fleet what a machine room does, and puts it right again. */
class Chaos {
  readonly #fleet: ProcessFleet
  readonly #random: Random
  readonly #volume: VolumeId
  readonly #ledger: Ledger
  readonly #repairs = new Set<Promise<void>>()
  readonly counts = { writers: 0, fenced: 0, killed: 0, frozen: 0, zones: 0 }
  writer: LedgerWriter

  constructor(fleet: ProcessFleet, random: Random, volume: VolumeId, ledger: Ledger) {
    this.#fleet = fleet
    this.#random = random
    this.#volume = volume
    this.#ledger = ledger
    this.writer = this.#newWriter()
  }

  #newWriter(): LedgerWriter {
    return new LedgerWriter(this.#ledger, this.#fleet.registryPath, this.#volume)
  }

  async #killHost(host: HostPlace): Promise<void> {
    const downMs = this.#random.below(DOWN_MS_MAX)
    this.counts.killed++
    await host.kill()
    await pause(downMs)
    await host.start()
  }

  async #freezeHost(host: HostPlace): Promise<void> {
    this.counts.frozen++
    host.freeze()
    await pause(this.#random.below(DOWN_MS_MAX))
    host.thaw()
  }

  /** What happens to a host is undone some time later, whatever else happens meanwhile. */
  #later(repair: Promise<void>): void {
    this.#repairs.add(repair)
    void repair.finally(() => this.#repairs.delete(repair))
  }

  async event(): Promise<void> {
    const up = this.#fleet.hosts.filter((host) => host.isUp)
    const what = this.#random.weighted({ host: 4, freeze: 3, writer: 3, takeover: 1, zone: 1 })
    if (what === 'host' && up.length > 0) this.#later(this.#killHost(this.#random.pick(up)))
    else if (what === 'freeze' && up.length > 0) this.#later(this.#freezeHost(this.#random.pick(up)))
    else if (what === 'zone') {
      this.counts.zones++
      const zone = this.#random.pick(['a', 'b', 'c'])
      const extra = this.#random.pick(this.#fleet.hosts)
      for (const host of new Set([...this.#fleet.hosts.filter((each) => each.zone === zone), extra])) {
        if (host.isUp) this.#later(this.#killHost(host))
      }
    } else if (what === 'writer') {
      this.counts.writers++
      await this.writer.kill()
      this.writer = this.#newWriter()
      await this.writer.opened()
    } else if (what === 'takeover') await this.#takeOver()
  }

  /** Another process opens the volume while its writer lives. */
  async #takeOver(): Promise<void> {
    const old = this.writer
    this.writer = this.#newWriter()
    await this.writer.opened()
    this.counts.fenced++
    assert.equal(await old.ended, FENCED, 'the writer that was overtaken stops as fenced')
  }

  async settle(): Promise<void> {
    while (this.#repairs.size > 0) await Promise.all(this.#repairs)
    await this.#fleet.startAll()
    await this.writer.progress(100)
  }
}

/** Lets go of what is older than a mini-transaction. @returns the first that is sure to be kept */
async function collect(client: Fleet, volume: VolumeId, ledger: Ledger, kept: Acknowledged): Promise<number> {
  // Which of them are down at the moment is chance.
  await until('the past is let go of', () => client.volumes.collect(volume, kept.lsn).catch(whenRetryable))
  const { cutoff } = await client.volumes.get(volume)
  return ledger.acknowledged.find(({ lsn }) => lsn >= cutoff)?.number ?? Number.MAX_SAFE_INTEGER
}

function whenRetryable(error: unknown): undefined {
  if (error instanceof VolumeError && error.retryable) return undefined
  throw error
}

async function run(layout: Layout, fleet: ProcessFleet, client: Fleet): Promise<void> {
  const seed = printedSeed(`kill, ${layout}`)
  const random = new Random(seed)
  const volume = await client.volumes.create(LEDGER_GEOMETRY)
  const ledger = new Ledger(seed)
  const chaos = new Chaos(fleet, random, volume, ledger)
  await chaos.writer.opened()
  await chaos.writer.progress()
  const follower = new LedgerFollower(client, volume, ledger)
  const end = performance.now() + CHAOS_MS
  let oldest = 1
  for (let events = 1; performance.now() < end; events++) {
    await chaos.event()
    await pause(random.below(400))
    // The past is let go of now and then, so that nodes merge and collect while all this happens.
    if (events % 8 === 0)
      oldest = Math.max(oldest, await collect(client, volume, ledger, random.pick(ledger.acknowledged)))
  }
  await chaos.settle()
  await follower.stop()
  await chaos.writer.kill()
  assert.deepEqual(follower.problems, [])
  fleet.checkThatNoneStopped()
  const checked = await checkLedger(client, volume, ledger, random, oldest)
  const { points, refused } = follower
  console.log(JSON.stringify({ ...chaos.counts, acknowledged: ledger.highest, found: checked.number, points, refused }))
  assert(follower.points > 20, `the view was looked at at ${follower.points} points only`)
}

describe('a volume survives kills and pauses of all its processes', () => {
  const fleets: ProcessFleet[] = []
  after(() => Promise.all(fleets.map((fleet) => fleet.stop())))

  for (const layout of ['zones', 'nodes'] as const) {
    it(layout === 'zones' ? 'three hosts with two nodes each' : 'six hosts with one node each', async () => {
      const fleet = await ProcessFleet.start(layout)
      fleets.push(fleet)
      await run(layout, fleet, fleet.client())
    })
  }
})
