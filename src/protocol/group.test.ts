import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import type { VolumeError } from './errors.ts'
import { checkSet, type GroupConfig, joint, type Member, newGroup, readQuorum, settle, writeQuorum } from './group.ts'
import { groupIndex, type Lsn, lsn, nodeId } from './lsn.ts'
import { dual, membersOf, type Quorum, reached, satisfied } from './quorum.ts'

const memberOf = (name: string, zone: number, kind: 'full' | 'tail'): Member => ({
  node: nodeId(name),
  incarnation: `disk-${name}`,
  zone: `z${zone}`,
  kind,
  address: name,
})

/** a, c, e are full; b, d, f are tails; a and b are in zone 0, and so on. */
const SIX = 'abcdef'.split('').map((name, i) => memberOf(name, i >> 1, i % 2 === 0 ? 'full' : 'tail'))
const STABLE = newGroup(groupIndex(0), SIX)
const ONE_CHANGE = joint(STABLE, new Map([[nodeId('a'), memberOf('g', 0, 'full')]]))
const TWO_CHANGES = joint(
  STABLE,
  new Map([
    [nodeId('e'), memberOf('g', 2, 'full')],
    [nodeId('f'), memberOf('h', 2, 'tail')],
  ]),
)

/** All sets of members that satisfy a quorum, as bit masks. */
function satisfying(quorum: Quorum, members: number): number[] {
  const masks: number[] = []
  for (let mask = 0; mask < 1 << members; mask++) {
    if (satisfied(quorum, (member) => (mask & (1 << member)) !== 0)) masks.push(mask)
  }
  return masks
}

const maskOf = (names: string): number =>
  names.split('').reduce((mask, name) => mask | (1 << 'abcdef'.indexOf(name)), 0)
const has = (names: string) => (member: number) => (maskOf(names) & (1 << member)) !== 0

function everyPairMeets(writes: readonly number[], reads: readonly number[]): void {
  for (const write of writes) for (const read of reads) assert.notEqual(write & read, 0, `${write} and ${read}`)
}

describe('quorums of six', () => {
  it('every read quorum meets every write quorum', () => {
    for (const config of [STABLE, ONE_CHANGE, TWO_CHANGES]) {
      const members = config.members.length
      everyPairMeets(satisfying(writeQuorum(config), members), satisfying(readQuorum(config), members))
    }
  })

  it('a write needs four of six or the three full ones', () => {
    const write = writeQuorum(STABLE)
    for (const [names, enough] of [
      ['abcd', true],
      ['bdfa', true],
      ['ace', true],
      ['abc', false],
      ['bdf', false],
      ['acb', false],
    ] as const) {
      assert.equal(satisfied(write, has(names)), enough, names)
    }
    for (const mask of satisfying(write, 6)) {
      const count = mask.toString(2).replaceAll('0', '').length
      assert.ok(count >= 4 || (mask & maskOf('ace')) === maskOf('ace'))
    }
  })

  it('a read needs three of six with a full one among them', () => {
    const read = readQuorum(STABLE)
    for (let mask = 0; mask < 64; mask++) {
      const expected = mask.toString(2).replaceAll('0', '').length >= 3 && (mask & maskOf('ace')) !== 0
      assert.equal(
        satisfied(read, (member) => (mask & (1 << member)) !== 0),
        expected,
        mask.toString(2),
      )
    }
  })

  it('the loss of a zone stops no write, and of a node more no recovery', () => {
    assert.ok(satisfied(writeQuorum(STABLE), has('cdef')))
    for (const one of 'cdef') assert.ok(satisfied(readQuorum(STABLE), has('cdef'.replace(one, ''))), one)
  })
})

describe('a change of membership', () => {
  const writes = (config: GroupConfig): number[] => satisfying(writeQuorum(config), config.members.length)

  it('while it lasts a write is one of the old six and of the new', () => {
    for (const config of [ONE_CHANGE, TWO_CHANGES]) {
      for (const set of config.sets) {
        const alone = writes({ ...config, sets: [set] })
        for (const mask of writes(config)) assert.ok(alone.includes(mask))
        everyPairMeets(writes(config), satisfying(readQuorum({ ...config, sets: [set] }), config.members.length))
      }
    }
  })

  it('goes forward to the new six or back to the old, with a higher epoch each time', () => {
    const names = (config: GroupConfig): string => config.members.map((member) => member.node).join('')
    assert.deepEqual([STABLE.epoch, ONE_CHANGE.epoch, settle(ONE_CHANGE, 'forward').epoch], [1, 2, 3])
    assert.equal(names(settle(ONE_CHANGE, 'forward')), 'gbcdef')
    assert.equal(names(settle(ONE_CHANGE, 'back')), 'abcdef')
    assert.equal(settle(ONE_CHANGE, 'back').epoch, 3)
    assert.equal(names(settle(TWO_CHANGES, 'forward')), 'abcdgh')
  })

  it('is refused while another is under way, and when it would break the shape of a group', () => {
    const code = (expected: string) => (error: VolumeError) => error.code === expected
    const change = (name: string, by: Member): GroupConfig => joint(STABLE, new Map([[nodeId(name), by]]))
    assert.throws(() => joint(ONE_CHANGE, new Map([[nodeId('b'), memberOf('h', 0, 'tail')]])), code('Conflict'))
    assert.throws(() => settle(STABLE, 'forward'), code('Conflict'))
    assert.throws(() => change('x', memberOf('g', 0, 'full')), code('BadRequest'))
    assert.throws(() => change('a', memberOf('g', 1, 'full')), code('BadRequest'), 'another zone')
    assert.throws(() => change('a', memberOf('g', 0, 'tail')), code('BadRequest'), 'another kind')
    assert.throws(() => change('a', memberOf('b', 0, 'full')), code('BadRequest'), 'a node twice')
    assert.throws(() => checkSet(SIX.slice(1)), code('BadRequest'))
    // Three full and two in each zone, but both of zone 0 are full and none of zone 1.
    const crooked = SIX.map((member, i) => ({ ...member, kind: [0, 1, 4].includes(i) ? 'full' : 'tail' }) as Member)
    assert.throws(() => checkSet(crooked), code('BadRequest'))
  })
})

describe('how far a quorum has come', () => {
  it('is the highest LSN that a satisfying set of members has reached', () => {
    const random = new Random(1)
    for (const config of [STABLE, ONE_CHANGE, TWO_CHANGES]) {
      for (const quorum of [writeQuorum(config), readQuorum(config)]) {
        for (let run = 0; run < 200; run++) {
          const at = config.members.map(() => lsn(random.below(8)))
          const fromSets = Math.max(
            ...at.filter((candidate) => satisfied(quorum, (member) => (at[member] as Lsn) >= candidate)),
          )
          assert.equal(
            reached(quorum, (member) => at[member] as Lsn),
            fromSets,
          )
        }
      }
    }
  })

  it('a quorum is the dual of its dual, over the same members', () => {
    for (const config of [STABLE, ONE_CHANGE]) {
      const quorum = writeQuorum(config)
      const members = config.members.length
      assert.deepEqual(satisfying(dual(dual(quorum)), members), satisfying(quorum, members))
      assert.deepEqual([...membersOf(quorum)].sort(), [...membersOf(dual(quorum))].sort())
    }
  })
})
