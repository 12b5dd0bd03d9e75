/**
 * Reads every change of the registry at the moment when it is made, and tells model and fault atlas: from then on it is
 * agreed, whether or not whoever asked for it lives to hear so.
 */
import type { GroupConfig } from '../src/protocol/group.ts'
import {
  type GroupIndex,
  groupIndex,
  type NodeId,
  parseVolumeName,
  type VolumeId,
  volumeName,
} from '../src/protocol/lsn.ts'
import { parseGroupRecord } from '../src/volume/group-record.ts'
import { parseVolumeRecord, type VolumeRecord } from '../src/volume/volume-record.ts'
import type { AtlasGroup } from './fault-atlas.ts'
import type { Oracle } from './oracle.ts'

export const atlasName = (volume: VolumeId, group: GroupIndex): string => `${volumeName(volume)}/${group}`

export interface RegistryListener {
  /** Members that may hold nothing yet: of a new group all, of a changed one the new. */
  joined(volume: VolumeId, config: GroupConfig, nodes: readonly NodeId[]): void
}

export class RegistryWatch {
  readonly records = new Map<VolumeId, VolumeRecord>()
  /** Ids of volumes that were deleted. */
  readonly deleted = new Set<VolumeId>()
  readonly #configs = new Map<string, GroupConfig>()
  readonly #oracle: Oracle
  readonly #listener: RegistryListener

  constructor(oracle: Oracle, listener: RegistryListener) {
    this.#oracle = oracle
    this.#listener = listener
  }

  configOf(record: VolumeRecord, group: GroupIndex): GroupConfig | undefined {
    return this.#configs.get(`group/${volumeName(record.placement)}/${group}`)
  }

  /** All groups of all volumes that segments were made of. */
  groups(): AtlasGroup[] {
    const groups: AtlasGroup[] = []
    for (const record of this.records.values()) {
      for (const group of record.groups.keys()) {
        const config = this.configOf(record, group)
        if (config === undefined) continue
        const segment = { volume: record.id, group, blockBytes: record.blockBytes }
        groups.push({ name: atlasName(record.id, group), config, segment })
      }
    }
    return groups
  }

  changed(key: string, value: string | null): void {
    if (key.startsWith('group/') && value !== null) this.#groupChanged(key, parseGroupRecord(value))
    if (!key.startsWith('volume/')) return
    if (value === null) {
      const id = parseVolumeName(key.slice('volume/'.length)) as VolumeId
      this.records.delete(id)
      this.deleted.add(id)
    } else this.#volumeChanged(parseVolumeRecord(value))
  }

  #groupChanged(key: string, config: GroupConfig): void {
    const before = this.#configs.get(key)
    this.#configs.set(key, config)
    const known = new Set(before?.members.map(({ incarnation }) => incarnation))
    const fresh = config.members.filter(({ incarnation }) => !known.has(incarnation)).map(({ node }) => node)
    if (fresh.length === 0) return
    for (const record of this.records.values()) {
      if (this.configOf(record, config.group) === config && record.groups.has(config.group)) {
        this.#listener.joined(record.id, config, fresh)
      }
    }
  }

  #volumeChanged(record: VolumeRecord): void {
    const before = this.records.get(record.id)
    this.records.set(record.id, record)
    if (before === undefined && !this.#oracle.has(record.id)) {
      if (record.parent === null) this.#oracle.create(record.id, record.blockBytes)
      else this.#oracle.branch(record.id, record.parent.volume, record.parent.lsn)
    }
    const model = this.#oracle.volume(record.id)
    for (const { epoch, from, to } of record.truncations) {
      if (epoch > model.current.epoch) model.recovered(epoch, from, to)
    }
    model.retain({ cutoff: record.cutoff, pins: record.pins.map(({ lsn }) => lsn) })
    for (const [group, stage] of record.groups) {
      if (stage !== 'active' || before?.groups.get(group) === 'active') continue
      const config = this.configOf(record, groupIndex(group))
      if (config !== undefined)
        this.#listener.joined(
          record.id,
          config,
          config.members.map(({ node }) => node),
        )
    }
  }
}
