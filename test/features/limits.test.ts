import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { blockNumber, groupIndex } from '../../src/protocol/lsn.ts'
import { MessageType, readAck } from '../../src/protocol/message.ts'
import { checkVolume } from '../../src/volume/volume-check.ts'
import { LocalFleet, SMALL } from '../local-fleet.ts'
import { fullNodes, openNew, put, valueIn, writeDurably } from './blocks.ts'

describe('a writer', () => {
  it('waits for room when too much is not acknowledged, and goes on when it is', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await client.volumes.open(await client.volumes.create(SMALL), { unackedBytesMax: 2_000 })
    await writeDurably(writer, put(0, 1))
    fleet.drop = ({ type }) => type === MessageType.ACK
    let written = 0
    const writing = (async () => {
      for (let value = 1; value <= 40; value++) {
        await writer.write([put(value % 60, value)])
        written++
      }
    })()
    await fleet.pass(200)
    assert.ok(written > 1 && written < 40, `${written} were written`)
    assert.ok(writer.unackedBytes <= 2_000 + 400)
    const stopped = written
    await fleet.pass(1_000)
    assert.equal(written, stopped)
    fleet.drop = undefined
    await writing
    await writer.sync()
    assert.equal(await valueIn(writer, 40), 40)
  })

  it('holds little more memory than its cache, however many blocks it touches', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const id = await client.volumes.create({ blockBytes: 256, blocksPerGroup: 100_000 })
    const writer = await client.volumes.open(id, { cacheBytes: 64 * 256 })
    for (let block = 0; block < 12_000; block++) {
      await writer.write([put(block, 1 + (block % 250))])
      if (block % 100 === 0) await writer.sync()
    }
    await writer.sync()
    // Blocks come in slabs of 1 MiB.
    assert.ok(writer.memoryBytes <= 2 * 1024 * 1024, `${writer.memoryBytes} bytes`)
    for (const block of [0, 1, 5_000, 11_999]) assert.equal(await valueIn(writer, block), 1 + (block % 250))
  })
})

describe('a node with too little memory', () => {
  it('refuses log and takes it again, so that writing slows down and nothing is lost', async () => {
    using fleet = await LocalFleet.start({ node: { memoryBytesMax: 256 * 1024, flushBytes: 64 * 1024 } })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    // The writer hears of no copy, so that nodes hear of no durable point, may flush nothing, and fill up.
    let refused = 0
    fleet.drop = ({ type, body }) => {
      if (type !== MessageType.ACK) return false
      const isRefusal = readAck(body).status === 'Overloaded'
      if (isRefusal) refused++
      return !isRefusal
    }
    for (let value = 1; value <= 2_000; value++) {
      const content = new Uint8Array(SMALL.blockBytes).map((_, i) => value * 7 + i * value)
      writer.append([{ block: blockNumber(value % 64), bytes: content }, put(value % 64 === 63 ? 0 : 63, value % 251)])
      if (value % 200 === 0) await fleet.pass(20)
    }
    const sync = writer.sync()
    await fleet.pass(300)
    assert.ok(refused > 0, 'no node was overloaded')
    fleet.drop = undefined
    await sync
    // The announcement that was lost last is repeated within a second.
    await fleet.pass(1_100)
    const view = await client.volumes.view(writer.volume.volume, writer.vdl)
    assert.equal(await valueIn(view, 63), 2_000 % 251)
    for (const name of fullNodes(writer)) {
      assert.ok(fleet.node(name).node.work.memoryBytes <= 3 * 256 * 1024, 'memory is bounded')
    }
    const { differences } = await checkVolume(client.context, writer.volume.volume)
    assert.deepEqual(differences, [])
  })
})

describe('a full disk', () => {
  it('of one node costs nobody anything', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(0, 1))
    const [name = ''] = fullNodes(writer)
    const { disk } = fleet.node(name)
    disk.capacityBytes = disk.capacityBytes - disk.freeBytes() + 1000
    for (let value = 1; value <= 200; value++) await writeDurably(writer, put(value % 60, value))
    assert.equal(await valueIn(writer, 200 % 60), 200)
    assert.ok(fleet.node(name).node.full)
    disk.capacityBytes = Number.MAX_SAFE_INTEGER
    await fleet.until('it has caught up', () => {
      const segment = fleet.node(name).node.table.get(writer.volume.volume, groupIndex(0))
      return segment !== undefined && segment.scl >= writer.last
    })
  })

  it('everywhere stops writes, not reads, and they go on when there is room', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    await fleet.announced()
    for (const { disk } of fleet.nodes.values()) disk.capacityBytes = disk.capacityBytes - disk.freeBytes() + 1000
    await fleet.pass(500)
    await writer.write([put(2, 2)])
    const sync = writer.sync()
    let state: 'waiting' | 'done' = 'waiting'
    const done = sync.then(() => {
      state = 'done'
    })
    await fleet.pass(10_000)
    assert.equal(state, 'waiting')
    assert.equal(writer.state, 'open')
    const view = await fleet.client().volumes.view(writer.volume.volume)
    assert.equal(await valueIn(view, 1), 1)
    for (const { disk } of fleet.nodes.values()) disk.capacityBytes = Number.MAX_SAFE_INTEGER
    await done
    await writeDurably(writer, put(3, 3))
    assert.equal(await valueIn(writer, 3), 3)
  })

  it('is soon as before when a volume was deleted', async () => {
    using fleet = await LocalFleet.start({ node: { logFileBytes: 64 * 1024, logRetainBytes: 128 * 1024 } })
    const client = fleet.client()
    const kept = await openNew(fleet, client)
    await writeDurably(kept, put(1, 1))
    const used = (): number => {
      const [node] = [...fleet.nodes.values()]
      return node === undefined ? 0 : node.disk.capacityBytes - node.disk.freeBytes()
    }
    const gone = await openNew(fleet, client)
    for (let value = 1; value <= 6_000; value++) {
      const bytes = new Uint8Array(SMALL.blockBytes).map((_, i) => value + i * value)
      await gone.write([{ block: blockNumber(value % 64), bytes }])
      if (value % 50 === 0) await gone.sync()
    }
    await gone.sync()
    await fleet.flushed()
    const full = used()
    gone.close()
    await client.volumes.delete(gone.volume.volume)
    await fleet.pass(1_000)
    assert.ok(used() < full / 2, `${used()} of ${full} bytes are still used`)
    await writeDurably(kept, put(2, 2))
    assert.equal(await valueIn(kept, 1), 1)
  })
})
