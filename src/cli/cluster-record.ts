/** What the region knows of a cluster: one cell of the registry, in JSON, format 1. */
import { VolumeError } from '../protocol/errors.ts'
import { parseVolumeName, type VolumeId, volumeName } from '../protocol/lsn.ts'
import { type Registry, update } from '../volume/registry.ts'

const FORMAT = 1
const PREFIX = 'cluster/'

export interface InstanceRecord {
  readonly name: string
  readonly zone: string
  readonly address: string
  readonly port: number
}

export interface ClusterRecord {
  readonly name: string
  readonly engine: 'postgres'
  /** A release, such as `17.10`. */
  readonly engineVersion: string
  /** `creating` until it has a volume; `deleting`: what is left of it is being removed. */
  readonly stage: 'creating' | 'live' | 'deleting'
  readonly volume: VolumeId | null
  readonly master: string
  readonly writer: InstanceRecord
}

const format = (record: ClusterRecord): string =>
  JSON.stringify({ format: FORMAT, ...record, volume: record.volume === null ? null : volumeName(record.volume) })

function parse(json: string): ClusterRecord {
  const raw = JSON.parse(json) as Omit<ClusterRecord, 'volume'> & { readonly format: number; volume: string | null }
  const { format: version, volume, ...rest } = raw
  if (version !== FORMAT) throw new VolumeError('UnsupportedFormat', `cluster ${raw.name} has format ${version}`)
  return { ...rest, volume: volume === null ? null : (parseVolumeName(volume) ?? null) }
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
