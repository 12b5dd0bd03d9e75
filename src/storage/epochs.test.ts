import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LoneNode, recordAfter, STATE } from '../../test/lone-node.ts'
import { VolumeError } from '../protocol/errors.ts'
import { groupIndex, ZERO_LSN } from '../protocol/lsn.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code

/** A node with a group under membership epoch 2, one record in it, and volume epoch 1. */
function withRecord(): LoneNode {
  const lone = new LoneNode()
  lone.configure(2)
  lone.append({ membershipEpoch: 2 }, recordAfter(ZERO_LSN, 3, 9))
  lone.commit()
  assert.deepEqual(
    lone.acks().map(({ status }) => status),
    ['Ok'],
  )
  return lone
}

const pull = { volume: STATE.volume, group: groupIndex(0), from: ZERO_LSN, bytesMax: 1_000 }

describe('a peer', () => {
  it('gets log from one that has the same volume epoch in force, and from no other', () => {
    const lone = withRecord()
    const ask = (volumeEpoch: number) => lone.call('pull', { ...pull, volumeEpoch, membershipEpoch: 2 })
    assert.equal(ask(1).report.scl > 0, true)
    assert.throws(() => ask(0), hasCode('StaleVolumeEpoch'))
    assert.throws(() => ask(2), hasCode('UnknownEpoch'))
    lone.call('fence', { volume: STATE.volume, epoch: 2 })
    assert.equal(ask(1).report.scl > 0, true, 'a fence is no end of history')
    lone.call('seal', { state: { ...STATE, epoch: 2, grantVersion: 2 } })
    assert.throws(() => ask(1), hasCode('StaleVolumeEpoch'))
    assert.equal(ask(2).report.scl > 0, true)
  })

  it('gets log and layers from one of the same membership, and from no other', () => {
    const lone = withRecord()
    for (const [membershipEpoch, isAnswered] of [
      [1, false],
      [2, true],
      [3, false],
    ] as const) {
      const attempts = {
        pull: () => lone.call('pull', { ...pull, volumeEpoch: 1, membershipEpoch }),
        layers: () => {
          const { volume, group } = pull
          return lone.call('layers', { volume, group, volumeEpoch: 1, membershipEpoch, atLeast: ZERO_LSN })
        },
      }
      for (const [what, attempt] of Object.entries(attempts)) {
        if (isAnswered) attempt()
        else assert.throws(attempt, hasCode('StaleMembership'), `${what} ${membershipEpoch}`)
      }
    }
  })
})

describe('a read', () => {
  it('of a writer that was fenced, or under an older membership, is refused', () => {
    const lone = withRecord()
    const ask = (volumeEpoch: number, membershipEpoch: number) => lone.read({ volumeEpoch, membershipEpoch }).status
    assert.equal(ask(1, 2), 'Ok')
    assert.equal(ask(1, 1), 'StaleMembership')
    assert.equal(ask(1, 3), 'Ok', 'it may not have heard of the newest')
    lone.call('fence', { volume: STATE.volume, epoch: 2 })
    assert.equal(ask(1, 2), 'StaleVolumeEpoch')
    assert.equal(ask(2, 2), 'Ok')
    assert.equal(ask(0, 2), 'Ok', 'views have no epoch')
  })
})

describe('a member', () => {
  it('of a group that is new is whole; one that is made where something may have been written is in doubt', () => {
    assert.equal(new LoneNode().configure(1, true)?.suspect, false)
    const late = new LoneNode()
    assert.equal(late.configure(1, false)?.suspect, true)
    late.restart()
    assert.equal(late.call('head', { volume: STATE.volume }).segments[0]?.suspect, true)
    assert.equal(late.read({}).status, 'SuspectSegment')
  })

  it('is its disk: a node with another one is not made a member in its place', () => {
    const lone = new LoneNode()
    const argument = { state: STATE, config: lone.config(), incarnation: 'disk-a', create: false, below: null }
    assert.throws(() => lone.call('configure', argument), hasCode('WrongIncarnation'))
  })
})
