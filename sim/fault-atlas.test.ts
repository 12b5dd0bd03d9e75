import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { joint, type Member, newGroup } from '../src/protocol/group.ts'
import { groupIndex, type NodeId, nodeId, volumeId } from '../src/protocol/lsn.ts'
import { BlockRanges } from '../src/storage/layers/block-ranges.ts'
import { type AtlasGroup, FaultAtlas } from './fault-atlas.ts'
import { Random } from './random.ts'

const memberOf = (name: string, zone: number, kind: 'full' | 'tail'): Member => ({
  node: nodeId(name),
  incarnation: `disk-${name}`,
  zone: `z${zone}`,
  kind,
  address: name,
})

/** a, c, e are full; b, d, f are tails. */
const SIX = 'abcdef'.split('').map((name, i) => memberOf(name, i >> 1, i % 2 === 0 ? 'full' : 'tail'))
const segment = { volume: volumeId(1), group: groupIndex(0), blockBytes: 256 }
const GROUP: AtlasGroup = { name: 'vol/0', config: newGroup(groupIndex(0), SIX), segment }
const nodes = (names: string): NodeId[] => names.split('').map(nodeId)

function hit(atlas: FaultAtlas, name: string): boolean {
  const allowed = atlas.mayDamage(nodeId(name))
  if (allowed) atlas.damaged(nodeId(name))
  return allowed
}

describe('the fault atlas', () => {
  it('lets three of six be damaged, and no more', () => {
    const atlas = new FaultAtlas(() => [GROUP])
    assert.deepEqual(
      nodes('bdfa').map((name) => hit(atlas, name)),
      [true, true, true, false],
    )
  })

  it('keeps one full copy', () => {
    const atlas = new FaultAtlas(() => [GROUP])
    assert.deepEqual(
      nodes('aceb').map((name) => hit(atlas, name)),
      [true, true, false, true],
    )
  })

  it('allows a zone and one more node', () => {
    const atlas = new FaultAtlas(() => [GROUP])
    assert.equal(atlas.mayDamageAll(nodes('ab')), true)
    atlas.damaged(nodeId('a'))
    atlas.damaged(nodeId('b'))
    assert.equal(atlas.mayDamageAll(nodes('cd')), false)
    assert.equal(hit(atlas, 'c'), true)
    atlas.check()
  })

  it('allows more once a copy is whole again', () => {
    const atlas = new FaultAtlas(() => [GROUP])
    for (const name of 'abc') hit(atlas, name)
    assert.equal(hit(atlas, 'd'), false)
    atlas.healed('vol/0', SIX[0] as Member)
    assert.equal(hit(atlas, 'd'), true)
  })

  it('counts a new member as bad until it has caught up, and keeps a quorum of both sets', () => {
    const g = memberOf('g', 0, 'full')
    const changing: AtlasGroup = { ...GROUP, config: joint(GROUP.config, new Map([[nodeId('a'), g]])) }
    const atlas = new FaultAtlas(() => [changing])
    atlas.joined('vol/0', g)
    assert.equal(hit(atlas, 'c'), true)
    assert.equal(hit(atlas, 'e'), false, 'the new set would be left without a full copy')
    assert.equal(hit(atlas, 'b'), true)
    assert.equal(hit(atlas, 'd'), false)
    assert.equal(atlas.maySettle(changing, changing.config.sets[1] as number[]), true)
    atlas.healed('vol/0', g)
    assert.equal(hit(atlas, 'd'), true)
  })

  it('looks at every group that a node is a member of', () => {
    const others = 'abghij'.split('').map((name, i) => memberOf(name, i >> 1, i % 2 === 0 ? 'full' : 'tail'))
    const second: AtlasGroup = { name: 'vol/1', config: newGroup(groupIndex(1), others), segment }
    const atlas = new FaultAtlas(() => [GROUP, second])
    for (const name of 'ghi') assert.equal(hit(atlas, name), true)
    assert.equal(hit(atlas, 'a'), false)
    assert.equal(hit(atlas, 'c'), true)
  })

  it('never lets chance go too far', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = new Random(seed)
      const atlas = new FaultAtlas(() => [GROUP], random.between(1, 3))
      for (let step = 0; step < 200; step++) {
        const member = random.pick(SIX)
        if (random.chance(0.4)) atlas.healed('vol/0', member)
        else hit(atlas, member.node)
        atlas.check()
      }
    }
  })

  it('lets layers of all full copies be damaged, but leaves each block on one of the good ones', () => {
    const lost = new Map(['a', 'c', 'e'].map((name) => [name, new BlockRanges()]))
    const atlas = new FaultAtlas(
      () => [GROUP],
      3,
      (_, { node }) => lost.get(node) ?? new BlockRanges(),
    )
    lost.get('a')?.add(0, 5)
    lost.get('c')?.add(4, 9)
    lost.get('e')?.add(9, 12)
    assert.equal(atlas.keepsBlocks, true)
    assert.equal(atlas.mayDamage(nodeId('e')), false, 'block 4 is good there alone')
    assert.equal(hit(atlas, 'a'), true)
    assert.equal(atlas.keepsBlocks, true)
    lost.get('e')?.add(8, 9)
    assert.equal(atlas.keepsBlocks, false)
  })

  it('counts a full copy that is behind as long as a tail is left that has the log', () => {
    const lost = new BlockRanges()
    const atlas = new FaultAtlas(
      () => [GROUP],
      3,
      (_, { node }) => (node === 'e' ? new BlockRanges() : lost),
      (_, { node }, tails) => node !== 'e' || tails.some((tail) => tail.node === 'b' || tail.node === 'd'),
    )
    assert.equal(hit(atlas, 'b'), true)
    lost.add(0, 4)
    assert.equal(atlas.keepsBlocks, true, 'e gets what it lacks from d, and gives the others their blocks')
    assert.equal(atlas.mayDamage(nodeId('d')), false)
    assert.equal(atlas.mayDamage(nodeId('f')), true, 'f does not have that log')
    atlas.healed('vol/0', SIX[1] as Member)
    assert.equal(hit(atlas, 'd'), true)
    assert.equal(hit(atlas, 'b'), false)
  })

  it('notices when it was not asked', () => {
    const atlas = new FaultAtlas(() => [GROUP])
    for (const name of 'ace') atlas.damaged(nodeId(name))
    assert.throws(() => atlas.check(), /too many copies of vol\/0: a, c, e/)
  })
})
