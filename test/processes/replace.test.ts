/** Nodes that are gone for good, with their disks, and others that take their places. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import { nodeId, type VolumeId } from '../../src/protocol/lsn.ts'
import { setNodeState } from '../../src/volume/fleet-nodes.ts'
import type { Fleet } from '../../src/volume/tcp-fleet.ts'
import { Ledger, LedgerWriter } from '../ledger.ts'
import { checkLedger } from '../ledger-check.ts'
import { LedgerFollower } from '../ledger-follower.ts'
import { LEDGER_GEOMETRY } from '../ledger-image.ts'
import { ProcessFleet } from '../process-fleet.ts'
import { pause, printedSeed, until } from '../waiting.ts'

const CHANGE_MS_MAX = 60_000
const QUIET_MS = 500

describe('replacing nodes that are gone for good', () => {
  const random = new Random(printedSeed('replace'))
  let fleet: ProcessFleet
  let client: Fleet
  let volume: VolumeId
  let ledger: Ledger
  let writer: LedgerWriter
  let follower: LedgerFollower

  before(async () => {
    fleet = await ProcessFleet.start('nodes')
    client = fleet.client()
    volume = await client.volumes.create(LEDGER_GEOMETRY)
    ledger = new Ledger(random.u32())
    writer = new LedgerWriter(ledger, fleet.registryPath, volume)
    await writer.opened()
    await writer.progress(500)
    follower = new LedgerFollower(client, volume, ledger)
  })
  after(async () => {
    await follower?.stop()
    await fleet?.stop()
  })

  async function lose(name: string): Promise<void> {
    const host = fleet.host(name)
    await host.kill()
    host.wipe(name)
    // Whoever replaces nodes has to say first that none of them can take another's place.
    await setNodeState(fleet.registry, name, 'draining')
  }

  /** Replaces a node in every group, while the writer writes and the view follows. */
  async function replace(name: string): Promise<void> {
    const startedMs = performance.now()
    const before = writer.count
    const groups = await client.membership.replaceNode(nodeId(name), 4, CHANGE_MS_MAX)
    const ms = (performance.now() - startedMs).toFixed(0)
    console.log(`${name} replaced in ${groups} groups in ${ms} ms; ${writer.count - before} writes meanwhile`)
    assert.equal(groups, 3)
  }

  const nodesOfGroups = async (): Promise<Set<string>> => {
    const groups = await client.membership.groupsWhere(() => true)
    return new Set(groups.flatMap(({ config }) => config.members.map(({ node }) => node)))
  }

  it('a fresh node takes the place of one that was lost, under load', async () => {
    await lose('a1')
    await fleet.addHost('a', ['a3'])
    await writer.progress()
    await replace('a1')
    assert.deepEqual([...(await nodesOfGroups())].sort(), ['a2', 'a3', 'b1', 'b2', 'c1', 'c2'])
    await writer.progress(200)
  })

  it('a group that lost a zone and one more node is mended, and writes go on', async () => {
    await Promise.all(['b1', 'b2', 'c1'].map(lose))
    await until('writes stop', async () => {
      const { count } = writer
      await pause(QUIET_MS)
      return count === writer.count
    })
    await fleet.addHost('b', ['b3', 'b4'])
    await replace('b1')
    await writer.progress(100)
    await replace('b2')
    await writer.progress(100)
  })

  it('a node that comes back with an empty disk takes its own place', async () => {
    const host = fleet.host('c1')
    const before = host.nodes[0]?.incarnation
    await host.start()
    assert.notEqual(host.nodes[0]?.incarnation, before)
    await host.register(fleet.registry)
    await replace('c1')
    await writer.progress(100)
    assert.deepEqual([...(await nodesOfGroups())].sort(), ['a2', 'a3', 'b3', 'b4', 'c1', 'c2'])
  })

  it('nothing was lost or torn, on any copy', async () => {
    await follower.stop()
    await writer.stop()
    assert.deepEqual(follower.problems, [])
    await checkLedger(client, volume, ledger, random)
    fleet.checkThatNoneStopped()
  })
})
