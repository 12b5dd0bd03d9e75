import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { blockNumber } from '../../src/protocol/lsn.ts'
import { MessageType } from '../../src/protocol/message.ts'
import { isolated, LocalFleet, SMALL } from '../local-fleet.ts'
import { hasCode, openNew, put, trim, valueIn, valuesIn, writeDurably } from './blocks.ts'

describe('opening a volume that somebody writes to', () => {
  it('stops the old writer, once, and loses nothing that it was told is durable', async () => {
    using fleet = await LocalFleet.start()
    const old = await openNew(fleet)
    let fenced = 0
    old.onFenced(() => fenced++)
    await writeDurably(old, put(1, 1), put(70, 1))
    await old.write([put(1, 2)])
    const next = await fleet.client().volumes.open(old.volume.volume)
    assert.ok(next.volume.epoch > old.volume.epoch)
    await old.write([put(1, 3)]).catch(() => undefined)
    await fleet.until('it has noticed', () => old.state === 'fenced')
    for (const attempt of [
      () => old.sync(),
      () => old.write([put(1, 4)]),
      () => old.read(blockNumber(1)),
      async () => old.append([put(1, 4)]),
    ]) {
      await assert.rejects(async () => attempt(), hasCode('Fenced'))
    }
    assert.equal(fenced, 1)
    const [value] = await valuesIn(next, [1])
    assert.ok(value === 1 || value === 2, 'what was not synced may be there or not')
    assert.equal(await valueIn(next, 70), 1)
    await writeDurably(next, put(1, 9))
    assert.equal(await valueIn(next, 1), 9)
    assert.equal(fenced, 1)
  })

  it('rejects a sync that was waiting, and a write that waited for room', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const old = await client.volumes.open(await client.volumes.create(SMALL), { unackedBytesMax: 1000 })
    await writeDurably(old, put(1, 1))
    fleet.drop = ({ from, type }) => from === client.name && type === MessageType.APPEND
    for (let i = 0; i < 8; i++) old.append([put(2, i)])
    const waiting = Promise.allSettled([old.sync(), old.write([put(3, 3)])])
    const next = await fleet.client().volumes.open(old.volume.volume)
    fleet.drop = undefined
    for (const outcome of await waiting) {
      assert.ok(outcome.status === 'rejected' && hasCode('Fenced')(outcome.reason))
    }
    assert.deepEqual(await valuesIn(next, [1, 2, 3]), [1, 0, 0])
  })

  it('is enough to stop a writer that was cut off, whenever it comes back', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const old = await openNew(fleet, client)
    await writeDurably(old, put(1, 1))
    fleet.drop = isolated(client.name)
    old.append([put(1, 66)])
    const next = await fleet.client().volumes.open(old.volume.volume)
    await writeDurably(next, put(2, 2))
    await fleet.pass(5_000)
    assert.equal(old.state, 'open', 'it cannot know yet')
    fleet.drop = undefined
    await assert.rejects(old.sync(), hasCode('Fenced'))
    assert.deepEqual(await valuesIn(next, [1, 2]), [1, 2])
    const third = await fleet.client().volumes.open(old.volume.volume)
    assert.deepEqual(await valuesIn(third, [1, 2]), [1, 2])
  })

  it('makes neither group nor trim for the one that was fenced', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const old = await openNew(fleet, client)
    await writeDurably(old, put(1, 1))
    fleet.drop = isolated(client.name)
    const next = await fleet.client().volumes.open(old.volume.volume)
    await assert.rejects(old.write([put(1000, 1), trim(1, 1)]), hasCode('Fenced'))
    assert.deepEqual([...(await client.volumes.get(old.volume.volume)).groups.keys()], [0])
    fleet.drop = undefined
    assert.deepEqual(await valuesIn(next, [1, 1000]), [1, 0])
  })

  it('by several at once leaves exactly one that can write', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1))
    const opened = await Promise.allSettled(
      Array.from({ length: 5 }, () => fleet.client().volumes.open(writer.volume.volume)),
    )
    for (const outcome of opened) {
      assert.ok(outcome.status === 'fulfilled' || hasCode('Fenced')(outcome.reason), String(outcome.status))
    }
    const writers = opened.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    const written = await Promise.allSettled(writers.map(async (each, i) => writeDurably(each, put(2, i + 10))))
    const winners = written.filter(({ status }) => status === 'fulfilled')
    assert.equal(winners.length, 1)
    const last = writers.toSorted((a, b) => b.volume.epoch - a.volume.epoch)[0]
    assert.equal(last?.state, 'open')
    assert.equal(await valueIn(last, 2), writers.indexOf(last) + 10)
  })
})

describe('a log whose end is not at quorum', () => {
  it('is cut at the last whole mini-transaction, and LSNs never repeat', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const old = await openNew(fleet, client)
    const durable = await writeDurably(old, put(1, 1), put(70, 1))
    // One member alone hears of what comes next: of the second group, whose records the first group's precede.
    fleet.drop = ({ from, to, type }) => from === client.name && type === MessageType.APPEND && to !== 'a1'
    const lost = await old.write([put(1, 2), put(70, 2)])
    await fleet.pass(100)
    client.close()
    fleet.drop = undefined
    const next = await fleet.client().volumes.open(old.volume.volume)
    const values = await valuesIn(next, [1, 70])
    assert.ok(String(values) === '1,1' || String(values) === '2,2', `${values}`)
    const first = await writeDurably(next, put(2, 2))
    assert.ok(first > lost)
    assert.ok(first > durable)
    const again = await fleet.client().volumes.open(old.volume.volume)
    assert.deepEqual(await valuesIn(again, [1, 70, 2]), [...values, 2])
  })

  it('is cut again and again, by openings that were interrupted themselves', async () => {
    using fleet = await LocalFleet.start()
    const first = await openNew(fleet)
    const id = first.volume.volume
    await writeDurably(first, put(0, 1))
    for (let round = 2; round < 12; round++) {
      const client = fleet.client()
      let calls = 0
      fleet.drop = ({ from, type }) => from === client.name && type === MessageType.CALL && ++calls > round * 3
      const opening = client.volumes.open(id)
      opening.catch(() => undefined)
      await fleet.pass(30)
      client.close()
      fleet.drop = undefined
      const next = await fleet.client().volumes.open(id)
      assert.equal(await valueIn(next, 0), round - 1)
      await writeDurably(next, put(0, round))
      next.append([put(1, 77)])
    }
    const { truncations } = await fleet.client().volumes.get(id)
    truncations.forEach(({ from, to }, i) => {
      assert.ok(from <= to && from >= (truncations[i - 1]?.from ?? 0))
    })
  })
})

describe('a writer that was closed', () => {
  it('does nothing more, and the next one goes on', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1))
    let fenced = 0
    writer.onFenced(() => fenced++)
    writer.append([put(1, 2)])
    const sync = writer.sync()
    writer.close()
    writer.close()
    await assert.rejects(sync, hasCode('Closed'))
    await assert.rejects(writer.write([put(1, 3)]), hasCode('Closed'))
    await assert.rejects(writer.read(blockNumber(1)), hasCode('Closed'))
    await assert.rejects(writer.sync(), hasCode('Closed'))
    const next = await fleet.client().volumes.open(writer.volume.volume)
    await writeDurably(next, put(2, 2))
    assert.equal(await valueIn(next, 2), 2)
    assert.equal(fenced, 0)
  })
})
