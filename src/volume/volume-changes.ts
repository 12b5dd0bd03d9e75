/** How a volume's record changes when it is opened, grows, leaves its parent and dies. Pure; each answers a new record. */
import { VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, volumeName } from '../protocol/lsn.ts'
import type { Truncation } from '../protocol/truncation.ts'
import type { GroupStage, VolumeRecord } from './volume-record.ts'

/** A copy that missed more openings than this is made anew from another. */
export const TRUNCATIONS_MAX = 1024

const nameOf = (volume: VolumeRecord): string => volumeName(volume.id)

/** @throws VolumeError `NotFound` */
export function checkLive(volume: VolumeRecord): void {
  if (volume.stage === 'deleting') throw new VolumeError('NotFound', `${nameOf(volume)} is being deleted`)
}

/** @throws VolumeError `Fenced` */
function checkWriter(volume: VolumeRecord, epoch: number): void {
  checkLive(volume)
  if (volume.epoch === epoch) return
  throw new VolumeError('Fenced', `${nameOf(volume)} was opened with epoch ${volume.epoch}; ${epoch} has ended`)
}

/** The first step of opening for writing: the new epoch is `epoch` of the answer. */
export function claimEpoch(volume: VolumeRecord): VolumeRecord {
  checkLive(volume)
  return { ...volume, epoch: volume.epoch + 1 }
}

/**
 * Annuls the range that the opening with `truncation.epoch` found to be without quorum. Doing so again changes nothing.
 * @throws VolumeError `Fenced` when somebody else has opened the volume since
 */
export function recordTruncation(volume: VolumeRecord, truncation: Truncation): VolumeRecord {
  const { epoch, from, to } = truncation
  checkWriter(volume, epoch)
  if (from > to || from < volume.base) throw new VolumeError('BadRequest', `(${from}, ${to}] cannot be annulled`)
  const last = volume.truncations.at(-1)
  if (last?.epoch === epoch) {
    if (last.from === from && last.to === to) return volume
    throw new VolumeError('BadRequest', `epoch ${epoch} has annulled (${last.from}, ${last.to}] already`)
  }
  const all = [...volume.truncations, { epoch, from, to }]
  const truncations = all.slice(-TRUNCATIONS_MAX)
  const dropped = all.at(-TRUNCATIONS_MAX - 1)
  return {
    ...volume,
    truncations,
    truncationsFromEpoch: dropped === undefined ? volume.truncationsFromEpoch : dropped.epoch + 1,
  }
}

/**
 * Notes that a group is to be made, so that no opening overlooks it. Only the writer in force may: one that was
 * fenced could otherwise collect a quorum in a group that its successor has not heard of.
 * @throws VolumeError `Fenced`
 */
export function addGroup(volume: VolumeRecord, epoch: number, group: GroupIndex): VolumeRecord {
  checkWriter(volume, epoch)
  return volume.groups.has(group) ? volume : withGroup(volume, group, 'creating')
}

/** The group's segments exist. @throws VolumeError `Fenced`, `NotFound` for a group that was not added */
export function activateGroup(volume: VolumeRecord, epoch: number, group: GroupIndex): VolumeRecord {
  checkWriter(volume, epoch)
  const stage = volume.groups.get(group)
  if (stage === undefined) throw new VolumeError('NotFound', `${nameOf(volume)} has no group ${group}`)
  if (stage === 'active') return volume
  return { ...withGroup(volume, group, 'active'), geometryEpoch: volume.geometryEpoch + 1 }
}

const withGroup = (volume: VolumeRecord, group: GroupIndex, stage: GroupStage): VolumeRecord => ({
  ...volume,
  groups: new Map(volume.groups).set(group, stage),
})

/** @throws VolumeError `BadRequest` while branches show it: detach or delete them first */
function checkUnbranched(volume: VolumeRecord): void {
  const branches = volume.pins.filter(({ kind }) => kind === 'branch').map(({ id }) => id)
  if (branches.length > 0) throw new VolumeError('BadRequest', `${nameOf(volume)} has branches: ${branches.join(', ')}`)
}

/**
 * Whether a branch may let go of its parent: not while it has branches itself. A group that they have and it has not
 * shows the parent through them, which nothing but the branch's own pin keeps.
 * @throws VolumeError `BadRequest`
 */
export function checkDetachable(volume: VolumeRecord): void {
  checkLive(volume)
  if (volume.parent !== null) checkUnbranched(volume)
}

/** Everything that the branch shows of its parent has been copied. Doing so again changes nothing. */
export function detachParent(volume: VolumeRecord): VolumeRecord {
  checkDetachable(volume)
  return volume.parent === null ? volume : { ...volume, parent: null }
}

/** @throws VolumeError `BadRequest` while branches show it: detach or delete them first */
export function markDeleting(volume: VolumeRecord): VolumeRecord {
  checkUnbranched(volume)
  return volume.stage === 'deleting' ? volume : { ...volume, stage: 'deleting' }
}
