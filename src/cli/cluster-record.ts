/** What the region knows of a cluster: one cell of the registry, in JSON, format 1. */
import { VolumeError } from '../protocol/errors.ts'
import { type Lsn, parseVolumeName, type VolumeId, volumeName } from '../protocol/lsn.ts'
import { type Registry, update } from '../volume/registry.ts'
import { PlainError } from '../cluster/plain-error.ts'

const FORMAT = 1
const PREFIX = 'cluster/'

export interface InstanceRecord {
  readonly name: string
  readonly zone: string
  readonly address: string
  readonly port: number
}

/** What a cluster was made from: the volume of another, or an ancestor of that, at an LSN. */
export interface BranchPoint {
  readonly cluster: string
  readonly volume: VolumeId
  readonly lsn: Lsn
}

export interface ClusterRecord {
  readonly name: string
  readonly engine: 'postgres'
  /** A release, such as `17.10`. */
  readonly engineVersion: string
  /** `creating` until it has a volume; `deleting`: what is left of it is being removed. */
  readonly stage: 'creating' | 'live' | 'deleting'
  readonly volume: VolumeId | null
  /** null: it began empty. */
  readonly branchOf: BranchPoint | null
  readonly master: string
  readonly writer: InstanceRecord
}

/** Volumes by their names. */
interface StoredRecord extends Omit<ClusterRecord, 'volume' | 'branchOf'> {
  readonly format: number
  readonly volume: string | null
  /** Records from before there were branches do not have it. */
  readonly branchOf?: (Omit<BranchPoint, 'volume'> & { readonly volume: string }) | null
}

function format({ volume, branchOf, ...rest }: ClusterRecord): string {
  const stored: StoredRecord = {
    format: FORMAT,
    ...rest,
    volume: volume === null ? null : volumeName(volume),
    branchOf: branchOf === null ? null : { ...branchOf, volume: volumeName(branchOf.volume) },
  }
  return JSON.stringify(stored)
}

function parse(json: string): ClusterRecord {
  const { format: version, volume, branchOf, ...rest } = JSON.parse(json) as StoredRecord
  if (version !== FORMAT) throw new VolumeError('UnsupportedFormat', `cluster ${rest.name} has format ${version}`)
  const origin = branchOf == null ? undefined : parseVolumeName(branchOf.volume)
  return {
    ...rest,
    volume: volume === null ? null : (parseVolumeName(volume) ?? null),
    branchOf: branchOf == null || origin === undefined ? null : { ...branchOf, volume: origin },
  }
}

/** RDS's, but for the length: names of instances are made from it. */
export const CLUSTER_NAME_RULE = '1 to 60 lower-case letters, digits and single hyphens, the first a letter'

export const isClusterName = (name: string): boolean => /^[a-z](?:-?[a-z0-9])*$/.test(name) && name.length <= 60

export async function listClusters(registry: Registry): Promise<ClusterRecord[]> {
  const records: ClusterRecord[] = []
  for (const key of await registry.list(PREFIX)) {
    const cell = await registry.get(key)
    if (cell !== undefined) records.push(parse(cell.value))
  }
  return records
}

export async function findCluster(registry: Registry, name: string): Promise<ClusterRecord | undefined> {
  const cell = await registry.get(PREFIX + name)
  return cell === undefined ? undefined : parse(cell.value)
}

/** The volume of a cluster, or the one of that id. @throws PlainError when there is no such cluster */
export async function findVolume(registry: Registry, name: string): Promise<VolumeId> {
  const volume = parseVolumeName(name) ?? (await findCluster(registry, name))?.volume
  if (volume === undefined || volume === null)
    throw new PlainError(`there is no cluster ${name}: see borealis cluster list`)
  return volume
}

/** @returns false when there is one of that name */
export const createCluster = (registry: Registry, record: ClusterRecord): Promise<boolean> =>
  registry.cas(PREFIX + record.name, 0, format(record))

export async function changeCluster(
  registry: Registry,
  name: string,
  change: (record: ClusterRecord) => ClusterRecord,
): Promise<ClusterRecord> {
  let changed: ClusterRecord | undefined
  await update(registry, PREFIX + name, (value) => {
    if (value === undefined) throw new VolumeError('NotFound', `there is no cluster ${name}`)
    changed = change(parse(value))
    return format(changed)
  })
  return changed as ClusterRecord
}

export async function removeCluster(registry: Registry, name: string): Promise<void> {
  await update(registry, PREFIX + name, () => null)
}
