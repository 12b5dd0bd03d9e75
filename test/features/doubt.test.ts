import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { groupIndex, type VolumeId } from '../../src/protocol/lsn.ts'
import { MessageType, readCall } from '../../src/protocol/message.ts'
import type { Segment } from '../../src/storage/segment.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { type Drop, isAppend, type LocalClient, LocalFleet } from '../local-fleet.ts'
import { fullNodes, openNew, put, valueIn, writeDurably } from './blocks.ts'

const segmentOn = (fleet: LocalFleet, name: string, volume: VolumeId): Segment =>
  fleet.node(name).node.table.need(volume, groupIndex(0))

/** Whether something is done within so many virtual milliseconds. */
const within = (fleet: LocalFleet, ms: number, work: Promise<unknown>): Promise<boolean> =>
  Promise.race([
    work.then(
      () => true,
      () => true,
    ),
    fleet.pass(ms).then(() => false),
  ])

/** The members of the first group: full ones and tails. */
function membersOf(fleet: LocalFleet, writer: VolumeWriter): { full: string[]; tail: string[] } {
  const full = fullNodes(writer)
  return { full, tail: [...fleet.nodes.keys()].filter((name) => !full.includes(name)) }
}

/** For `drop`: nodes do not talk to each other. */
const noGossip =
  (fleet: LocalFleet): Drop =>
  ({ from, to }) =>
    fleet.nodes.has(from) && fleet.nodes.has(to)

/**
 * A volume without a writer whose block 1 was written as 1, which all six copies have, and then as 2, which four have
 * and the other two, one of them full, have not. Nobody was told that it is durable, and nodes do not talk to each other.
 */
async function withFour(
  fleet: LocalFleet,
): Promise<{ id: VolumeId; having: readonly string[]; lacking: readonly string[] }> {
  const client = fleet.client()
  const writer = await openNew(fleet, client)
  const id = writer.volume.volume
  await writeDurably(writer, put(1, 1))
  await fleet.until('all have it', () =>
    [...fleet.nodes.keys()].every((name) => segmentOn(fleet, name, id).scl >= writer.last),
  )
  const { full, tail } = membersOf(fleet, writer)
  const lacking = [full[0] as string, tail[0] as string]
  const silent = noGossip(fleet)
  fleet.drop = (message) =>
    silent(message) || message.type === MessageType.VDL || (isAppend(message.type) && lacking.includes(message.to))
  await writeDurably(writer, put(1, 2))
  client.close()
  fleet.drop = silent
  return { id, having: [full[1] as string, tail[1] as string, full[2] as string, tail[2] as string], lacking }
}

async function truncationsOf(client: LocalClient, id: VolumeId): Promise<number> {
  return (await client.volumes.get(id)).truncations.length
}

describe('a copy in doubt', () => {
  it('is healed by a read quorum of others, neither by itself nor by others in doubt', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    const id = writer.volume.volume
    for (let value = 1; value < 20; value++) await writeDurably(writer, put(value, value))
    await fleet.announced()
    const { full, tail } = membersOf(fleet, writer)
    client.close()
    const [sickFull = '', , lostFull = ''] = full
    const [sickTail = '', , lostTail = ''] = tail
    for (const name of [lostFull, lostTail]) fleet.node(name).kill()
    const sick = [sickFull, sickTail].map((name) => segmentOn(fleet, name, id))
    for (const name of [sickFull, sickTail]) fleet.node(name).node.forgetLogs(id)
    await fleet.pass(5_000)
    assert.deepEqual(
      sick.map(({ state }) => state),
      ['suspect', 'suspect'],
    )
    fleet.node(lostTail).start()
    await fleet.until('both are healed', () => sick.every(({ state }) => state === 'active'))
    for (const { scl } of sick) assert.equal(scl, writer.last)
  })

  it('is nobody to an opening, which would cut what only the others have', async () => {
    using fleet = await LocalFleet.start()
    const { id, having } = await withFour(fleet)
    const [forgetful1 = '', forgetful2 = '', ...away] = having
    for (const name of [forgetful1, forgetful2]) fleet.node(name).node.forgetLogs(id)
    for (const name of away) fleet.node(name).kill()
    const client = fleet.client()
    const before = await truncationsOf(client, id)
    const opening = client.volumes.open(id)
    assert.equal(await within(fleet, 3_000, opening), false)
    assert.equal(await truncationsOf(client, id), before)
    fleet.drop = undefined
    for (const name of away) fleet.node(name).start()
    assert.equal(await valueIn(await opening, 1), 2)
  })

  it('that lost its log since it was fenced is not believed about the end of it', async () => {
    using fleet = await LocalFleet.start()
    const { id, having } = await withFour(fleet)
    const [asked1 = '', asked2 = '', ...away] = having
    for (const name of away) fleet.node(name).kill()
    const client = fleet.client()
    const silent = noGossip(fleet)
    let forgot = 0
    fleet.drop = (message) => {
      const { to, type, body } = message
      if (type === MessageType.CALL && [asked1, asked2].includes(to) && readCall(body).method === 'summaries') {
        fleet.node(to).node.forgetLogs(id)
        forgot++
      }
      return silent(message)
    }
    const before = await truncationsOf(client, id)
    await assert.rejects(client.volumes.open(id))
    assert.ok(forgot > 0)
    assert.equal(await truncationsOf(client, id), before)
    fleet.drop = undefined
    for (const name of away) fleet.node(name).start()
    assert.equal(await valueIn(await fleet.client().volumes.open(id), 1), 2)
  })
})

describe('an opening', () => {
  it('waits until a write quorum has what may be on two copies alone', async () => {
    using fleet = await LocalFleet.start()
    const { id, having } = await withFour(fleet)
    for (const name of having.slice(2)) fleet.node(name).kill()
    const opening = fleet.client().volumes.open(id)
    assert.equal(await within(fleet, 3_000, opening), false)
    fleet.drop = undefined
    assert.equal(await valueIn(await opening, 1), 2)
  })
})

describe('a tail', () => {
  it('keeps its log until it has heard from all full members that they have it in layers', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    const id = writer.volume.volume
    for (let value = 1; value < 20; value++) await writeDurably(writer, put(value, value))
    await fleet.announced()
    const { full, tail } = membersOf(fleet, writer)
    const flushedOf = (names: readonly string[]): number[] => names.map((name) => segmentOn(fleet, name, id).flushed)
    const flush = async (names: readonly string[]): Promise<void> => {
      for (const name of names) fleet.node(name).node.work.wantFlush(segmentOn(fleet, name, id))
      await fleet.until('it is in layers', () => flushedOf(names).every((flushed) => flushed > 0))
    }
    const [last = '', ...others] = full
    await flush(others)
    const rounds = 3 * fleet.node(last).options.gossipMs
    await fleet.pass(rounds)
    assert.deepEqual(flushedOf(tail), [0, 0, 0])
    fleet.node(last).kill()
    for (const name of tail) {
      fleet.node(name).kill()
      fleet.node(name).start()
    }
    await fleet.pass(rounds)
    assert.deepEqual(flushedOf(tail), [0, 0, 0], 'who is away may need it')
    fleet.node(last).start()
    await fleet.pass(rounds)
    assert.deepEqual(flushedOf(tail), [0, 0, 0])
    await flush([last])
    await fleet.until('all have let go of it', () => flushedOf(tail).every((flushed) => flushed > 0))
  })
})
