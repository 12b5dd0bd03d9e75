/** Zones that are lost whole, and one more node: what goes on, what waits, what comes back by itself. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { blockNumber, type VolumeId } from '../../src/protocol/lsn.ts'
import type { Fleet } from '../../src/volume/tcp-fleet.ts'
import { Ledger, LedgerWriter } from '../ledger.ts'
import { checkBlocks, checkLedger } from '../ledger-check.ts'
import { LedgerFollower } from '../ledger-follower.ts'
import { LEDGER_GEOMETRY, writtenBy } from '../ledger-image.ts'
import { type HostPlace, ProcessFleet } from '../process-fleet.ts'
import { pause, printedSeed, until } from '../waiting.ts'

/** What was on its way when nodes were lost has been acknowledged or will not be. */
const QUIET_MS = 500
/** Writes that should wait are watched for so long. */
const WAITING_MS = 1500

describe('zones that are lost', () => {
  const random = new Random(printedSeed('zones'))
  const zone = random.pick(['a', 'b', 'c'])
  let fleet: ProcessFleet
  let client: Fleet
  let volume: VolumeId
  let ledger: Ledger
  let writer: LedgerWriter
  let follower: LedgerFollower
  let lost: HostPlace[] = []
  let extra: HostPlace

  before(async () => {
    fleet = await ProcessFleet.start('nodes')
    client = fleet.client()
    volume = await client.volumes.create(LEDGER_GEOMETRY)
    ledger = new Ledger(random.u32())
    writer = new LedgerWriter(ledger, fleet.registryPath, volume)
    await writer.opened()
    await writer.progress()
    follower = new LedgerFollower(client, volume, ledger)
    lost = fleet.hosts.filter((host) => host.zone === zone)
    extra = random.pick(fleet.hosts.filter((host) => host.zone !== zone))
  })
  after(async () => {
    await follower?.stop()
    await fleet?.stop()
  })

  /** Every block, now and at a point of the past, from what is left. */
  async function checkReads(): Promise<void> {
    const image = ledger.image()
    const past = random.pick(ledger.acknowledged)
    for (const at of [past.lsn, undefined]) {
      const view = await client.volumes.view(volume, at)
      ledger.advance(image, at === undefined ? writtenBy(await view.read(blockNumber(0))).number : past.number)
      await checkBlocks(view, image, at === undefined ? 'the head' : `the past at ${at}`)
      await view.close()
    }
  }

  it('writes go on while a zone is frozen', async () => {
    for (const host of lost) host.freeze()
    await writer.progress(200)
    await checkReads()
    for (const host of lost) host.thaw()
    await writer.progress()
  })

  it('writes go on while a zone is away', async () => {
    await Promise.all(lost.map((host) => host.kill()))
    const startedMs = performance.now()
    await writer.progress(1)
    console.log(`zone ${zone} away: the next acknowledgement after ${(performance.now() - startedMs).toFixed(0)} ms`)
    await writer.progress(200)
    await checkReads()
  })

  it('writes wait and reads work while one more node is away', async () => {
    await extra.kill()
    let count = -1
    await until('writes stop', async () => {
      const before = count
      count = writer.count
      await pause(QUIET_MS)
      return before === count
    })
    await pause(WAITING_MS)
    assert.equal(writer.count, count, 'writes were acknowledged by three copies')
    assert(writer.runs, `the writer waits, it does not fail: ${writer.complaints}`)
    await checkReads()
  })

  it('writes go on by themselves when one of the three returns', async () => {
    await random.pick([...lost, extra]).start()
    await writer.progress(200)
  })

  it('nothing was lost or torn, on any copy, when all are back', async () => {
    await fleet.startAll()
    await writer.progress()
    await follower.stop()
    await writer.stop()
    assert.deepEqual(follower.problems, [])
    assert(follower.points > 20, `the view was looked at at ${follower.points} points only`)
    await checkLedger(client, volume, ledger, random)
    fleet.checkThatNoneStopped()
  })
})
