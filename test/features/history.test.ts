/** Whose history of a block may stand for another copy's: not that of one that is behind, or has collected more. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Calls } from '../../src/protocol/calls.ts'
import { VolumeError } from '../../src/protocol/errors.ts'
import { groupIndex, lsn } from '../../src/protocol/lsn.ts'
import { MessageType, readCall } from '../../src/protocol/message.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { type Drop, isAppend, LocalFleet, type LocalNode } from '../local-fleet.ts'
import { openNew, put, writeDurably } from './blocks.ts'
import { copiesOf, isWhole, NO_SCRUB, readOn, segmentOn, spoilBlock, withBlocks } from './damaged-copies.ts'

const isCall = ({ type, body }: Parameters<Drop>[0], method: string): boolean =>
  type === MessageType.CALL && readCall(body).method === method

const flushOn = async (fleet: LocalFleet, node: LocalNode, writer: VolumeWriter): Promise<void> => {
  const segment = segmentOn(node, writer)
  node.node.work.wantFlush(segment)
  await fleet.until('it is in layers', () => segment.flushed >= writer.vdl)
}

/** The question that a copy with damage in a block asks its peers. */
const questionOf = (node: LocalNode, writer: VolumeWriter, block: number): Calls['history']['argument'] => {
  const { config, flushed, volume, group } = segmentOn(node, writer)
  return {
    volume: volume.state.volume,
    group,
    volumeEpoch: volume.state.epoch,
    membershipEpoch: config.epoch,
    upTo: flushed,
    from: block,
    to: block + 1,
    after: lsn(0),
    basis: '',
  }
}

describe('the history of a block', () => {
  it('is not that of a copy that is behind', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const copies = await withBlocks(fleet)
    const { writer, full } = copies
    const [a, b, c] = full
    c.kill()
    // The one that is left hears of nothing new.
    fleet.drop = ({ to, from, type }) => to === b.name && (isAppend(type) || (fleet.nodes.has(from) && from !== a.name))
    const silent = fleet.drop
    fleet.drop = (message) => silent(message) || (message.from === b.name && isCall(message, 'pull'))
    await writeDurably(writer, put(5, 77))
    await fleet.announced()
    await flushOn(fleet, a, writer)
    assert.ok(segmentOn(b, writer).scl < segmentOn(a, writer).flushed)
    spoilBlock(a, writer, 5)
    assert.equal(readOn(a, writer, 5), 'Corrupt')
    await fleet.pass(3_000)
    assert.equal(readOn(a, writer, 5), 'Corrupt')
    fleet.drop = undefined
    await fleet.until('it was mended', () => segmentOn(a, writer).isWhole)
    assert.equal(readOn(a, writer, 5), 77)
  })

  it('is not that of a copy that has collected more than the other has in layers: that writes its layers first', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const { volumes } = fleet.client()
    const copies = await withBlocks(fleet)
    const { writer, full } = copies
    const [a, b, c] = full
    const old = writer.vdl
    // Enough of it that collecting is worth it.
    for (let value = 0; value < 200; value++) await writeDurably(writer, put(5, value), put(6, value))
    await fleet.announced()
    fleet.drop = (message) => message.to === a.name && isCall(message, 'grant')
    const cutoff = await volumes.collect(writer.volume.volume, writer.vdl)
    for (const node of [b, c]) await flushOn(fleet, node, writer)
    await fleet.until('they have collected', () =>
      [b, c].every((node) => segmentOn(node, writer).layers.collectedTo >= cutoff),
    )
    const { flushed } = segmentOn(a, writer)
    assert.ok(flushed < cutoff)
    assert.equal(readOn(a, writer, 5, old), 6)
    spoilBlock(a, writer, 5)
    assert.equal(readOn(a, writer, 5, old), 'Corrupt')
    await fleet.until('all are whole', () => isWhole(copies))
    assert.equal(readOn(a, writer, 5), 199)
    assert.ok(segmentOn(a, writer).flushed > flushed)
    // What its source was allowed to collect it must not be asked for either.
    assert.equal(readOn(a, writer, 5, old), 'ReadPointTooOld')
  })

  it('does not go on from what was collected since', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    // More than a page of it.
    for (let value = 0; value < 1_500; value++) await writer.write([put(5, value % 250)])
    await writer.sync()
    await fleet.flushed()
    const [, b] = copiesOf(fleet, writer)
    const question = questionOf(b, writer, 5)
    const ask = async (more: Partial<typeof question> = {}) =>
      (await client.context.client.call(b.name, 'history', { ...question, ...more })).value
    const first = await ask()
    assert.ok(first.after > 0 && first.next === 5)
    const second = await ask(first)
    assert.ok(second.after === 0 ? second.next === 6 : second.after > first.after)
    const cutoff = await client.volumes.collect(writer.volume.volume, writer.vdl)
    await fleet.until('it has collected', () => segmentOn(b, writer).layers.collectedTo >= cutoff)
    await assert.rejects(ask(first), (error: unknown) => error instanceof VolumeError && error.code === 'Conflict')
    assert.equal((await ask()).after, 0)
  })

  it('is had from copies that still show their ancestor, though whoever detached the branch is gone', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const { volumes } = fleet.client()
    const { writer: parent } = await withBlocks(fleet)
    const branch = await volumes.open(await volumes.branch(parent.volume.volume))
    await writeDurably(branch, put(3, 99))
    const [a, b, c] = copiesOf(fleet, branch)
    // Detaching came as far as one of them.
    a.node.work.wantMaterialised(segmentOn(a, branch))
    await fleet.until('it was detached', () => segmentOn(a, branch).below === null)
    await flushOn(fleet, a, branch)
    assert.ok([b, c].every((node) => segmentOn(node, branch).below !== null))
    spoilBlock(a, branch, 5)
    assert.equal(readOn(a, branch, 5), 'Corrupt')
    await fleet.until('it was mended', () => segmentOn(a, branch).isWhole)
    assert.equal(readOn(a, branch, 5), 6)
    assert.equal(readOn(a, branch, 3), 99)
  })

  it('is asked of full copies alone, for blocks that there are', async () => {
    using fleet = await LocalFleet.start({ node: NO_SCRUB })
    const client = fleet.client()
    const { writer, full } = await withBlocks(fleet)
    const [a] = full
    const question = questionOf(a, writer, 5)
    const codeOf = async (address: string, more: Partial<typeof question> = {}): Promise<string> => {
      try {
        await client.context.client.call(address, 'history', { ...question, ...more })
        return 'Ok'
      } catch (error) {
        return (error as VolumeError).code
      }
    }
    const tail = [...fleet.nodes.keys()].find((name) => !full.some((node) => node.name === name)) as string
    assert.equal(await codeOf(a.name), 'Ok')
    assert.equal(await codeOf(tail), 'SuspectSegment')
    assert.equal(await codeOf(a.name, { to: 5 }), 'BadRequest')
    assert.equal(await codeOf(a.name, { volumeEpoch: 0 }), 'StaleVolumeEpoch')
    assert.equal(await codeOf(a.name, { membershipEpoch: 9 }), 'StaleMembership')
    assert.equal(await codeOf(a.name, { upTo: lsn(writer.last + 1) }), 'ReadPointAhead')
    assert.equal(await codeOf(a.name, { group: groupIndex(7) }), 'UnknownSegment')
  })
})
