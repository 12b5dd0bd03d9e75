import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MessageType } from '../../src/protocol/message.ts'
import { checkVolume } from '../../src/volume/volume-check.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { isolated, type LocalClient, LocalFleet, type LocalNode } from '../local-fleet.ts'
import { fullNodes, hasCode, openNew, put, valueIn, valuesIn, writeDurably } from './blocks.ts'

/** Whether something is done within a virtual second. */
async function within(fleet: LocalFleet, ms: number, work: Promise<unknown>): Promise<boolean> {
  return Promise.race([work.then(() => true), fleet.pass(ms).then(() => false)])
}

/** All full copies hold the same. */
async function copiesAgree(client: LocalClient, writer: VolumeWriter): Promise<void> {
  const { differences, missing, copies } = await checkVolume(client.context, writer.volume.volume)
  assert.deepEqual({ differences, missing }, { differences: [], missing: [] })
  assert.equal(copies, 3 * writer.replication.groups.size)
}

const killAll = (nodes: readonly LocalNode[]): void => {
  for (const node of nodes) node.kill()
}
const startAll = (nodes: readonly LocalNode[]): void => {
  for (const node of nodes) if (!node.isUp) node.start()
}

describe('a node that was down', () => {
  it('gets from its peers what it missed, without a writer', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    const [name = ''] = fullNodes(writer)
    const node = fleet.node(name)
    node.kill()
    for (let value = 2; value <= 50; value++) await writeDurably(writer, put(value, value))
    const { last } = writer
    await fleet.announced()
    writer.close()
    node.start()
    await fleet.until('it has everything', () => [...node.node.table.all()].every(({ scl }) => scl >= last))
    for (const other of fleet.nodes.values()) if (other !== node && fullNodes(writer).includes(other.name)) other.kill()
    const view = await fleet.client().volumes.view(writer.volume.volume, last)
    assert.deepEqual(await valuesIn(view, [1, 2, 30, 50]), [1, 2, 30, 50])
  })

  it('that lost its memory only goes on from its log', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    for (let value = 1; value <= 20; value++) await writeDurably(writer, put(value, value))
    for (const node of fleet.nodes.values()) {
      node.kill()
      node.start()
    }
    await writeDurably(writer, put(1, 99))
    assert.deepEqual(await valuesIn(await fleet.client().volumes.open(writer.volume.volume), [1, 2, 20]), [99, 2, 20])
  })

  it('finds the log that it missed, however much: the tails keep it until all full copies have it in layers', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1), put(64, 1))
    const [name = ''] = fullNodes(writer)
    const node = fleet.node(name)
    node.kill()
    for (let value = 2; value < 6_000; value++) {
      await writer.write([put(value % 64, value % 251), put(64 + (value % 64), value % 241)])
      if (value % 50 === 0) await writer.sync()
    }
    await writer.sync()
    const logBytes = (): number => Math.max(...[...fleet.nodes.values()].map((each) => each.node.logBytes))
    node.start()
    const grown = logBytes()
    await fleet.until('it has everything', () =>
      [...node.node.table.all()].every(({ scl }) => scl >= writer.last - 400),
    )
    assert.equal(node.node.counters.rebuilds, undefined, 'no blocks were copied')
    await fleet.until('log was recycled', () => logBytes() < grown / 2)
    await copiesAgree(client, writer)
  })
})

describe('the loss of a zone', () => {
  it('stops neither writes nor reads nor openings', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const id = (await openNew(fleet, client)).volume.volume
    let writer = await client.volumes.open(id)
    await writeDurably(writer, put(1, 1), put(70, 1))
    for (const [round, zone] of ['a', 'b', 'c'].entries()) {
      killAll(fleet.zone(zone))
      await writeDurably(writer, put(1, round), put(2, 2))
      assert.deepEqual(await valuesIn(writer, [1, 2, 70]), [round, 2, 1])
      writer = await fleet.client().volumes.open(id)
      await writeDurably(writer, put(3, round))
      assert.deepEqual(await valuesIn(writer, [1, 2, 3, 70]), [round, 2, round, 1])
      startAll(fleet.zone(zone))
      // Until it has caught up, the loss of another zone would be that of a zone and more.
      await fleet.pass(1_000)
    }
    await copiesAgree(client, writer)
  })

  it('does not stop growth either, once the volume has its group there', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    killAll(fleet.zone('b'))
    await writeDurably(writer, put(1000, 5))
    assert.equal(await valueIn(writer, 1000), 5)
    startAll(fleet.zone('b'))
    await fleet.until('the zone has its segments', () =>
      fleet.zone('b').every(({ node }) => [...node.table.all()].some(({ group, scl }) => group === 15 && scl > 0)),
    )
  })

  it('and one node more stops writes, which go on when one comes back; what was durable is still readable', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    killAll(fleet.zone('a'))
    fleet.node('b1').kill()
    await writer.write([put(1, 2)])
    const sync = writer.sync()
    assert.equal(await within(fleet, 20_000, sync), false)
    assert.equal(writer.state, 'open')
    assert.equal(await valueIn(writer, 1), 2)
    fleet.node('b1').start()
    assert.equal(await within(fleet, 5_000, sync), true)
    startAll(fleet.zone('a'))
    await fleet.pass(10_000)
    await copiesAgree(client, writer)
  })

  it('and one node more still lets a volume be opened once a write quorum is back', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    client.close()
    const tail = ['c1', 'c2'].find((name) => !fullNodes(writer).includes(name)) ?? ''
    killAll(fleet.zone('a'))
    fleet.node(tail).kill()
    const opening = fleet.client().volumes.open(writer.volume.volume)
    assert.equal(await within(fleet, 5_000, opening), false)
    fleet.node(tail).start()
    assert.equal(await valueIn(await opening, 1), 1)
  })

  it('of two is a NoQuorum for who wants to open, in time', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1))
    writer.close()
    killAll([...fleet.zone('a'), ...fleet.zone('b')])
    await assert.rejects(fleet.client().volumes.open(writer.volume.volume), hasCode('NoQuorum'))
    startAll([...fleet.zone('a'), ...fleet.zone('b')])
    assert.equal(await valueIn(await fleet.client().volumes.open(writer.volume.volume), 1), 1)
  })
})

describe('messages that do not arrive', () => {
  it('are sent again until a write quorum has them, and gossip does the rest', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    fleet.drop = ({ type }) => type !== MessageType.CALL && type !== MessageType.RESULT && fleet.random() < 0.5
    for (let value = 1; value <= 40; value++) await writeDurably(writer, put(value % 7, value), put(64 + value, value))
    fleet.drop = undefined
    assert.ok(writer.replication.stats.resends > 0)
    assert.deepEqual(await valuesIn(writer, [5, 6, 104]), [40, 34, 40])
    await fleet.pass(10_000)
    await copiesAgree(client, writer)
  })

  it('between nodes and one writer only do not stop its reads and writes as long as a write quorum hears it', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    const cutOff = isolated('a1', 'a2')
    fleet.drop = (message) => (message.from === client.name || message.to === client.name) && cutOff(message)
    for (let value = 2; value < 20; value++) await writeDurably(writer, put(1, value))
    await fleet.announced()
    // What the writer cannot tell them they hear from their peers.
    const scls = (): number[] => fleet.zone('a').flatMap(({ node }) => [...node.table.all()].map(({ scl }) => scl))
    await fleet.until('they have it from their peers', () => scls().every((scl) => scl >= writer.last))
  })
})

describe('damage', () => {
  it('of a layer is noticed when it is read, and mended from a peer; nobody sees it', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    for (let block = 0; block < 30; block++) await writer.write([put(block, block + 1)])
    await writer.sync()
    await fleet.flushed()
    const [name = ''] = fullNodes(writer)
    const { disk, node } = fleet.node(name)
    const layers = disk.paths().filter((path) => path.startsWith('segments/') && !path.includes('manifest'))
    assert.ok(layers.length > 0)
    for (const path of layers) for (let at = 200; at < disk.bytesOf(path).length; at += 100) disk.flip(path, at)
    const { volumes } = fleet.client()
    for (let round = 0; round < 3; round++) {
      const view = await volumes.view(writer.volume.volume)
      for (let block = 0; block < 30; block++) assert.equal(await valueIn(view, block), block + 1)
      await view.close()
    }
    node.work.scrubAll()
    await fleet.until('it was noticed and mended', () => (node.counters.damage ?? 0) > 0)
    await fleet.pass(5_000)
    await copiesAgree(client, writer)
  })

  it('of the log of a node makes it suspect until its peers have helped, and loses nothing', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    for (let value = 1; value <= 60; value++) await writeDurably(writer, put(value % 20, value))
    const [name = ''] = fullNodes(writer)
    const sick = fleet.node(name)
    sick.kill()
    const [log = ''] = sick.disk.paths().filter((path) => path.startsWith('log/'))
    sick.disk.flip(log, 3 * 4096 + 100)
    sick.start()
    const [segment] = [...sick.node.table.all()]
    assert.equal(segment?.state, 'suspect')
    await fleet.until('it has healed', () => segment?.state === 'active')
    await fleet.until('it is whole', () => (segment?.scl ?? 0) >= writer.vdl)
    await copiesAgree(client, writer)
  })
})
