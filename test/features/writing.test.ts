import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { blockNumber } from '../../src/protocol/lsn.ts'
import { APPEND_HEADER_BYTES, MessageType } from '../../src/protocol/message.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { isAppend, LocalFleet, SMALL } from '../local-fleet.ts'
import { openNew, put, trim, valueIn, valuesIn, writeDurably } from './blocks.ts'

describe('a volume', () => {
  it('is zeros, then what was written, also to whom opens it after its writer ended', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const id = await client.volumes.create(SMALL)
    const writer = await client.volumes.open(id)
    assert.deepEqual(await valuesIn(writer, [0, 5, 63]), [0, 0, 0])
    await writeDurably(writer, put(5, 1), put(63, 2))
    await writeDurably(writer, put(5, 3))
    assert.deepEqual(await valuesIn(writer, [0, 5, 63]), [0, 3, 2])
    client.close()

    const { volumes } = fleet.client()
    const next = await volumes.open(id)
    assert.ok(next.vdl >= writer.last)
    assert.deepEqual(await valuesIn(next, [0, 5, 63]), [0, 3, 2])
    await writeDurably(next, put(0, 4))
    assert.deepEqual(await valuesIn(next, [0, 5, 63]), [4, 3, 2])
  })

  it('reads its own writes before they are durable, and forgets nothing when they are not in the cache', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const id = await volumes.create(SMALL)
    const writer = await volumes.open(id, { cacheBytes: 4 * SMALL.blockBytes })
    for (let block = 0; block < 40; block++) {
      await writer.write([put(block, block + 1)])
      assert.equal(await valueIn(writer, block), block + 1)
    }
    await writer.sync()
    for (let block = 40; block < 50; block++) await writeDurably(writer, put(block, 1))
    for (let block = 0; block < 40; block++) assert.equal(await valueIn(writer, block), block + 1)
    assert.ok(writer.stats.reads > writer.stats.cacheHits, 'some blocks were read from nodes')
  })

  it('reads what it wrote while the block was on its way, then and later', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const id = await volumes.create(SMALL)
    await writeDurably(await volumes.open(id), put(5, 1))
    const writer = await volumes.open(id)
    const reading = valueIn(writer, 5)
    writer.append([put(5, 2)])
    assert.equal(await reading, 2)
    assert.equal(await valueIn(writer, 5), 2)
  })

  it('is durable up to where a sync says, and not a record further', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1))
    fleet.drop = ({ type }) => type === MessageType.ACK
    const first = writer.append([put(2, 2)])
    const firstSync = writer.sync()
    await fleet.pass(5)
    // No node gets what follows; all of them are asked where they are.
    fleet.drop = ({ type, body }) => isAppend(type) && body.length >= APPEND_HEADER_BYTES
    const second = writer.append([put(3, 3)])
    const secondSync = writer.sync()
    const durable = await firstSync
    assert.ok(durable >= first && durable < second)
    const answered = secondSync.then(() => 'answered')
    assert.equal(await Promise.race([answered, fleet.pass(1_000).then(() => 'waits')]), 'waits')
    fleet.drop = undefined
    assert.ok((await secondSync) >= second)
  })

  it('does not log what changes nothing', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const writer = await volumes.open(await volumes.create(SMALL))
    const first = await writeDurably(writer, put(1, 7))
    assert.equal(await writer.write([put(1, 7)]), first)
    assert.equal(await writer.write([]), first)
    assert.equal(await writer.sync(), first)
  })

  it('may not be changed by whom it gave a block to, nor by whom gave it one', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const writer = await volumes.open(await volumes.create(SMALL))
    const given = new Uint8Array(SMALL.blockBytes).fill(7)
    await writer.write([{ block: blockNumber(1), bytes: given }])
    given.fill(8)
    const taken = await writer.read(blockNumber(1))
    taken.fill(9)
    await writer.sync()
    await fleet.announced()
    assert.equal(await valueIn(writer, 1), 7)
    const view = await volumes.view(writer.volume.volume, writer.vdl)
    assert.equal(await valueIn(view, 1), 7)
  })

  it('is that of a simple model, whatever is written, trimmed, synced and opened again', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          what: fc.constant('put' as const),
          at: fc.nat(99),
          value: fc.integer({ min: 1, max: 255 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          what: fc.constant('trim' as const),
          at: fc.nat(99),
          count: fc.integer({ min: 1, max: 70 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('read' as const), at: fc.nat(170) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('sync' as const) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('open' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        using fleet = await LocalFleet.start()
        const { volumes } = fleet.client()
        const id = await volumes.create(SMALL)
        const open = (): Promise<VolumeWriter> => volumes.open(id, { cacheBytes: 8 * SMALL.blockBytes })
        let writer = await open()
        const model = new Map<number, number>()
        for (const each of steps) {
          if (each.what === 'put') {
            await writer.write([put(each.at, each.value)])
            model.set(each.at, each.value)
          } else if (each.what === 'trim') {
            await writer.write([trim(each.at, each.count)])
            for (let block = each.at; block < each.at + each.count; block++) model.delete(block)
          } else if (each.what === 'read') assert.equal(await valueIn(writer, each.at), model.get(each.at) ?? 0)
          else {
            await writer.sync()
            if (each.what === 'open') writer = await open()
          }
        }
        await writer.sync()
        await fleet.announced()
        const view = await volumes.view(id, writer.vdl)
        for (let block = 0; block < 170; block++) assert.equal(await valueIn(view, block), model.get(block) ?? 0)
      }),
      { numRuns: 25 },
    )
  })
})

describe('a trim', () => {
  it('makes zeros from its LSN on, not before, and blocks can be written again', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const id = await volumes.create(SMALL)
    const writer = await volumes.open(id, { cacheBytes: 4 * SMALL.blockBytes })
    const blocks = [0, 1, 2, 3, 4, 5, 64, 65, 66]
    const full = await writeDurably(writer, ...blocks.map((block) => put(block, 9)))
    const cut = await writer.write([trim(2, 63)])
    assert.deepEqual(await valuesIn(writer, blocks), [9, 9, 0, 0, 0, 0, 0, 9, 9], 'before it is durable')
    await writer.sync()
    assert.deepEqual(await valuesIn(writer, blocks), [9, 9, 0, 0, 0, 0, 0, 9, 9])
    const again = await writeDurably(writer, put(3, 4), trim(0, 1))
    await fleet.announced()
    for (const [at, expected] of [
      [full, [9, 9, 9, 9, 9, 9, 9, 9, 9]],
      [cut, [9, 9, 0, 0, 0, 0, 0, 9, 9]],
      [again, [0, 9, 0, 4, 0, 0, 0, 9, 9]],
    ] as const) {
      assert.deepEqual(await valuesIn(await volumes.view(id, at), blocks), expected)
    }
  })

  it('in the same mini-transaction as a write of the block leaves what came last', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const writer = await volumes.open(await volumes.create(SMALL))
    await writeDurably(writer, put(1, 1), put(2, 1))
    await writeDurably(writer, trim(1, 2), put(1, 5))
    assert.deepEqual(await valuesIn(writer, [1, 2]), [5, 0])
    await fleet.announced()
    const view = await volumes.view(writer.volume.volume, writer.vdl)
    assert.deepEqual(await valuesIn(view, [1, 2]), [5, 0])
  })

  it('of what nobody ever wrote needs no protection group', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const id = await volumes.create(SMALL)
    const writer = await volumes.open(id)
    await writeDurably(writer, trim(64 * 10, 64 * 5))
    assert.deepEqual([...(await volumes.get(id)).groups.keys()], [0])
    assert.equal(await valueIn(writer, 64 * 12), 0)
  })
})

describe('growth', () => {
  it('makes a protection group where it is first written to, also for several writes at once', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 4 })
    const { volumes } = fleet.client()
    const id = await volumes.create(SMALL)
    const writer = await volumes.open(id)
    await Promise.all([64, 65, 128, 200, 66].map((block) => writer.write([put(block, block)])))
    await writer.sync()
    const { groups, geometryEpoch } = await volumes.get(id)
    assert.deepEqual([...groups.keys()].sort(), [0, 1, 2, 3])
    assert.equal(geometryEpoch, 4)
    assert.deepEqual(await valuesIn(writer, [64, 65, 66, 128, 200, 63]), [64, 65, 66, 128, 200, 0])
    const next = await volumes.open(id)
    assert.deepEqual(await valuesIn(next, [64, 65, 66, 128, 200, 63]), [64, 65, 66, 128, 200, 0])
  })

  it('costs what is written, not what lies between', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const id = await volumes.create({ blockBytes: SMALL.blockBytes, blocksPerGroup: 1_310_720 })
    const writer = await volumes.open(id)
    const far = [0, 2 ** 20, 2 ** 33, 2 ** 34 - 1]
    await writeDurably(writer, ...far.map((block, i) => put(block, i + 1)))
    assert.equal((await volumes.get(id)).groups.size, 3)
    const next = await volumes.open(id)
    assert.deepEqual(await valuesIn(next, far), [1, 2, 3, 4])
    assert.deepEqual(await valuesIn(next, [1, 2 ** 33 - 1, 2 ** 33 + 1, 2 ** 32]), [0, 0, 0, 0])
  })
})
