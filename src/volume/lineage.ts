/** A branch's ancestors: which of them shows through in a protection group, and at which LSN. */
import type { Ancestor } from '../protocol/calls.ts'
import { type GroupIndex, type Lsn, minLsn } from '../protocol/lsn.ts'
import type { Registry } from './registry.ts'
import { readVolume } from './registry-cells.ts'
import type { VolumeRecord } from './volume-record.ts'

export interface AncestorRecord {
  readonly record: VolumeRecord
  /** The ancestor is seen as it was here. */
  readonly lsn: Lsn
}

/** From the parent upwards; empty for a volume of its own. */
export async function lineage(registry: Registry, volume: VolumeRecord): Promise<AncestorRecord[]> {
  const ancestors: AncestorRecord[] = []
  let seenAt: Lsn | undefined
  for (let parent = volume.parent; parent !== null; ) {
    const { record } = await readVolume(registry, parent.volume)
    seenAt = seenAt === undefined ? parent.lsn : minLsn(seenAt, parent.lsn)
    ancestors.push({ record, lsn: seenAt })
    parent = record.parent
  }
  return ancestors
}

/** The nearest ancestor that has a group; null: the group is zeros. */
export function ancestorOf(ancestors: readonly AncestorRecord[], group: GroupIndex): Ancestor | null {
  const found = ancestors.find(({ record }) => record.groups.get(group) === 'active')
  return found === undefined ? null : { volume: found.record.id, lsn: found.lsn }
}

/** All groups that any ancestor has. */
export const inheritedGroups = (ancestors: readonly AncestorRecord[]): Set<GroupIndex> =>
  new Set(
    ancestors.flatMap(({ record }) =>
      [...record.groups].filter(([, stage]) => stage === 'active').map(([group]) => group),
    ),
  )
