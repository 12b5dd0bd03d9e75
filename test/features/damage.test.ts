/** Damage in the layers of several full copies of one group: they mend each other, and nobody sees a wrong byte. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { nodeId } from '../../src/protocol/lsn.ts'
import { MessageType, readCall } from '../../src/protocol/message.ts'
import { LocalFleet, SMALL } from '../local-fleet.ts'
import { openNew, put, trim, valueIn, writeDurably } from './blocks.ts'
import {
  BLOCKS,
  type Copies,
  damagesIn,
  isWhole,
  NO_SCRUB,
  readOn,
  segmentOn,
  spoil,
  spoilBlock,
  withBlocks,
} from './damaged-copies.ts'

/** Every block reads as it should, through the volume and from each copy. */
async function checkAll(fleet: LocalFleet, { writer, full }: Copies, except: readonly number[] = []): Promise<void> {
  const view = await fleet.client().volumes.view(writer.volume.volume)
  for (let block = 0; block < BLOCKS; block++) {
    if (except.includes(block)) continue
    assert.equal(await valueIn(view, block), block + 1)
    for (const node of full) assert.equal(readOn(node, writer, block), block + 1, `block ${block} on ${node.name}`)
  }
  await view.close()
}

describe('full copies that are damaged in different blocks', () => {
  it('mend each other as soon as the damage is read, and copy nothing else', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const copies = await withBlocks(fleet)
    const { writer, full } = copies
    const rebuilds = full.map(({ node }) => node.counters.rebuilds)
    full.forEach((node, i) => {
      for (const block of [3 * i, 3 * i + 1, 20 + i]) spoilBlock(node, writer, block)
    })
    const { volumes } = fleet.client()
    for (let round = 0; round < 3; round++) {
      const view = await volumes.view(writer.volume.volume)
      for (let block = 0; block < BLOCKS; block++) assert.equal(await valueIn(view, block), block + 1)
      await view.close()
    }
    // Which copy a view asks is not ours to choose: here each is asked for everything.
    for (const node of full) for (let block = 0; block < BLOCKS; block++) readOn(node, writer, block)
    await fleet.until('all are whole', () => isWhole(copies))
    await checkAll(fleet, copies)
    assert.deepEqual(
      full.map(({ node }) => node.counters.rebuilds),
      rebuilds,
      'nothing but the damaged blocks was copied',
    )
    for (const { node } of full) assert.ok((node.counters.columnsMended ?? 0) > 0)
  })

  it('serve everything else meanwhile, and the damaged blocks from a copy that is good there', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const copies = await withBlocks(fleet)
    const { writer, full } = copies
    const [a, b, c] = full
    fleet.drop = ({ type, body }) => type === MessageType.CALL && readCall(body).method === 'history'
    spoilBlock(a, writer, 5)
    spoilBlock(b, writer, 5)
    for (const node of [a, b]) assert.equal(readOn(node, writer, 5), 'Corrupt')
    for (const node of [a, b]) {
      assert.equal(readOn(node, writer, 5), 'Corrupt')
      assert.equal(readOn(node, writer, 6), 7)
      const report = segmentOn(node, writer).report()
      assert.deepEqual([report.suspect, report.flushed, report.damagedBlocks], [false, 0, 1])
    }
    const view = await fleet.client().volumes.view(writer.volume.volume)
    for (let round = 0; round < 10; round++) assert.equal(await valueIn(view, 5), 6)
    await view.close()
    assert.equal(readOn(c, writer, 5), 6)
    await writeDurably(writer, put(5, 77), put(6, 78))
    fleet.drop = undefined
    await fleet.until('all are whole', () => isWhole(copies))
    await fleet.announced()
    for (const node of full) {
      await fleet.until('it is there', () => readOn(node, writer, 5) === 77)
      assert.equal(readOn(node, writer, 6), 78)
    }
  })

  it('mend files that are gone or cut, too', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const copies = await withBlocks(fleet)
    const { writer, full } = copies
    const [a, b, c] = full
    const { layers, folder } = segmentOn(a, writer)
    for (const { file } of layers.refs) a.disk.remove(`${folder}/${file}`)
    layers.close()
    spoilBlock(b, writer, 5)
    spoilBlock(c, writer, 9)
    for (const [node, block] of [
      [a, 0],
      [b, 5],
      [c, 9],
    ] as const)
      assert.equal(readOn(node, writer, block), 'Corrupt')
    await fleet.until('all are whole', () => isWhole(copies))
    await checkAll(fleet, copies)
  })

  it('let a new member take their layers, once it has told them of damage that nobody had read', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3, node: NO_SCRUB })
    const copies = await withBlocks(fleet)
    const { writer, full } = copies
    const [a, b, c] = full
    // What the new member lacks is in layers alone.
    for (const { node } of fleet.nodes.values()) for (const each of node.table.all()) each.log.dropFiles(1 << 30)
    spoilBlock(a, writer, 5)
    spoilBlock(b, writer, 9)
    c.kill()
    const { membership } = fleet.client()
    await membership.replaceNode(nodeId(c.name), 4, 60_000)
    const mended = [a, b].map(({ node }) => node.counters.columnsMended ?? 0)
    assert.ok(Math.max(...mended) > 0, `${mended}`)
  })
})

describe('a scrub', () => {
  it('begins when a node starts: what befell its disk meanwhile is mended though nobody reads it', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const { writer, full } = await withBlocks(fleet)
    const [a] = full
    spoilBlock(a, writer, 5)
    a.kill()
    a.start()
    await fleet.until('it was found and mended', () => (a.node.counters.columnsMended ?? 0) > 0)
    assert.equal(damagesIn(segmentOn(a, writer)), 0)
  })

  it('comes to every segment, also when it takes longer than the time between two of them', async () => {
    using fleet = await LocalFleet.start({ node: { scrubEveryMs: 100, scrubBytesPerSecond: 10_000 } })
    const writer = await openNew(fleet)
    const groups = [0, 1, 2]
    for (const group of groups)
      for (let n = 0; n < BLOCKS; n++) await writer.write([put(group * SMALL.blocksPerGroup + n, n + 1)])
    await writer.sync()
    await fleet.flushed()
    const all = [...fleet.nodes.values()].flatMap((node) =>
      [...node.node.table.all()].filter(({ kind }) => kind === 'full').map((segment) => ({ node, segment })),
    )
    assert.equal(all.length, 3 * groups.length)
    // Each copy of each group in a block of its own.
    for (const [i, { node, segment }] of all.entries()) spoil(node, segment, i)
    await fleet.until('all of it was found', () => all.every(({ node }) => (node.node.counters.damage ?? 0) > 0))
    await fleet.until('all of it was mended', () =>
      all.every(({ segment }) => segment.isWhole && damagesIn(segment) === 0),
    )
  })
})

describe('a block that is damaged on all full copies', () => {
  it('is never answered with wrong bytes, and everything else goes on', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const copies = await withBlocks(fleet)
    const { writer, full } = copies
    for (const node of full) {
      spoilBlock(node, writer, 5)
      readOn(node, writer, 5)
    }
    // Deltas on top of what nobody can read: no reason to stop writing layers.
    for (let value = 0; value < 40; value++) await writeDurably(writer, put(6, 1 + (value % 5)))
    for (let round = 0; round < 3; round++) {
      await fleet.pass(2_000)
      for (const node of full) assert.equal(readOn(node, writer, 5), 'Corrupt')
    }
    await fleet.flushed()
    await writeDurably(writer, put(6, 7))
    await fleet.announced()
    await checkAll(fleet, copies, [5])
    for (const { node } of full) assert.ok((node.counters.mendedByNobody ?? 0) > 3, 'it says so')
    // What is written anew can be read again, as it does not rest on what is lost.
    await writeDurably(writer, trim(5, 1))
    await writeDurably(writer, put(5, 50))
    await fleet.announced()
    for (const node of full) assert.equal(readOn(node, writer, 5), 50)
  })
})
