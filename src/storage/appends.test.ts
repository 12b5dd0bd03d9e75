import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LoneNode, recordAfter, STATE } from '../../test/lone-node.ts'
import { groupIndex, ZERO_LSN } from '../protocol/lsn.ts'

const first = recordAfter(ZERO_LSN, 3, 9)
const second = recordAfter(first.lsn, 4, 9)

const said = (lone: LoneNode): (readonly [string, number])[] =>
  lone.acks().map(({ status, scl }) => [status, scl] as const)

describe('an append', () => {
  it('is acknowledged once it is in the log, and then survives the end of the process', () => {
    const lone = new LoneNode()
    lone.configure()
    lone.append({}, first)
    assert.deepEqual(said(lone), [])
    assert.equal(lone.node.table.need(STATE.volume, groupIndex(0)).scl, 0)
    lone.restart()
    lone.append({})
    lone.commit()
    assert.deepEqual(said(lone), [['Ok', 0]], 'nobody was told that it was there')
    lone.append({}, first)
    lone.append({}, second)
    lone.commit()
    assert.deepEqual(said(lone), [['Ok', second.lsn]])
    lone.restart()
    lone.append({})
    lone.commit()
    assert.deepEqual(said(lone), [['Ok', second.lsn]])
  })

  it('of another epoch or membership is refused, and leaves nothing', () => {
    const lone = new LoneNode()
    lone.configure(2)
    for (const [volumeEpoch, membershipEpoch, status] of [
      [0, 2, 'StaleVolumeEpoch'],
      [2, 2, 'UnknownEpoch'],
      [1, 1, 'StaleMembership'],
      [1, 3, 'UnknownSegment'],
    ] as const) {
      lone.append({ volumeEpoch, membershipEpoch }, first)
      lone.commit()
      assert.deepEqual(said(lone), [[status, 0]])
    }
    lone.append({ membershipEpoch: 2 }, first)
    lone.commit()
    assert.deepEqual(said(lone), [['Ok', first.lsn]])
  })

  it('that was not in the log when the node was fenced is dropped, and not acknowledged', () => {
    const lone = new LoneNode()
    lone.configure()
    lone.append({}, first)
    lone.commit()
    lone.append({}, second)
    lone.call('fence', { volume: STATE.volume, epoch: 2 })
    lone.commit()
    assert.deepEqual(said(lone), [['Ok', first.lsn]])
    assert.equal(lone.call('head', { volume: STATE.volume }).segments[0]?.scl, first.lsn)
    lone.append({}, second)
    lone.commit()
    assert.deepEqual(said(lone), [['StaleVolumeEpoch', first.lsn]])
  })

  it('is taken by a segment in doubt, which counts for nothing all the same', () => {
    const lone = new LoneNode()
    lone.configure(1, false)
    lone.append({}, first)
    lone.commit()
    assert.deepEqual(said(lone), [['SuspectSegment', 0]])
    assert.equal(lone.node.table.need(STATE.volume, groupIndex(0)).scl, first.lsn)
  })
})
