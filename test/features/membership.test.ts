import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { GroupConfig } from '../../src/protocol/group.ts'
import { groupIndex, nodeId, type VolumeId } from '../../src/protocol/lsn.ts'
import { FleetHealth } from '../../src/volume/fleet-health.ts'
import { setNodeState } from '../../src/volume/fleet-nodes.ts'
import { readGroup } from '../../src/volume/registry-cells.ts'
import { checkVolume } from '../../src/volume/volume-check.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { isolated, type LocalClient, LocalFleet } from '../local-fleet.ts'
import { fullNodes, hasCode, openNew, put, valueIn, valuesIn, writeDurably } from './blocks.ts'

const idOf = (writer: VolumeWriter): VolumeId => writer.volume.volume

async function groupOf(client: LocalClient, writer: VolumeWriter, group = 0): Promise<GroupConfig> {
  return (await readGroup(client.context.registry, idOf(writer), groupIndex(group))).record
}

const namesOf = (config: GroupConfig): string[] => config.members.map(({ node }) => String(node)).sort()

/** A writer that goes on while something else is done; how far it came is in what it answers. */
async function writingDuring<T>(
  fleet: LocalFleet,
  writer: VolumeWriter,
  work: Promise<T>,
): Promise<{ result: T; value: number }> {
  let state: 'writing' | 'done' = 'writing'
  let value = 0
  const writing = (async () => {
    while (state === 'writing') {
      await writeDurably(writer, put(5, ++value % 251), put(69, value % 251))
      await fleet.pass(5)
    }
  })()
  const result = await work.finally(() => {
    state = 'done'
  })
  await writing
  return { result, value: value % 251 }
}

async function copiesAgree(client: LocalClient, writer: VolumeWriter): Promise<void> {
  const { differences, missing } = await checkVolume(client.context, idOf(writer))
  assert.deepEqual({ differences, missing }, { differences: [], missing: [] })
}

describe('a node that is replaced', () => {
  it('gives each of its segments to another node of its zone, while the volume is written to', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    for (let block = 0; block < 64; block++) await writer.write([put(block, block + 1), put(block + 64, block + 1)])
    await writer.sync()
    await fleet.announced()
    const branch = await client.volumes.open(await client.volumes.branch(idOf(writer)))
    await writeDurably(branch, put(0, 200))
    const [lost = ''] = fullNodes(writer)
    fleet.node(lost).kill()
    const { result, value } = await writingDuring(fleet, writer, fleet.client().membership.replaceNode(nodeId(lost)))
    assert.ok(result >= 1)
    for (const group of [0, 1]) {
      const config = await groupOf(client, writer, group)
      assert.ok(!namesOf(config).includes(lost))
      assert.equal(config.sets.length, 1)
    }
    assert.deepEqual(await valuesIn(writer, [5, 69, 6, 70]), [value, value, 7, 7])
    await writeDurably(branch, put(1, 201))
    assert.deepEqual(await valuesIn(branch, [0, 1, 2, 5]), [200, 201, 3, 6])
    await fleet.announced()
    await copiesAgree(client, writer)
    await copiesAgree(client, branch)
  })

  it('by itself with an empty disk is a member anew', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    for (let block = 0; block < 30; block++) await writeDurably(writer, put(block, block + 1))
    const [lost = ''] = fullNodes(writer)
    const node = fleet.node(lost)
    node.format()
    await fleet.register(node)
    await writeDurably(writer, put(0, 99))
    const place = { placement: idOf(writer), group: groupIndex(0) }
    const config = await client.membership.replace(place, new Map([[nodeId(lost), undefined]]))
    assert.ok(config.members.some(({ incarnation }) => incarnation === node.node.incarnation))
    for (const name of fullNodes(writer)) if (name !== lost) fleet.node(name).kill()
    const view = await fleet.client().volumes.view(idOf(writer), writer.vdl)
    assert.deepEqual(await valuesIn(view, [0, 1, 29]), [99, 2, 30])
  })

  it('that is only away comes back to nothing: it holds no segment any more', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    const [away = ''] = fullNodes(writer)
    fleet.node(away).kill()
    await client.membership.replaceNode(nodeId(away))
    fleet.node(away).start()
    await writeDurably(writer, put(1, 2))
    await fleet.pass(2_000)
    await writeDurably(writer, put(1, 3))
    assert.equal(await valueIn(writer, 1), 3)
    assert.ok(!writer.replication.groups.get(groupIndex(0))?.config.members.some(({ node }) => node === away))
  })
})

describe('a change of membership', () => {
  it('can be turned back, as if nothing had been', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    const before = await groupOf(client, writer)
    const [name = ''] = fullNodes(writer)
    const place = { placement: idOf(writer), group: groupIndex(0) }
    const joint = await client.membership.begin(place, new Map([[nodeId(name), undefined]]))
    assert.equal(joint.members.length, 7)
    await writeDurably(writer, put(1, 2))
    const back = await fleet.client().membership.turnBack(place)
    assert.deepEqual([namesOf(back), back.epoch], [namesOf(before), 3])
    await writeDurably(writer, put(1, 3))
    assert.equal(await valueIn(writer, 1), 3)
    await fleet.pass(200)
    const holders = [...fleet.nodes.values()].filter(({ node }) => node.table.get(idOf(writer), groupIndex(0)))
    assert.deepEqual(holders.map(({ name: holder }) => holder).sort(), namesOf(before))
    assert.deepEqual(await client.membership.turnBack(place), back, 'there is nothing to turn back any more')
  })

  it('can be ended by another program than the one that began it', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const writer = await openNew(fleet)
    await writeDurably(writer, put(1, 1))
    const [name = ''] = fullNodes(writer)
    const place = { placement: idOf(writer), group: groupIndex(0) }
    const first = fleet.client()
    await first.membership.begin(place, new Map([[nodeId(name), undefined]]))
    first.close()
    const second = fleet.client()
    const { result, value } = await writingDuring(fleet, writer, second.membership.complete(place))
    assert.ok(!namesOf(result).includes(name))
    assert.deepEqual(await second.membership.complete(place), result)
    assert.equal(await valueIn(writer, 5), value)
  })

  it('does not end while the new member holds nothing, and can still be turned back then', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    const before = await groupOf(client, writer)
    const [name = ''] = fullNodes(writer)
    const spare = fleet.zone(fleet.node(name).zone).find((node) => !namesOf(before).includes(node.name))?.name ?? ''
    fleet.drop = isolated(spare)
    const place = { placement: idOf(writer), group: groupIndex(0) }
    const replacing = client.membership.replace(place, new Map([[nodeId(name), undefined]]), 3_000)
    await assert.rejects(replacing, hasCode('TimedOut'))
    assert.equal((await groupOf(client, writer)).sets.length, 2)
    await writeDurably(writer, put(1, 2))
    await client.membership.turnBack(place)
    await writeDurably(writer, put(1, 3))
    assert.deepEqual(namesOf(await groupOf(client, writer)), namesOf(before))
  })

  it('mends a group that lost a zone and one node more: reads go on meanwhile, writes afterwards', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 4 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    for (let block = 0; block < 20; block++) await writeDurably(writer, put(block, block + 1))
    const config = await groupOf(client, writer)
    const lost = config.members.filter(({ zone }) => zone === 'a')
    const oneMore = config.members.find(({ zone, kind }) => zone === 'b' && kind === 'full')
    if (oneMore !== undefined) lost.push(oneMore)
    for (const { node } of lost) fleet.node(node).kill()
    const write = writer.write([put(1, 99)])
    await write
    const sync = writer.sync()
    assert.equal(await valueIn(writer, 2), 3)
    const place = { placement: idOf(writer), group: groupIndex(0) }
    await client.membership.replace(place, new Map(lost.map(({ node }) => [node, undefined])))
    await sync
    assert.deepEqual(await valuesIn(writer, [1, 2, 19]), [99, 3, 20])
    await fleet.announced()
    await copiesAgree(client, writer)
  })

  it('is refused for who is no member, without a node to take the place, and while another is under way', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const { membership } = client
    const writer = await openNew(fleet, client)
    const before = await groupOf(client, writer)
    const place = { placement: idOf(writer), group: groupIndex(0) }
    const one = (name: string) => new Map([[nodeId(name), undefined]])
    await assert.rejects(membership.replace(place, one('nobody')), hasCode('NotFound'))
    await assert.rejects(membership.replace(place, one('a1')), hasCode('NoQuorum'))
    await assert.rejects(membership.replace({ ...place, group: groupIndex(7) }, one('a1')), hasCode('NotFound'))
    const spare = await fleet.addNode('a3', 'a')
    await setNodeState(fleet.registry, 'a3', 'draining')
    await assert.rejects(membership.replace(place, one('a1')), hasCode('NoQuorum'))
    assert.deepEqual(await groupOf(client, writer), before)
    await fleet.register(spare)
    await fleet.addNode('a4', 'a')
    await membership.begin(place, one('a1'))
    await assert.rejects(membership.begin(place, one('a2')), hasCode('Conflict'))
    await assert.rejects(setNodeState(fleet.registry, 'nobody', 'ready'), hasCode('NotFound'))
  })
})

describe('self-healing', () => {
  it('replaces a node that has been lost for long, and not one that restarts', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    for (let block = 0; block < 10; block++) await writeDurably(writer, put(block, block + 1))
    const health = new FleetHealth(client.context, client.membership)
    const [name = ''] = fullNodes(writer)
    assert.deepEqual(await health.heal().then(({ lost, healed, failures }) => [lost, healed, failures]), [[], 0, []])
    fleet.node(name).kill()
    await fleet.pass(8_000)
    assert.deepEqual((await health.heal()).lost, [])
    await fleet.pass(3_000)
    const report = await health.heal()
    assert.deepEqual([report.lost, report.healed, report.failures], [[name], 1, []])
    assert.ok(!namesOf(await groupOf(client, writer)).includes(name))
    await writeDurably(writer, put(0, 50))
    assert.deepEqual(await valuesIn(writer, [0, 9]), [50, 10])
  })

  it('ends what others left under way, and turns back what cannot end', async () => {
    using fleet = await LocalFleet.start({ nodesPerZone: 3 })
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    await writeDurably(writer, put(1, 1))
    const before = await groupOf(client, writer)
    const [name = ''] = fullNodes(writer)
    const place = { placement: idOf(writer), group: groupIndex(0) }
    const joint = await client.membership.begin(place, new Map([[nodeId(name), undefined]]))
    const fresh = namesOf(joint).find((node) => !namesOf(before).includes(node)) ?? ''
    fleet.node(fresh).kill()
    const health = new FleetHealth(client.context, client.membership, { changeMsMax: 2_000 })
    await health.heal()
    await fleet.pass(11_000)
    await health.heal()
    assert.deepEqual(namesOf(await groupOf(client, writer)), namesOf(before))
    await writeDurably(writer, put(1, 2))
    assert.equal(await valueIn(writer, 1), 2)
  })
})
