import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LoneNode, recordAfter, STATE } from '../../test/lone-node.ts'
import { SIX } from '../../test/six-members.ts'
import type { Calls, SegmentReport } from '../protocol/calls.ts'
import { groupIndex, type Lsn, lsn, nodeId, ZERO_LSN } from '../protocol/lsn.ts'

/** What a peer whose log begins at `scl`, as the rest of it is in layers, says when it is asked for log. */
function pulled(address: string, scl: Lsn, more: Partial<SegmentReport> = {}): Calls['pull']['value'] {
  const member = SIX.find(({ node }) => node === nodeId(address))
  assert.ok(member)
  const { incarnation, kind } = member
  const report = {
    group: groupIndex(0),
    incarnation,
    kind,
    scl,
    suspect: false,
    membershipEpoch: 1,
    flushed: scl,
    damagedBlocks: 0,
  }
  return { report: { ...report, ...more }, vdl: scl, logFrom: scl }
}

/** The state of a segment in doubt, after its peers have answered for a second. */
function stateAfter(answer: (address: string) => Calls['pull']['value']): string {
  const lone = new LoneNode()
  lone.configure(1, false)
  let questions = 0
  for (; lone.nowMs < 1_000; lone.nowMs += 10) {
    lone.node.tick()
    while (lone.node.table.need(STATE.volume, groupIndex(0)).state === 'suspect') {
      const asked = lone.answerPeers(answer)
      if (asked === 0) break
      questions += asked
    }
  }
  assert.ok(questions >= 3)
  return lone.node.table.need(STATE.volume, groupIndex(0)).state
}

describe('a round of gossip', () => {
  it('proves a segment whole when a read quorum of others has nothing more', () => {
    assert.equal(
      stateAfter((address) => pulled(address, ZERO_LSN)),
      'active',
    )
  })

  it('proves nothing while one of those that answered is ahead, also when it has no log to give', () => {
    assert.equal(
      stateAfter((address) => pulled(address, address === 'b' ? lsn(1_000) : ZERO_LSN)),
      'suspect',
    )
  })

  it('passes over who is in doubt, of another membership, or another disk', () => {
    for (const more of [{ suspect: true }, { membershipEpoch: 2 }, { incarnation: 'disk-new' }]) {
      const one = (address: string) => pulled(address, ZERO_LSN, address < 'e' ? more : {})
      assert.equal(stateAfter(one), 'suspect', JSON.stringify(more))
    }
  })

  it('asks for layers once nobody has the log that is missing, wherever logs began when it was first missed', () => {
    const first = recordAfter(ZERO_LSN, 3, 9)
    const second = recordAfter(first.lsn, 4, 9)
    const lone = new LoneNode()
    lone.configure()
    lone.node.repairs.demand(lone.node.table.need(STATE.volume, groupIndex(0)))
    lone.node.tick()
    const withLogFrom = (logFrom: Lsn) => (address: string) => ({ ...pulled(address, second.lsn), logFrom })
    assert.equal(lone.answerPeers(withLogFrom(first.lsn)), 1)
    lone.append({}, first)
    lone.commit()
    while (lone.answerPeers(withLogFrom(first.lsn)) > 0);
    assert.equal(lone.node.counters.rebuilds, undefined, 'the log from here on is there')
    lone.nowMs += 200
    lone.node.tick()
    while (lone.node.counters.rebuilds === undefined && lone.answerPeers(withLogFrom(second.lsn)) > 0);
    assert.equal(lone.node.counters.rebuilds, 1)
  })
})
