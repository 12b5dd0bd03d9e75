import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VolumeError } from '../protocol/errors.ts'
import { groupIndex, lsn, volumeId } from '../protocol/lsn.ts'
import {
  activateGroup,
  addGroup,
  claimEpoch,
  detachParent,
  markDeleting,
  recordTruncation,
  TRUNCATIONS_MAX,
} from './volume-changes.ts'
import { newBranch, newVolume, type VolumeRecord } from './volume-record.ts'
import { addPin, removePin } from './volume-retention.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code
const fresh = newVolume(volumeId(1), 8192, 100)
const opened = claimEpoch(fresh)
const one = groupIndex(1)

/** Opened `times` times, each with a truncation of (10 n, 10 n + 5]. */
function reopened(times: number): VolumeRecord {
  let volume = fresh
  for (let i = 1; i <= times; i++) {
    volume = claimEpoch(volume)
    volume = recordTruncation(volume, { epoch: i, from: lsn(10 * i), to: lsn(10 * i + 5) })
  }
  return volume
}

describe('opening', () => {
  it('raises the epoch', () => {
    assert.equal(fresh.epoch, 0)
    assert.equal(claimEpoch(opened).epoch, 2)
  })

  it('records its truncation once, and only while nobody else has opened the volume', () => {
    const cut = { epoch: 1, from: lsn(100), to: lsn(200) }
    const volume = recordTruncation(opened, cut)
    assert.deepEqual(volume.truncations, [cut])
    assert.equal(recordTruncation(volume, cut), volume)
    assert.throws(() => recordTruncation(volume, { ...cut, to: lsn(300) }), hasCode('BadRequest'))
    assert.throws(() => recordTruncation(claimEpoch(volume), cut), hasCode('Fenced'))
    assert.throws(() => recordTruncation(opened, { epoch: 1, from: lsn(3), to: lsn(2) }), hasCode('BadRequest'))
  })

  it('keeps the newest truncations and tells from which epoch on they are all there', () => {
    const full = reopened(TRUNCATIONS_MAX)
    assert.deepEqual([full.truncations.length, full.truncationsFromEpoch], [TRUNCATIONS_MAX, 1])
    const more = reopened(TRUNCATIONS_MAX + 3)
    assert.deepEqual([more.truncations.length, more.truncationsFromEpoch], [TRUNCATIONS_MAX, 4])
    assert.equal(more.truncations[0]?.epoch, 4)
  })
})

describe('a group', () => {
  it('is noted, then active, which raises the geometry epoch once', () => {
    const creating = addGroup(opened, 1, one)
    assert.deepEqual([creating.groups.get(one), creating.geometryEpoch], ['creating', 0])
    assert.equal(addGroup(creating, 1, one), creating)
    const active = activateGroup(creating, 1, one)
    assert.deepEqual([active.groups.get(one), active.geometryEpoch], ['active', 1])
    assert.equal(activateGroup(active, 1, one), active)
    assert.equal(addGroup(active, 1, one), active)
    assert.equal(opened.groups.size, 0)
  })

  it('is added by the writer in force alone, so that its successor has heard of every group', () => {
    const creating = addGroup(opened, 1, one)
    const taken = claimEpoch(creating)
    assert.throws(() => addGroup(taken, 1, groupIndex(2)), hasCode('Fenced'))
    assert.throws(() => activateGroup(taken, 1, one), hasCode('Fenced'))
    assert.throws(() => activateGroup(opened, 1, one), hasCode('NotFound'))
  })
})

describe('a branch', () => {
  it('is detached from its parent, once and for all', () => {
    const branch = newBranch(volumeId(2), opened, lsn(50))
    const detached = detachParent(branch)
    assert.equal(detached.parent, null)
    assert.equal(detached.base, 50)
    assert.equal(detachParent(detached), detached)
  })

  it('is not detached while it has branches, which show the parent through it', () => {
    const branched = addPin(newBranch(volumeId(2), opened, lsn(50)), { id: 'b', kind: 'branch', lsn: lsn(60) })
    assert.throws(() => detachParent(branched), hasCode('BadRequest'))
    assert.equal(detachParent(removePin(branched, 'b')).parent, null)
    const root = { ...branched, parent: null }
    assert.equal(detachParent(root), root)
  })
})

describe('deleting', () => {
  const branch = { id: 'vol-00000002', kind: 'branch' as const, lsn: lsn(50) }

  it('is refused while branches show the volume', () => {
    const pinned = addPin(opened, branch)
    assert.throws(() => markDeleting(pinned), hasCode('BadRequest'))
    assert.equal(markDeleting(removePin(pinned, branch.id)).stage, 'deleting')
  })

  it('ends opening, pinning and growing', () => {
    const deleting = markDeleting(opened)
    assert.equal(markDeleting(deleting), deleting)
    assert.throws(() => claimEpoch(deleting), hasCode('NotFound'))
    assert.throws(() => addPin(deleting, branch), hasCode('NotFound'))
    assert.throws(() => addGroup(deleting, 1, one), hasCode('NotFound'))
  })
})
