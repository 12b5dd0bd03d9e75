/** What a segment keeps on disk about itself, beside log and layers: a small state in two copies. */
import type { Ancestor } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { GroupConfig, SegmentKind } from '../protocol/group.ts'
import { type GroupIndex, groupIndex, type Lsn, type VolumeId, volumeName } from '../protocol/lsn.ts'
import type { Disk } from './disk.ts'
import { readState, writeState } from './durable-state.ts'
import type { LogPosition } from './hot-log.ts'
import type { LayerManifest } from './layers/layer-ref.ts'

export interface SegmentManifest {
  readonly format: 1
  readonly kind: SegmentKind
  readonly config: GroupConfig
  /** What a branch shows where it has nothing of its own. */
  readonly below: Ancestor | null
  readonly suspect: boolean
  /** All at or below is in layers on disk (full), or on every full member's (tail). */
  readonly flushed: Lsn
  readonly completeTo: Lsn
  /** Entries of the hot log up to here are not of this segment's history any more. */
  readonly ignoredLog: LogPosition | null
  readonly layers: LayerManifest
}

const FOLDER = 'segments'
const NAME = 'manifest'

export const segmentFolder = (volume: VolumeId, group: GroupIndex): string => `${FOLDER}/${volumeName(volume)}-${group}`

/** The groups of a volume that a disk has segments of. */
export function groupsOnDisk(disk: Disk, volume: VolumeId): GroupIndex[] {
  const prefix = `${volumeName(volume)}-`
  return disk
    .list(FOLDER)
    .filter((name) => name.startsWith(prefix))
    .map((name) => groupIndex(Number(name.slice(prefix.length))))
}

export function makeSegmentFolder(disk: Disk, folder: string): void {
  disk.makeFolder(folder)
  disk.syncFolder(FOLDER)
}

export function removeSegmentFolder(disk: Disk, folder: string): void {
  disk.removeFolder(folder)
  disk.syncFolder(FOLDER)
}

export function writeManifest(disk: Disk, folder: string, manifest: SegmentManifest): void {
  writeState(disk, folder, NAME, manifest)
}

/**
 * Undefined when the segment was never completely made, or when both copies are lost. A lost segment is removed: its
 * group's members give this node another one, which counts only once it has caught up.
 * @throws VolumeError `UnsupportedFormat`
 */
export function readManifest(disk: Disk, folder: string): SegmentManifest | undefined {
  const read = readState(disk, folder, NAME)
  if (read.status === 'absent') return undefined
  if (read.status === 'damaged') {
    removeSegmentFolder(disk, folder)
    return undefined
  }
  const manifest = read.value as SegmentManifest
  if (manifest.format !== 1)
    throw new VolumeError('UnsupportedFormat', `${folder}: manifest of format ${String(manifest.format)}`)
  return manifest
}
