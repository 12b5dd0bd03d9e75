import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { memberOf, sixMembers } from '../../test/six-members.ts'
import { joint, settle, writeQuorum } from '../protocol/group.ts'
import { type Lsn, lsn, nodeId } from '../protocol/lsn.ts'
import { satisfied } from '../protocol/quorum.ts'
import type { Frame } from './frame.ts'
import { type Replica, ReplicaGroup } from './replica-group.ts'

const frame = (after: number, last: number, bytes = 100): Frame => ({
  after: lsn(after),
  last: lsn(last),
  message: new Uint8Array(bytes),
})

/** A group with frames up to 100, 200 ... */
function groupWith(frames: number): ReplicaGroup {
  const group = new ReplicaGroup(sixMembers(), lsn(0), 0)
  for (let i = 0; i < frames; i++) group.sent(frame(i * 100, (i + 1) * 100))
  return group
}

const at = (group: ReplicaGroup, name: string): Replica => group.replicaAt(name) as Replica
const ack = (group: ReplicaGroup, name: string, scl: number, nowMs = 0): boolean =>
  group.acknowledged(at(group, name), lsn(scl), 'Ok', 0, nowMs)

/** Hands everything there is to a replica; the ends of the frames. */
function handAll(group: ReplicaGroup, name: string): Lsn[] {
  const ends: Lsn[] = []
  const replica = at(group, name)
  for (let next = group.next(replica); next !== undefined; next = group.next(replica)) {
    replica.handed = next.last
    ends.push(next.last)
  }
  return ends
}

describe('the durable point of a group', () => {
  it('is the highest that a write quorum has acknowledged', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 6, maxLength: 6 }), (scls) => {
        const group = groupWith(9)
        for (const [i, scl] of scls.entries()) ack(group, 'abcdef'[i] as string, scl * 100)
        const quorum = writeQuorum(group.config)
        const candidates = scls.filter((scl) => satisfied(quorum, (member) => (scls[member] as number) >= scl))
        assert.equal(group.durable(), Math.max(...candidates) * 100)
      }),
    )
  })

  it('does not count who refuses or is suspect, and goes back when one lost what it had', () => {
    const group = groupWith(3)
    for (const name of 'abcd') ack(group, name, 300)
    assert.equal(group.durable(), 300)
    assert.equal(ack(group, 'a', 100), true)
    assert.equal(group.durable(), 100)
    assert.equal(ack(group, 'e', 300), true)
    assert.equal(group.durable(), 300)
    group.acknowledged(at(group, 'b'), lsn(300), 'SuspectSegment', 0, 0)
    assert.equal(group.durable(), 100)
  })

  it('counts what a node holds that has no room for more', () => {
    const group = groupWith(3)
    for (const [i, name] of [...'abcd'].entries()) {
      group.acknowledged(at(group, name), lsn(200), i % 2 === 0 ? 'DiskFull' : 'Overloaded', 0, 0)
    }
    assert.equal(group.durable(), 200)
  })
})

describe('frames', () => {
  it('are handed to each member once, in order', () => {
    const group = groupWith(5)
    assert.deepEqual(handAll(group, 'a'), [100, 200, 300, 400, 500])
    assert.deepEqual(handAll(group, 'a'), [])
    group.sent(frame(500, 600))
    assert.deepEqual(handAll(group, 'a'), [600])
    assert.deepEqual(handAll(group, 'b'), [100, 200, 300, 400, 500, 600])
  })

  it('are found for a member that is anywhere behind', () => {
    for (let count = 0; count <= 20; count++) {
      for (let handed = 0; handed <= count; handed++) {
        const group = groupWith(count)
        at(group, 'a').handed = lsn(handed * 100)
        assert.equal(group.next(at(group, 'a'))?.last, handed === count ? undefined : (handed + 1) * 100)
      }
    }
  })

  it('are let go when they are durable and everybody was handed them, or when they are too many', () => {
    const group = groupWith(5)
    for (const name of 'abcde') handAll(group, name)
    group.dropTo(lsn(300), 1_000)
    assert.equal(group.frameBytes, 200, 'of 300 bytes that are durable, none is beyond what is kept for f')
    assert.deepEqual(handAll(group, 'f'), [400, 500])
    group.dropTo(lsn(400), 0)
    assert.equal(group.frameBytes, 100)
    group.dropTo(lsn(500), 0)
    assert.equal(group.frameBytes, 0)
  })
})

describe('patience with a member', () => {
  it('ends after 50 ms without progress, then after twice as long, up to 2 s, and begins anew with progress', () => {
    const group = groupWith(3)
    const a = at(group, 'a')
    handAll(group, 'a')
    const asked: number[] = []
    for (let ms = 0; ms <= 12_000; ms++) {
      if (!group.overdue(a, 0, ms)) continue
      asked.push(ms)
    }
    const gaps = asked.map((ms, i) => ms - (asked[i - 1] ?? 0))
    assert.deepEqual(gaps.slice(0, 8), [50, 100, 200, 400, 800, 1_600, 2_000, 2_000])
    ack(group, 'a', 100, 12_000)
    assert.equal(group.overdue(a, 0, 12_049), false)
    assert.equal(group.overdue(a, 0, 12_050), true)
  })

  it('does not end while what it was handed still waits here, nor when it has everything', () => {
    const group = groupWith(2)
    const a = at(group, 'a')
    handAll(group, 'a')
    assert.equal(group.overdue(a, 5_000, 100), false)
    assert.equal(group.overdue(a, 5_000, 200), false)
    ack(group, 'a', 200, 250)
    assert.equal(group.overdue(a, 0, 10_000), false)
    group.sent(frame(200, 300))
    assert.equal(group.overdue(a, 0, 10_049), false)
    assert.equal(group.overdue(a, 0, 10_050), true)
  })
})

describe('a member that was asked where it is', () => {
  it('and is where it was is handed everything above again: it was lost', () => {
    const group = groupWith(4)
    handAll(group, 'a')
    ack(group, 'a', 100)
    group.asked(at(group, 'a'))
    ack(group, 'a', 100)
    assert.deepEqual(handAll(group, 'a'), [200, 300, 400])
  })

  it('and has come on is handed nothing twice', () => {
    const group = groupWith(4)
    handAll(group, 'a')
    group.asked(at(group, 'a'))
    ack(group, 'a', 200)
    assert.deepEqual(handAll(group, 'a'), [])
  })

  it('is handed nothing over a new connection until it has answered', () => {
    const group = groupWith(4)
    handAll(group, 'a')
    ack(group, 'a', 100)
    group.connected(at(group, 'a'))
    assert.deepEqual(handAll(group, 'a'), [])
    ack(group, 'a', 300)
    assert.deepEqual(handAll(group, 'a'), [400])
  })

  it('is not handed what its peers have brought it', () => {
    const group = groupWith(4)
    ack(group, 'a', 300)
    assert.deepEqual(handAll(group, 'a'), [400])
  })
})

describe('a change of membership', () => {
  it('keeps what is known of members that stay, and knows nothing of new ones', () => {
    const group = groupWith(3)
    for (const name of 'abcdef') ack(group, name, 300)
    const both = joint(group.config, new Map([[nodeId('a'), memberOf('g', 0, 'full')]]))
    group.adopt(both, 5)
    assert.equal(group.durable(), 300)
    assert.deepEqual([at(group, 'a').scl, at(group, 'g').scl, at(group, 'g').sinceMs], [300, 0, 5])
    for (const name of 'bcd') group.acknowledged(at(group, name), lsn(0), 'SuspectSegment', 0, 6)
    assert.equal(group.durable(), 0, 'a, e and f are full members of the old six, not of the new')
    ack(group, 'g', 300)
    ack(group, 'c', 300)
    assert.equal(group.durable(), 300)
    group.adopt(settle(both, 'forward'), 7)
    assert.equal(group.replicaAt('a'), undefined)
    assert.equal(group.durable(), 300)
  })

  it('takes a node with a new disk for another member', () => {
    const group = groupWith(3)
    for (const name of 'abcdef') ack(group, name, 300)
    const fresh = { ...memberOf('a', 0, 'full'), incarnation: 'new-disk' }
    group.adopt(
      { ...group.config, epoch: 2, members: group.config.members.map((m) => (m.node === 'a' ? fresh : m)) },
      1,
    )
    assert.equal(at(group, 'a').scl, 0)
    assert.equal(at(group, 'b').scl, 300)
  })
})

describe('the delay of a group', () => {
  it('is that of the fourth fastest copy', () => {
    const group = groupWith(1)
    const delays = [900, 10, 500, 30, 700, 20]
    for (const [i, ms] of delays.entries()) group.acknowledged(at(group, 'abcdef'[i] as string), lsn(0), 'Ok', ms, 0)
    assert.equal(group.applyDelayMs(), 500)
  })
})
