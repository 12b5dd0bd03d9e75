/** Volumes and groups in the registry, as what they are instead of as text. */
import { VolumeError } from '../protocol/errors.ts'
import type { GroupConfig } from '../protocol/group.ts'
import { type GroupIndex, parseVolumeName, type VolumeId } from '../protocol/lsn.ts'
import { formatGroupRecord, parseGroupRecord } from './group-record.ts'
import { groupKey, type Registry, update, volumeKey } from './registry.ts'
import { formatVolumeRecord, parseVolumeRecord, type VolumeRecord } from './volume-record.ts'

/** A record and a version that says which of two is newer. */
export interface Versioned<T> {
  readonly record: T
  readonly version: number
}

interface Form<T> {
  readonly parse: (json: string) => T
  readonly format: (record: T) => string
}

const VOLUME: Form<VolumeRecord> = { parse: parseVolumeRecord, format: formatVolumeRecord }
const GROUP: Form<GroupConfig> = { parse: parseGroupRecord, format: formatGroupRecord }

/** @throws VolumeError `NotFound` */
async function read<T>(registry: Registry, key: string, form: Form<T>): Promise<Versioned<T>> {
  const cell = await registry.get(key)
  if (cell === undefined) throw new VolumeError('NotFound', `${key} is not in the registry`)
  return { record: form.parse(cell.value), version: cell.version }
}

/** @throws VolumeError `AlreadyExists` */
async function create<T>(registry: Registry, key: string, form: Form<T>, record: T): Promise<void> {
  if (await registry.cas(key, 0, form.format(record))) return
  throw new VolumeError('AlreadyExists', `${key} is in the registry already`)
}

async function change<T>(
  registry: Registry,
  key: string,
  form: Form<T>,
  next: (record: T) => T,
): Promise<Versioned<T>> {
  let changed: T | undefined
  const version = await update(registry, key, (value) => {
    if (value === undefined) throw new VolumeError('NotFound', `${key} is not in the registry`)
    const present = form.parse(value)
    changed = next(present)
    return changed === present ? value : form.format(changed)
  })
  return { record: changed as T, version }
}

export const readVolume = (registry: Registry, id: VolumeId): Promise<Versioned<VolumeRecord>> =>
  read(registry, volumeKey(id), VOLUME)

/** All volumes and branches. */
export async function listVolumes(registry: Registry): Promise<VolumeId[]> {
  const keys = await registry.list('volume/')
  return keys.map((key) => parseVolumeName(key.slice('volume/'.length))).filter((id) => id !== undefined)
}

export const createVolume = (registry: Registry, volume: VolumeRecord): Promise<void> =>
  create(registry, volumeKey(volume.id), VOLUME, volume)

/**
 * @param next one of `volume-changes.ts` and `volume-retention.ts`; may be called several times
 * @returns what this call made of the record, though others may have changed it since; its version is as of `update`
 * @throws VolumeError `NotFound`, `Conflict`, and what `next` throws
 */
export const changeVolume = (
  registry: Registry,
  id: VolumeId,
  next: (volume: VolumeRecord) => VolumeRecord,
): Promise<Versioned<VolumeRecord>> => change(registry, volumeKey(id), VOLUME, next)

export const readGroup = (
  registry: Registry,
  placement: VolumeId,
  group: GroupIndex,
): Promise<Versioned<GroupConfig>> => read(registry, groupKey(placement, group), GROUP)

export const createGroup = (registry: Registry, placement: VolumeId, config: GroupConfig): Promise<void> =>
  create(registry, groupKey(placement, config.group), GROUP, config)

export const changeGroup = (
  registry: Registry,
  placement: VolumeId,
  group: GroupIndex,
  next: (config: GroupConfig) => GroupConfig,
): Promise<Versioned<GroupConfig>> => change(registry, groupKey(placement, group), GROUP, next)
