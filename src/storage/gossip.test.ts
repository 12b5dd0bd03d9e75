import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LoneNode, recordAfter, STATE } from '../../test/lone-node.ts'
import { SIX } from '../../test/six-members.ts'
import type { Calls, SegmentReport } from '../protocol/calls.ts'
import { groupIndex, type Lsn, lsn, nodeId, ZERO_LSN } from '../protocol/lsn.ts'
import { LayerSet } from './layers/layer-set.ts'
import type { Segment } from './segment.ts'

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

describe('a rebuild for want of log', () => {
  const first = recordAfter(ZERO_LSN, 3, 9)
  const second = recordAfter(first.lsn, 4, 9)
  const allBehindLayers = (address: string) => pulled(address, second.lsn)

  /** A full segment that asks for layers, as no peer in reach has the log that it lacks. */
  function rebuilding(): { readonly lone: LoneNode; readonly segment: Segment } {
    const lone = new LoneNode()
    lone.configure()
    const segment = lone.node.table.need(STATE.volume, groupIndex(0))
    lone.node.repairs.demand(segment)
    lone.node.tick()
    while (lone.answerPeers(allBehindLayers) > 0);
    assert.equal(segment.state, 'rebuilding')
    return { lone, segment }
  }

  /** The log comes from somebody else, and a round of gossip passes. */
  function take(lone: LoneNode, ...records: readonly { readonly bytes: Uint8Array }[]): void {
    lone.append({}, ...records)
    lone.commit()
    lone.nowMs += 200
    lone.node.tick()
    while (lone.answerPeers(allBehindLayers) > 0);
  }

  it('ends once the log has come after all, as those with layers may need this copy to mend their own', () => {
    const { lone, segment } = rebuilding()
    take(lone, first)
    assert.equal(segment.state, 'rebuilding', 'some is still missing')
    take(lone, second)
    assert.equal(segment.state, 'active')
    assert.equal(segment.scl, second.lsn)
  })

  it('changes nothing when it has ended, whatever answers are still to come', () => {
    const { lone, segment } = rebuilding()
    lone.nowMs += 10
    lone.node.tick()
    take(lone, first, second)
    const { generation } = segment
    const layers = LayerSet.emptyManifest()
    const grant = { cutoff: ZERO_LSN, pins: [], grantVersion: 0 }
    const source = { grant, flushed: second.lsn, completeTo: second.lsn, below: null, layers }
    assert.ok(lone.answerPeers(() => source, 'layers') > 0)
    assert.equal(segment.generation, generation)
    assert.equal(segment.flushed, ZERO_LSN)
  })

  it('goes on when layers are needed for another reason as well', () => {
    const { lone, segment } = rebuilding()
    lone.node.repairs.rebuild(segment)
    take(lone, first, second)
    assert.equal(segment.scl, second.lsn)
    assert.equal(segment.state, 'rebuilding')
  })
})
