import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Lsn, lsn, type VolumeId, volumeName } from '../../src/protocol/lsn.ts'
import type { Volumes } from '../../src/volume/volumes.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { LocalFleet, SMALL } from '../local-fleet.ts'
import { hasCode, put, trim, valueIn, valuesIn, writeDurably } from './blocks.ts'

/** A volume with these blocks, its writer, and nodes that know how far it is durable. */
async function volumeWith(
  fleet: LocalFleet,
  volumes: Volumes,
  values: Readonly<Record<number, number>>,
): Promise<VolumeWriter> {
  const writer = await volumes.open(await volumes.create(SMALL))
  await writeDurably(writer, ...Object.entries(values).map(([block, value]) => put(Number(block), value)))
  await fleet.announced()
  return writer
}

const idOf = (writer: VolumeWriter): VolumeId => writer.volume.volume

describe('a branch', () => {
  it('shows its parent as it was, and neither sees what the other writes from then on', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const parent = await volumeWith(fleet, volumes, { 1: 1, 2: 1, 70: 1, 200: 1 })
    const id = await volumes.branch(idOf(parent))
    const branch = await volumes.open(id)
    assert.deepEqual(await valuesIn(branch, [1, 2, 70, 200, 3]), [1, 1, 1, 1, 0])
    await writeDurably(branch, put(1, 2), put(70, 2), put(300, 2))
    await writeDurably(parent, put(2, 3), put(200, 3), put(400, 3))
    await writeDurably(branch, trim(200, 1))
    assert.deepEqual(await valuesIn(branch, [1, 2, 70, 200, 300, 400]), [2, 1, 2, 0, 2, 0])
    assert.deepEqual(await valuesIn(parent, [1, 2, 70, 200, 300, 400]), [1, 3, 1, 3, 0, 3])
    const again = await volumes.open(id)
    assert.deepEqual(await valuesIn(again, [1, 2, 70, 200, 300, 400]), [2, 1, 2, 0, 2, 0])
  })

  it('may begin at any LSN of the past, also inside of a mini-transaction, which it does not show', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const parent = await volumeWith(fleet, volumes, { 1: 1, 70: 1 })
    const first = parent.last
    const second = await writeDurably(parent, put(1, 2), put(70, 2))
    await writeDurably(parent, put(1, 3))
    await fleet.announced()
    for (const [at, expected] of [
      [first, 1],
      [lsn(second - 1), 1],
      [second, 2],
    ] as const) {
      const branch = await volumes.open(await volumes.branch(idOf(parent), at))
      assert.equal((await volumes.get(idOf(branch))).base, at)
      assert.deepEqual(await valuesIn(branch, [1, 70]), [expected, expected])
      await writeDurably(branch, put(2, 9))
      assert.deepEqual(await valuesIn(branch, [1, 2, 70]), [expected, 9, expected])
    }
  })

  it('does not begin where its parent is not durable, nor before its parent begins', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const parent = await volumeWith(fleet, volumes, { 1: 1 })
    await assert.rejects(volumes.branch(idOf(parent), lsn(parent.last + 1_000_000)), hasCode('ReadPointAhead'))
    const branch = await volumes.branch(idOf(parent))
    await assert.rejects(volumes.branch(branch, lsn(parent.last - 1)), hasCode('ReadPointTooOld'))
    assert.deepEqual((await volumes.list()).sort(), [idOf(parent), branch].sort())
    assert.deepEqual(
      (await volumes.get(idOf(parent))).pins.map(({ id }) => id),
      [volumeName(branch)],
    )
  })

  it('of a branch of a branch shows each as it was', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const parent = await volumeWith(fleet, volumes, { 1: 1, 2: 1, 3: 1, 70: 1, 130: 1 })
    const child = await volumes.open(await volumes.branch(idOf(parent)))
    await writeDurably(child, put(2, 2), put(70, 2))
    await fleet.announced()
    const grandchild = await volumes.open(await volumes.branch(idOf(child)))
    await writeDurably(child, put(1, 8), put(130, 8))
    await writeDurably(parent, put(1, 9), put(70, 9), put(130, 9))
    await writeDurably(grandchild, put(3, 3))
    const blocks = [1, 2, 3, 70, 130]
    assert.deepEqual(await valuesIn(grandchild, blocks), [1, 2, 3, 2, 1])
    await writeDurably(grandchild, put(131, 3), put(71, 3))
    assert.deepEqual(await valuesIn(grandchild, [...blocks, 131, 71]), [1, 2, 3, 2, 1, 3, 3])
    assert.deepEqual(await valuesIn(child, blocks), [8, 2, 1, 2, 8])
    assert.deepEqual(await valuesIn(parent, blocks), [9, 1, 1, 9, 9])
  })

  it('is what a model of copies says, whatever tree of branches grows', async () => {
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          what: fc.constant('put' as const),
          of: fc.nat(9),
          block: fc.nat(139),
          value: fc.integer({ min: 1, max: 255 }),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          what: fc.constant('trim' as const),
          of: fc.nat(9),
          block: fc.nat(139),
          count: fc.integer({ min: 1, max: 70 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ what: fc.constant('branch' as const), of: fc.nat(9), back: fc.nat(3) }) },
    )
    interface Modelled {
      readonly writer: VolumeWriter
      /** What it shows at each LSN that it had. */
      readonly history: { readonly at: Lsn; readonly values: ReadonlyMap<number, number> }[]
    }
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        using fleet = await LocalFleet.start()
        const { volumes } = fleet.client()
        const root = await volumeWith(fleet, volumes, { 0: 1 })
        const all: Modelled[] = [{ writer: root, history: [{ at: root.vdl, values: new Map([[0, 1]]) }] }]
        for (const each of steps) {
          const of = all[each.of % all.length] as Modelled
          const now = of.history.at(-1) as Modelled['history'][number]
          const values = new Map(now.values)
          if (each.what === 'branch') {
            await fleet.announced()
            const from = of.history.at(-1 - (each.back % of.history.length)) as typeof now
            const writer = await volumes.open(await volumes.branch(idOf(of.writer), from.at))
            all.push({ writer, history: [from] })
          } else if (each.what === 'put') {
            values.set(each.block, each.value)
            of.history.push({ at: await writeDurably(of.writer, put(each.block, each.value)), values })
          } else {
            for (let i = 0; i < each.count; i++) values.delete(each.block + i)
            of.history.push({ at: await writeDurably(of.writer, trim(each.block, each.count)), values })
          }
        }
        await fleet.announced()
        for (const { writer, history } of all) {
          for (const { at, values } of history.slice(-4)) {
            const view = await volumes.view(idOf(writer), at)
            for (let block = 0; block < 210; block++) assert.equal(await valueIn(view, block), values.get(block) ?? 0)
            await view.close()
          }
        }
      }),
      { numRuns: 15 },
    )
  })
})

describe('a parent', () => {
  it('is not deleted while branches show it, and nothing has changed then', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const parent = await volumeWith(fleet, volumes, { 1: 1 })
    const branch = await volumes.branch(idOf(parent))
    const before = await volumes.get(idOf(parent))
    await assert.rejects(volumes.delete(idOf(parent)), hasCode('BadRequest'))
    assert.deepEqual(await volumes.get(idOf(parent)), before)
    assert.equal(await valueIn(await volumes.open(branch), 1), 1)

    await volumes.delete(branch)
    await volumes.delete(idOf(parent))
    assert.deepEqual(await volumes.list(), [])
    for (const { node } of fleet.nodes.values()) assert.equal(node.table.volumes.size, 0, 'nodes have forgotten both')
    await assert.rejects(volumes.open(branch), hasCode('NotFound'))
  })

  it('goes when its branch was detached, which then has everything itself', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const blocks = Object.fromEntries(Array.from({ length: 150 }, (_, block) => [block, 1 + (block % 7)]))
    const parent = await volumeWith(fleet, volumes, blocks)
    const branch = await volumes.open(await volumes.branch(idOf(parent)))
    await writeDurably(branch, put(3, 99), trim(10, 5))
    await writeDurably(parent, put(4, 98))
    await volumes.detach(idOf(branch))
    await volumes.detach(idOf(branch))
    assert.equal((await volumes.get(idOf(branch))).parent, null)
    await volumes.delete(idOf(parent))
    const expected = { ...blocks, 3: 99, 10: 0, 11: 0, 12: 0, 13: 0, 14: 0 }
    const all = Object.keys(expected).map(Number)
    for (const node of fleet.nodes.values()) {
      node.kill()
      node.start()
    }
    const again = await volumes.open(idOf(branch))
    assert.deepEqual(await valuesIn(again, all), Object.values(expected))
    await writeDurably(again, put(4, 97))
    assert.equal(await valueIn(again, 4), 97)
  })

  it('is not let go by a branch that has branches, as they show it too', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const parent = await volumeWith(fleet, volumes, { 1: 1, 70: 1, 71: 1 })
    // The child has nothing of its own in the second group, so that the grandchild shows the parent's there.
    const child = await volumes.open(await volumes.branch(idOf(parent)))
    await writeDurably(child, put(2, 2))
    await fleet.announced()
    const grandchild = await volumes.open(await volumes.branch(idOf(child)))
    await writeDurably(grandchild, put(71, 3))
    await fleet.announced()
    const before = await volumes.get(idOf(child))
    await assert.rejects(volumes.detach(idOf(child)), hasCode('BadRequest'))
    assert.deepEqual(await volumes.get(idOf(child)), before)

    await volumes.detach(idOf(grandchild))
    await volumes.detach(idOf(child))
    await volumes.delete(idOf(parent))
    assert.deepEqual(await valuesIn(await volumes.open(idOf(grandchild)), [1, 2, 70, 71]), [1, 2, 1, 3])
    assert.deepEqual(await valuesIn(await volumes.open(idOf(child)), [1, 2, 70, 71]), [1, 2, 1, 1])
    await volumes.delete(idOf(child))
    assert.deepEqual(await valuesIn(await volumes.open(idOf(grandchild)), [1, 2, 70, 71]), [1, 2, 1, 3])
  })
})
