import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VolumeError } from '../../src/protocol/errors.ts'
import { blockNumber, groupIndex, type Lsn, lsn } from '../../src/protocol/lsn.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { type LocalClient, LocalFleet } from '../local-fleet.ts'
import { fullNodes, hasCode, openNew, put, trim, valueIn, writeDurably } from './blocks.ts'

/** Versions 1, 2, 3 ... of a block: their LSNs. */
async function versions(fleet: LocalFleet, writer: VolumeWriter, block: number, count: number): Promise<Lsn[]> {
  const lsns: Lsn[] = []
  for (let value = 1; value <= count; value++) lsns.push(await writeDurably(writer, put(block, value)))
  await fleet.announced()
  return lsns
}

/** Asks a node itself, past the registry: what it answers is what it has kept. */
function askNode(
  client: LocalClient,
  writer: VolumeWriter,
  node: string,
  block: number,
  at: Lsn,
): Promise<number | string> {
  const config = writer.replication.groups.get(groupIndex(0))?.config
  if (config === undefined) throw new Error('no group')
  return new Promise((resolve) =>
    client.context.client.read(
      node,
      {
        volume: writer.volume.volume,
        group: config.group,
        block,
        volumeEpoch: 0,
        membershipEpoch: config.epoch,
        readPoint: at,
        minScl: null,
      },
      (page) => resolve(page instanceof VolumeError ? page.code : (page.bytes[0] ?? 0)),
    ),
  )
}

describe('the past of a volume', () => {
  it('is readable down to the cutoff; below, only what is pinned, also after the copies were compacted', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const { volumes } = client
    const writer = await openNew(fleet, client)
    const id = writer.volume.volume
    const at = await versions(fleet, writer, 5, 40)
    const lsnOf = (version: number): Lsn => at[version - 1] as Lsn
    assert.equal(await volumes.pin(id, 'night', lsnOf(10)), lsnOf(10))
    assert.equal(await volumes.collect(id, lsnOf(30)), lsnOf(30))
    for (const state of ['told', 'compacted'] as const) {
      if (state === 'compacted') {
        await fleet.flushed()
        await fleet.until('nodes have collected', () =>
          fullNodes(writer).every((node) => (fleet.node(node).node.counters.collections ?? 0) > 0),
        )
      }
      for (const version of [1, 9, 11, 29]) {
        await assert.rejects(
          volumes.view(id, lsnOf(version)),
          hasCode('ReadPointTooOld'),
          `version ${version}, ${state}`,
        )
      }
      for (const version of [10, 30, 31, 40]) {
        const view = await volumes.view(id, lsnOf(version))
        assert.equal(await valueIn(view, 5), version, state)
        await view.close()
      }
      for (const node of fullNodes(writer)) {
        assert.equal(await askNode(client, writer, node, 5, lsnOf(11)), 'ReadPointTooOld')
        assert.equal(await askNode(client, writer, node, 5, lsnOf(10)), 10)
        assert.equal(await askNode(client, writer, node, 5, lsnOf(30)), 30)
      }
    }
    await volumes.unpin(id, 'night')
    await volumes.collect(id, lsnOf(30))
    await assert.rejects(volumes.view(id, lsnOf(10)), hasCode('ReadPointTooOld'))
    for (const node of fullNodes(writer)) {
      assert.equal(await askNode(client, writer, node, 5, lsnOf(10)), 'ReadPointTooOld')
    }
    assert.equal(await valueIn(writer, 5), 40)
  })

  it('is kept for a branch, whatever its parent collects and trims', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const { volumes } = client
    const writer = await openNew(fleet, client)
    const at = await versions(fleet, writer, 5, 20)
    const branch = await volumes.open(await volumes.branch(writer.volume.volume, at[7]))
    await writeDurably(writer, trim(5, 1))
    await fleet.announced()
    await volumes.collect(writer.volume.volume, writer.vdl)
    await fleet.flushed()
    await fleet.until('nodes have collected', () =>
      fullNodes(writer).every((node) => (fleet.node(node).node.counters.collections ?? 0) > 0),
    )
    assert.equal(await valueIn(branch, 5), 8)
    assert.equal(await valueIn(writer, 5), 0)
    assert.equal(await valueIn(await volumes.open(branch.volume.volume), 5), 8)
  })

  it('is never collected above what is durable, and the cutoff never goes back', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    const id = writer.volume.volume
    const at = await versions(fleet, writer, 5, 5)
    assert.equal(await client.volumes.collect(id, lsn(2 ** 50)), writer.vdl)
    assert.equal(await client.volumes.collect(id, at[1] as Lsn), writer.vdl)
    assert.equal(await valueIn(await client.volumes.view(id), 5), 5)
  })

  it('survives nodes that were away while it was collected: they learn it and keep no more than that', async () => {
    using fleet = await LocalFleet.start()
    const client = fleet.client()
    const writer = await openNew(fleet, client)
    const id = writer.volume.volume
    const at = await versions(fleet, writer, 5, 10)
    const [away = ''] = fullNodes(writer)
    fleet.node(away).kill()
    await client.volumes.collect(id, at[7] as Lsn)
    fleet.node(away).start()
    await writeDurably(writer, put(5, 11))
    await fleet.announced()
    await client.volumes.collect(id, at[7] as Lsn)
    assert.equal(await askNode(client, writer, away, 5, at[3] as Lsn), 'ReadPointTooOld')
    assert.equal(await askNode(client, writer, away, 5, at[8] as Lsn), 9)
  })
})

describe('a pin', () => {
  it('has a name of its own and a point that is durable and kept; else nothing is pinned', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const writer = await openNew(fleet)
    const id = writer.volume.volume
    const at = await versions(fleet, writer, 5, 4)
    const first = await volumes.pin(id, 'a')
    assert.equal(first, writer.vdl)
    const before = await volumes.get(id)
    await assert.rejects(volumes.pin(id, 'a', at[1]), hasCode('AlreadyExists'))
    await assert.rejects(volumes.pin(id, 'b', lsn(writer.vdl + 1_000_000)), hasCode('ReadPointAhead'))
    await assert.rejects(volumes.pin(id, ''), hasCode('BadRequest'))
    await assert.rejects(volumes.pin(id, 'b', lsn(0.5)), hasCode('BadRequest'))
    await assert.rejects(volumes.unpin(id, 'b'), hasCode('NotFound'))
    assert.deepEqual(await volumes.get(id), before)
    await volumes.collect(id, at[2] as Lsn)
    await assert.rejects(volumes.pin(id, 'b', at[1]), hasCode('ReadPointTooOld'))
    assert.equal(await volumes.pin(id, 'a', first), first, 'the same again')
  })

  it('of a branch is not removed by name', async () => {
    using fleet = await LocalFleet.start()
    const { volumes } = fleet.client()
    const writer = await openNew(fleet)
    await versions(fleet, writer, 5, 2)
    await volumes.branch(writer.volume.volume)
    const { pins } = await volumes.get(writer.volume.volume)
    await assert.rejects(volumes.unpin(writer.volume.volume, pins[0]?.id ?? ''), hasCode('NotFound'))
    assert.deepEqual((await volumes.get(writer.volume.volume)).pins, pins)
  })
})

describe('a lease', () => {
  it('holds the past of an open view, as long as its program lives', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    const id = writer.volume.volume
    const at = await versions(fleet, writer, 5, 10)
    const { volumes } = fleet.client()
    const reader = fleet.client()
    const view = await reader.volumes.view(id, at[3])
    assert.equal(await volumes.collect(id, at[8] as Lsn), at[3])
    // Renewed while it reads, for longer than a lease lasts.
    await fleet.pass(150_000)
    assert.equal(await volumes.collect(id, at[8] as Lsn), at[3])
    assert.equal(await valueIn(view, 5), 4)
    reader.close()
    await fleet.pass(61_000)
    assert.equal(await volumes.collect(id, at[8] as Lsn), at[8])
    assert.deepEqual((await volumes.get(id)).pins, [])
  })

  it('ends with its view', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    const at = await versions(fleet, writer, 5, 10)
    const { volumes } = fleet.client()
    const view = await volumes.view(writer.volume.volume, at[3])
    await view.close()
    assert.equal(await volumes.collect(writer.volume.volume, at[8] as Lsn), at[8])
  })

  it('that has run out ends its view, which then reads nothing more', async () => {
    using fleet = await LocalFleet.start()
    const writer = await openNew(fleet)
    const id = writer.volume.volume
    const at = await versions(fleet, writer, 5, 10)
    const { volumes } = fleet.client()
    const view = await volumes.view(id, at[3])
    fleet.jump(61_000)
    await fleet.until('the view has noticed', () => view.state === 'expired')
    await assert.rejects(view.read(blockNumber(5)), hasCode('LeaseExpired'))
    await assert.rejects(view.follow(), hasCode('LeaseExpired'))
    assert.equal(await volumes.collect(id, at[8] as Lsn), at[8])
  })
})

describe('a wall clock time', () => {
  const BEGIN_MS = 1_700_000_000_000

  it('is found in the log within a second: before, at and after what was written', async () => {
    using fleet = await LocalFleet.start({ wallClockMs: BEGIN_MS })
    const { volumes } = fleet.client()
    const writer = await openNew(fleet)
    const id = writer.volume.volume
    const written: { readonly at: Lsn; readonly wallMs: number; readonly value: number }[] = []
    for (let value = 1; value <= 20; value++) {
      await fleet.pass(500)
      written.push({ at: await writeDurably(writer, put(5, value)), wallMs: fleet.wallClockMs, value })
    }
    await fleet.pass(2_500)
    await fleet.announced()
    await assert.rejects(volumes.lsnAt(id, BEGIN_MS), hasCode('ReadPointTooOld'))
    for (const { wallMs, value } of written.slice(2)) {
      const view = await volumes.view(id, (await volumes.lsnAt(id, wallMs)).lsn)
      const seen = await valueIn(view, 5)
      assert.ok(seen <= value && seen >= value - 3, `${seen} was seen as of ${value}`)
    }
    const last = await volumes.view(id, (await volumes.lsnAt(id, fleet.wallClockMs + 1e9)).lsn)
    assert.equal(await valueIn(last, 5), 20)
  })

  it('never finds a later point for an earlier time, also when the clock went back', async () => {
    using fleet = await LocalFleet.start({ wallClockMs: BEGIN_MS })
    const { volumes } = fleet.client()
    const id = await volumes.create()
    let writer = await volumes.open(id)
    for (let round = 0; round < 12; round++) {
      await writer.write([{ block: blockNumber(round), bytes: new Uint8Array(8192).fill(round + 1) }])
      await writer.sync()
      await fleet.pass(1_100)
      if (round === 5) fleet.wallClockOffsetMs -= 60_000
      if (round === 8) writer = await volumes.open(id)
    }
    await fleet.announced()
    let before = lsn(0)
    let points = 0
    for (let ms = BEGIN_MS + 2_000; ms < BEGIN_MS + 20_000; ms += 500) {
      const { lsn: found } = await volumes.lsnAt(id, ms)
      assert.ok(found >= before, `${found} at ${ms} is before ${before}`)
      if (found > before) points++
      before = found
    }
    assert.ok(points > 5)
  })

  it('from before a branch began is found in its parent', async () => {
    using fleet = await LocalFleet.start({ wallClockMs: BEGIN_MS })
    const { volumes } = fleet.client()
    const writer = await openNew(fleet)
    for (let value = 1; value <= 5; value++) {
      await writeDurably(writer, put(5, value))
      await fleet.pass(1_100)
    }
    const branchedMs = fleet.wallClockMs
    const base = writer.vdl
    const branch = await volumes.open(await volumes.branch(writer.volume.volume))
    await writeDurably(writer, put(5, 90))
    await writeDurably(branch, put(5, 6))
    await fleet.pass(2_500)
    await fleet.announced()
    const id = branch.volume.volume
    const parent = writer.volume.volume
    const early = await volumes.lsnAt(id, branchedMs - 2_000)
    assert.equal(early.volume, parent)
    assert.ok(early.lsn < base)
    assert.deepEqual(early, await volumes.lsnAt(parent, branchedMs - 2_000))
    const between = await volumes.lsnAt(id, branchedMs + 500)
    assert.ok(between.volume === id || between.lsn <= base, 'nothing that the parent wrote later')
    const late = await volumes.lsnAt(id, fleet.wallClockMs)
    assert.equal(late.volume, id)
    assert.ok(late.lsn > base)
    assert.equal(await valueIn(await volumes.view(id, late.lsn), 5), 6)
    await assert.rejects(volumes.lsnAt(id, BEGIN_MS), hasCode('ReadPointTooOld'))
  })
})
