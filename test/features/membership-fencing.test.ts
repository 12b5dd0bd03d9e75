import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { groupIndex, nodeId } from '../../src/protocol/lsn.ts'
import { MessageType } from '../../src/protocol/message.ts'
import { LocalFleet } from '../local-fleet.ts'
import { fullNodes, hasCode, openNew, put, valueIn, writeDurably } from './blocks.ts'

describe('a change of membership beside an opening', () => {
  it('has all that remain refuse the epochs below, also when who claimed the new one got no further', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    const id = writer.volume.volume
    await writeDurably(writer, put(1, 1))
    const place = { placement: id, group: groupIndex(0) }
    const [name = ''] = fullNodes(writer)
    const opener = fleet.client()
    fleet.drop = ({ from, type }) => from === opener.name && type === MessageType.CALL
    opener.volumes.open(id).catch(() => undefined)
    await fleet.until('it has claimed an epoch', async () => (await client.volumes.get(id)).epoch > writer.volume.epoch)
    opener.close()
    fleet.drop = undefined
    const config = await client.membership.replace(place, new Map([[nodeId(name), undefined]]), 20_000)
    assert.equal(config.sets.length, 1)
    const epochs = await Promise.all(
      config.members.map(
        async ({ address }) => (await client.context.client.call(address, 'head', { volume: id })).value.epoch,
      ),
    )
    assert.ok(epochs.filter((epoch) => epoch > writer.volume.epoch).length >= 3, `${epochs}`)
    assert.equal(await valueIn(await fleet.client().volumes.open(id), 1), 1)
  })

  it('is not turned back where too few of the old six can be made to refuse them', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    const place = { placement: writer.volume.volume, group: groupIndex(0) }
    const [name = ''] = fullNodes(writer)
    const joint = await client.membership.begin(place, new Map([[nodeId(name), undefined]]))
    const old = joint.members.slice(0, 6)
    for (const { node } of old.slice(0, 4)) fleet.node(node).kill()
    await assert.rejects(client.membership.turnBack(place), hasCode('Conflict'))
    for (const { node } of old.slice(0, 4)) fleet.node(node).start()
    await fleet.pass(1_000)
    assert.equal((await client.membership.turnBack(place)).sets.length, 1)
    await writeDurably(writer, put(1, 2))
    assert.equal(await valueIn(writer, 1), 2)
  })
})
