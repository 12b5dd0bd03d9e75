/** The volumes and segments that a node holds. */
import type { SegmentReport, VolumeState } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { GroupIndex, VolumeId } from '../protocol/lsn.ts'
import type { Disk } from './disk.ts'
import { NodeVolume } from './node-volume.ts'
import { Segment } from './segment.ts'
import type { SegmentHost } from './segment-host.ts'
import { groupsOnDisk } from './segment-manifest.ts'

export class SegmentTable {
  readonly volumes = new Map<VolumeId, NodeVolume>()
  readonly #disk: Disk
  readonly #segments = new Map<VolumeId, Map<GroupIndex, Segment>>()

  constructor(disk: Disk) {
    this.#disk = disk
    disk.makeFolder('volumes')
    disk.makeFolder('segments')
    disk.syncFolder('')
  }

  /** Finds what is on the disk. @throws VolumeError `Corrupt` when what was promised about a volume is lost */
  load(host: SegmentHost): void {
    for (const volume of NodeVolume.load(this.#disk)) {
      const id = volume.state.volume
      const groups = new Map<GroupIndex, Segment>()
      this.volumes.set(id, volume)
      this.#segments.set(id, groups)
      for (const group of groupsOnDisk(this.#disk, id)) {
        const segment = Segment.load(host, volume, group)
        if (segment !== undefined) groups.set(group, segment)
      }
    }
  }

  get(volume: VolumeId, group: GroupIndex): Segment | undefined {
    return this.#segments.get(volume)?.get(group)
  }

  /** @throws VolumeError `UnknownSegment` */
  need(volume: VolumeId, group: GroupIndex): Segment {
    const segment = this.get(volume, group)
    if (segment !== undefined) return segment
    throw new VolumeError('UnknownSegment', `no segment of group ${group} of this volume here`)
  }

  *all(): Generator<Segment> {
    for (const groups of this.#segments.values()) yield* groups.values()
  }

  of(volume: VolumeId): Segment[] {
    return [...(this.#segments.get(volume)?.values() ?? [])]
  }

  reports(volume: VolumeId): SegmentReport[] {
    return this.of(volume).map((segment) => segment.report())
  }

  /** The segments that one of a branch shows through, nearest first, as far as they are here. */
  ancestorsOf(segment: Segment): Segment[] {
    const ancestors: Segment[] = []
    for (let at = segment.below; at !== null; ) {
      const ancestor = this.get(at.volume, segment.group)
      if (ancestor === undefined) break
      ancestors.push(ancestor)
      at = ancestor.below
    }
    return ancestors
  }

  addVolume(state: VolumeState): NodeVolume {
    const volume = NodeVolume.create(this.#disk, state)
    this.volumes.set(state.volume, volume)
    this.#segments.set(state.volume, new Map())
    return volume
  }

  add(segment: Segment): void {
    this.#segments.get(segment.volume.state.volume)?.set(segment.group, segment)
  }

  /** Deletes a segment, on disk too. */
  remove(segment: Segment): void {
    this.#segments.get(segment.volume.state.volume)?.delete(segment.group)
    segment.remove()
  }

  /** Forgets a volume whose segments were removed. */
  forget(volume: NodeVolume): void {
    this.#segments.delete(volume.state.volume)
    this.volumes.delete(volume.state.volume)
    volume.forget()
  }
}
