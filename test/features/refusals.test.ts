import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { blockNumber, volumeId } from '../../src/protocol/lsn.ts'
import type { Change } from '../../src/volume/change.ts'
import { LocalFleet, SMALL } from '../local-fleet.ts'
import { filled, hasCode, openNew, put, trim, valueIn, valuesIn, writeDurably } from './blocks.ts'

describe('what is refused', () => {
  it('of a new volume: blocks and groups that cannot be; nothing is made then', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    for (const geometry of [
      { blockBytes: 0, blocksPerGroup: 64 },
      { blockBytes: 100, blocksPerGroup: 64 },
      { blockBytes: 256.5, blocksPerGroup: 64 },
      { blockBytes: 65_536, blocksPerGroup: 64 },
      { blockBytes: 256, blocksPerGroup: 0 },
      { blockBytes: 256, blocksPerGroup: 1.5 },
      { blockBytes: 256, blocksPerGroup: 2 ** 32 },
    ]) {
      await assert.rejects(volumes.create(geometry), hasCode('BadRequest'), JSON.stringify(geometry))
    }
    assert.deepEqual(await volumes.list(), [])
  })

  it('takes the smallest and the largest blocks there are', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    for (const blockBytes of [16, 65_536 - 1024]) {
      const writer = await volumes.open(await volumes.create({ blockBytes, blocksPerGroup: 2 }))
      const bytes = new Uint8Array(blockBytes).map((_, i) => i * 31 + (i >> 3))
      const block = blockNumber(3)
      await writeDurably(writer, { block, bytes })
      const next = await volumes.open(writer.volume.volume)
      assert.deepEqual(await next.read(block), bytes)
    }
  })

  it('of a volume that there is not: everything', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const none = volumeId(7)
    for (const [what, attempt] of Object.entries({
      open: () => volumes.open(none),
      view: () => volumes.view(none),
      get: () => volumes.get(none),
      head: () => volumes.head(none),
      branch: () => volumes.branch(none),
      pin: () => volumes.pin(none, 'a'),
      unpin: () => volumes.unpin(none, 'a'),
      detach: () => volumes.detach(none),
      lsnAt: () => volumes.lsnAt(none, 0),
      collect: () => volumes.collect(none, 0 as never),
      delete: () => volumes.delete(none),
    })) {
      await assert.rejects(attempt(), hasCode('NotFound'), what)
    }
    assert.deepEqual(await volumes.list(), [])
  })

  it('of changes: wrong blocks, sizes and repetitions; none of the mini-transaction is done then', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1), put(2, 2))
    const { last } = writer
    const { version } = (await fleet.registry.get((await fleet.registry.list('volume/'))[0] ?? '')) ?? {}
    const bad: Record<string, Change> = {
      'below zero': put(-1, 5),
      fraction: put(0.5, 5),
      'behind the end': put(2 ** 34, 5),
      'not a number': put(Number.NaN, 5),
      'too short': { block: blockNumber(5), bytes: new Uint8Array(255) },
      'too long': { block: blockNumber(5), bytes: new Uint8Array(257) },
      twice: put(1, 5),
      'trim of nothing': trim(5, 0),
      'trim of a fraction': trim(5, 0.5),
      'trim below zero': trim(-1, 2),
      'trim behind the end': trim(2 ** 34 - 1, 2),
      'trim without end': trim(0, Number.POSITIVE_INFINITY),
    }
    for (const [what, change] of Object.entries(bad)) {
      // In a group that there is not yet: it is not made either.
      await assert.rejects(writer.write([put(1, 9), put(500, 9), change]), hasCode('BadRequest'), what)
      assert.throws(() => writer.append([put(1, 9), change]), hasCode('BadRequest'), what)
    }
    for (const block of [-1, 0.5, 2 ** 34]) {
      await assert.rejects(async () => writer.read(blockNumber(block)), hasCode('BadRequest'))
    }
    assert.equal(writer.last, last)
    assert.deepEqual(await valuesIn(writer, [1, 2, 5]), [1, 2, 0])
    assert.equal((await fleet.registry.get((await fleet.registry.list('volume/'))[0] ?? ''))?.version, version)
    await writeDurably(writer, put(1, 3))
    assert.deepEqual(await valuesIn(await volumes.open(writer.volume.volume), [1, 2, 500]), [3, 2, 0])
  })

  it('of a fleet with too few nodes: volumes and groups, until there are enough', async () => {
    using fleet = await LocalFleet.start({ zones: ['a', 'b'] })
    const client = fleet.client()
    await assert.rejects(client.volumes.create(SMALL), hasCode('NoQuorum'))
    await fleet.addNode('c1', 'c')
    await assert.rejects(client.volumes.create(SMALL), hasCode('NoQuorum'))
    await fleet.addNode('c2', 'c')
    const writer = await openNew(fleet, client)
    for (const name of ['a1', 'a2', 'b1']) fleet.node(name).kill()
    await assert.rejects(writer.write([put(1000, 1)]), hasCode('NoQuorum'))
    assert.equal((await client.volumes.get(writer.volume.volume)).groups.get(15 as never), 'creating')
    fleet.node('b1').start()
    await writer.write([put(1000, 1)])
    await writer.sync()
    assert.equal(await valueIn(writer, 1000), 1)
  })

  it('of a volume that is being deleted: everything but deleting it', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const { volumes } = client
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    await fleet.announced()
    const id = writer.volume.volume
    fleet.node('a1').kill()
    await assert.rejects(volumes.delete(id), hasCode('Unreachable'))
    await assert.rejects(volumes.open(id), hasCode('NotFound'))
    await assert.rejects(volumes.pin(id, 'a'), hasCode('NotFound'))
    await assert.rejects(volumes.branch(id), hasCode('NotFound'))
    await assert.rejects(volumes.view(id), hasCode('NotFound'))
    fleet.node('a1').start()
    await volumes.delete(id)
    assert.deepEqual(await volumes.list(), [])
    for (const { disk } of fleet.nodes.values()) {
      assert.deepEqual(
        disk.paths().filter((path) => path.startsWith('segments/') || path.startsWith('volumes/')),
        [],
      )
    }
  })

  it('a block as `Buffer` or at an odd offset is no reason', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    const odd = new Uint8Array(SMALL.blockBytes + 1).subarray(1)
    odd.set(filled(6))
    await writeDurably(
      writer,
      { block: blockNumber(1), bytes: odd },
      { block: blockNumber(2), bytes: Buffer.from(filled(7)) },
    )
    assert.deepEqual(await valuesIn(writer, [1, 2]), [6, 7])
  })
})
