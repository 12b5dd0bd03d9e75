import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { blockNumber, type Lsn, lsn } from '../../src/protocol/lsn.ts'
import { LocalFleet, SMALL } from '../local-fleet.ts'
import { fullNodes, hasCode, openNew, put, valueIn, valuesIn, writeDurably } from './blocks.ts'

describe('any LSN', () => {
  it('is a read point: 300 versions of a block, each read at its own', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const id = await volumes.create(SMALL)
    const writer = await volumes.open(id)
    const written: Lsn[] = []
    for (let version = 1; version <= 300; version++) {
      written.push(await writer.write([put(9, version % 251), put(10 + (version % 7), version % 241)]))
      if (version % 10 === 0) await writer.sync()
    }
    await fleet.announced()
    for (const [i, at] of written.entries()) {
      const view = await volumes.view(id, at)
      assert.equal(await valueIn(view, 9), (i + 1) % 251, `version ${i + 1} at ${at}`)
      const before = await volumes.view(id, (at - 1) as Lsn)
      assert.equal(await valueIn(before, 9), i % 251, `version ${i} just below ${at}`)
      await Promise.all([view.close(), before.close()])
    }
  })

  it('shows a mini-transaction whole or not at all, also across protection groups', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const id = await volumes.create(SMALL)
    const writer = await volumes.open(id)
    const blocks = [1, 70, 2, 130, 3]
    const first = await writeDurably(writer, ...blocks.map((block) => put(block, 1)))
    const second = await writeDurably(writer, ...blocks.map((block) => put(block, 2)))
    await fleet.announced()
    for (let at = first; at <= second; at = (at + 7) as Lsn) {
      const view = await volumes.view(id, at)
      const expected = at < second ? 1 : 2
      assert.deepEqual(await valuesIn(view, blocks), [1, 2, 3, 4, 5].fill(expected), `at ${at} of ${first}..${second}`)
      await view.close()
    }
  })
})

describe('a view', () => {
  it('stays where it is until it follows, and then shows also what was made since', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1))
    await fleet.announced()
    const { volumes } = fleet.client()
    const view = await volumes.view(writer.volume.volume)
    const began = view.readPoint
    await writeDurably(writer, put(1, 2), put(100, 2))
    await fleet.announced()
    assert.deepEqual([await valueIn(view, 1), view.readPoint], [1, began])
    assert.equal(await view.follow(), writer.vdl)
    assert.deepEqual(await valuesIn(view, [1, 100]), [2, 2])
    assert.equal(await view.follow(), writer.vdl)
    // Whoever began at the first read point goes on there.
    assert.equal((await view.read(blockNumber(1), began))[0], 1)
    assert.equal((await view.read(blockNumber(100), began))[0], 0)
    for (const never of [lsn(began - 1), lsn(writer.vdl + 1)])
      await assert.rejects(view.read(blockNumber(1), never), hasCode('BadRequest'))
    await view.close()
  })

  it('follows a writer that never stops, and sees whole mini-transactions only', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    const blocks = [1, 2, 70, 130]
    let value = 1
    await writeDurably(writer, ...blocks.map((block) => put(block, value)))
    await fleet.announced()
    const view = await fleet.client().volumes.view(writer.volume.volume)
    const seen = new Set<number>()
    while (value < 200) {
      value++
      await writer.write(blocks.map((block) => put(block, value)))
      if (value % 5 !== 0) continue
      await fleet.pass(3)
      await view.follow()
      const [first = 0, ...others] = await valuesIn(view, blocks)
      for (const other of others) assert.equal(other, first)
      seen.add(first)
    }
    assert.ok(seen.size > 5, `only ${seen.size} states were seen`)
    assert.deepEqual(
      [...seen],
      [...seen].toSorted((a, b) => a - b),
    )
  })

  it('needs no writer, no quorum and no more than one full copy', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    await fleet.announced()
    const { volumes } = fleet.client()
    const view = await volumes.view(writer.volume.volume)
    client.close()
    const [kept] = fullNodes(writer)
    for (const node of fleet.nodes.values()) if (node.name !== kept) node.kill()
    assert.equal(await valueIn(view, 1), 1)
  })

  it('is refused above what is durable, for blocks that there are not, and once it is closed', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1))
    await fleet.announced()
    const { volumes } = fleet.client()
    const id = writer.volume.volume
    await assert.rejects(volumes.view(id, lsn(writer.vdl + 1_000_000)), hasCode('ReadPointAhead'))
    const view = await volumes.view(id)
    for (const block of [-1, 0.5, 2 ** 34, Number.NaN])
      await assert.rejects(view.read(blockNumber(block)), hasCode('BadRequest'))
    await view.close()
    await view.close()
    await assert.rejects(view.read(blockNumber(1)), hasCode('Closed'))
    await assert.rejects(view.follow(), hasCode('Closed'))
    assert.deepEqual((await volumes.get(id)).pins, [])
  })
})
