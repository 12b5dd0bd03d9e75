import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { VolumeError } from '../protocol/errors.ts'
import { checkSet, newGroup } from '../protocol/group.ts'
import { groupIndex, nodeId, volumeId } from '../protocol/lsn.ts'
import { chooseMembers, chooseReplacement, type FleetNode } from './placement.ts'

const node = (name: string, zone: string, state: FleetNode['state'] = 'ready'): FleetNode => ({
  node: nodeId(name),
  incarnation: `disk-${name}`,
  zone,
  address: `${name}:1`,
  state,
})
const fleet = (perZone: number, zones = ['a', 'b', 'c']): FleetNode[] =>
  zones.flatMap((zone) => Array.from({ length: perZone }, (_, i) => node(`${zone}${i}`, zone)))
const noQuorum = (error: unknown): boolean => error instanceof VolumeError && error.code === 'NoQuorum'
const ONE = volumeId(1)
const FIRST = groupIndex(0)

describe('the six nodes of a group', () => {
  it('are two in each of three zones, one of them full, whatever the fleet looks like', () => {
    const zone = fc.record({ nodes: fc.nat(5), draining: fc.nat(2) })
    fc.assert(
      fc.property(fc.array(zone, { minLength: 1, maxLength: 5 }), fc.nat(1000), (zones, group) => {
        const nodes = zones.flatMap(({ nodes: ready, draining }, z) => [
          ...Array.from({ length: ready }, (_, i) => node(`r${z}-${i}`, `z${z}`)),
          ...Array.from({ length: draining }, (_, i) => node(`d${z}-${i}`, `z${z}`, 'draining')),
        ])
        const usable = zones.filter(({ nodes: ready }) => ready >= 2).length
        if (usable < 3) {
          assert.throws(() => chooseMembers(nodes, ONE, groupIndex(group)), noQuorum)
          return
        }
        const members = chooseMembers(nodes, ONE, groupIndex(group))
        checkSet(members)
        for (const { node: name } of members) assert.ok(!name.startsWith('d'), 'no draining node gets more')
      }),
    )
  })

  it('are the same in whatever order the nodes are listed', () => {
    const nodes = fleet(6)
    const chosen = chooseMembers(nodes, ONE, FIRST)
    assert.deepEqual(chooseMembers(nodes.toReversed(), ONE, FIRST), chosen)
  })

  it('are spread evenly over a fleet, blocks and logs', () => {
    const counts = new Map<string, { full: number; tail: number }>()
    for (let group = 0; group < 3_000; group++) {
      for (const { node: name, kind } of chooseMembers(fleet(10), ONE, groupIndex(group))) {
        const count = counts.get(name) ?? { full: 0, tail: 0 }
        count[kind]++
        counts.set(name, count)
      }
    }
    assert.equal(counts.size, 30)
    for (const [name, { full, tail }] of counts) {
      assert.ok(full > 200 && full < 400, `${name} has ${full} full segments of 300 expected`)
      assert.ok(tail > 200 && tail < 400, `${name} has ${tail} tails of 300 expected`)
    }
  })

  it('change little when a node is added', () => {
    let moved = 0
    for (let group = 0; group < 1_000; group++) {
      const before = chooseMembers(fleet(10), ONE, groupIndex(group)).map((member) => member.node)
      const after = chooseMembers([...fleet(10), node('a-new', 'a')], ONE, groupIndex(group)).map((m) => m.node)
      moved += after.filter((name) => !before.includes(name)).length
    }
    assert.ok(moved < 300, `${moved} of 6,000 segments would lie elsewhere`)
  })
})

describe('a replacement', () => {
  const nodes = fleet(4)
  const members = chooseMembers(nodes, ONE, FIRST)
  const config = newGroup(FIRST, members)

  it('is another ready node of the same zone that has no segment of the group yet, of the same kind', () => {
    for (const lost of members) {
      const found = chooseReplacement(nodes, config, ONE, lost)
      assert.deepEqual([found.zone, found.kind], [lost.zone, lost.kind])
      assert.ok(members.every((member) => member.node !== found.node))
      checkSet(members.map((member) => (member === lost ? found : member)))
    }
  })

  it('may be the same node with a new disk, never with the old one', () => {
    const few = fleet(2)
    const six = newGroup(FIRST, chooseMembers(few, ONE, FIRST))
    const [lost] = six.members
    assert.ok(lost)
    assert.throws(() => chooseReplacement(few, six, ONE, lost), noQuorum)
    const fresh = few.map((each) => (each.node === lost.node ? { ...each, incarnation: 'new' } : each))
    assert.equal(chooseReplacement(fresh, six, ONE, lost).incarnation, 'new')
    const draining = fresh.map((each) => ({ ...each, state: 'draining' as const }))
    assert.throws(() => chooseReplacement(draining, six, ONE, lost), noQuorum)
  })
})
