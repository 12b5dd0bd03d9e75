/** Clusters and instances as people and the API see them: what is wanted together with what is seen. */
import type { ClusterRecord, EndpointRecord, InstanceRecord } from './cluster-records.ts'
import type { Cluster, ClusterStatus, CustomEndpoint, Instance, InstanceStatus } from './control-plane.ts'
import type { SeenInstance } from './host-agent.ts'
import type { GroupKind } from './parameter-groups.ts'

/** RDS starts a cluster again that was stopped for so long. */
export const STOPPED_MS_MAX = 7 * 86_400_000

export type Seen = ReadonlyMap<string, SeenInstance>

export const isAvailable = ({ name, run }: InstanceRecord, seen: Seen): boolean => {
  const now = seen.get(name)
  return now?.run === run && now.phase === 'running' && now.report?.state === 'available'
}

const runs = ({ name }: InstanceRecord, seen: Seen): boolean => seen.get(name)?.phase === 'running'

const WHILE_STARTING = {
  created: 'creating',
  started: 'starting',
  rebooted: 'rebooting',
  failover: 'rebooting',
  failed: 'rebooting',
  rebuilt: 'rebooting',
  modified: 'modifying',
} as const satisfies Record<InstanceRecord['reason'], InstanceStatus>

export function instanceStatus(cluster: ClusterRecord, instance: InstanceRecord, seen: Seen): InstanceStatus {
  if (instance.stage === 'deleting' || cluster.stage === 'deleting') return 'deleting'
  if (cluster.wanted === 'stopped') return runs(instance, seen) ? 'stopping' : 'stopped'
  if (isAvailable(instance, seen)) return 'available'
  // Its engine crashed, and is back in a moment.
  if (!instance.wasAvailable) return 'creating'
  return seen.get(instance.name)?.report?.state === 'recovering' ? 'rebooting' : WHILE_STARTING[instance.reason]
}

export function clusterStatus(cluster: ClusterRecord, instances: readonly InstanceRecord[], seen: Seen): ClusterStatus {
  if (cluster.stage !== 'live') return cluster.stage
  if (cluster.wanted === 'stopped') return instances.some((each) => runs(each, seen)) ? 'stopping' : 'stopped'
  if (cluster.failover !== null && cluster.failover.from !== null) return 'failing-over'
  const writer = instances.find(({ name }) => name === cluster.writer)
  if (writer?.reason === 'started' && !isAvailable(writer, seen)) return 'starting'
  return 'available'
}

/** Names of the endpoints, which are another house's to make. */
export interface EndpointNames {
  writer(cluster: string): string
  reader(cluster: string): string
  custom(endpoint: string): string
  instance(instance: string): string
}

export function clusterView(
  cluster: ClusterRecord,
  instances: readonly InstanceRecord[],
  seen: Seen,
  { names, zones }: { readonly names: EndpointNames; readonly zones: readonly string[] },
): Cluster {
  const { name, resourceId, createdMs, engineVersion, masterUser, databaseName, settings, pending, stoppedMs } = cluster
  const report = cluster.writer === null ? undefined : seen.get(cluster.writer)?.report
  return {
    name,
    resourceId,
    createdMs,
    status: clusterStatus(cluster, instances, seen),
    engine: 'aurora-postgresql',
    engineVersion,
    masterUser,
    databaseName,
    zones,
    settings,
    pending,
    writerEndpoint: names.writer(name),
    readerEndpoint: names.reader(name),
    volume: { bytesUsed: report?.bytesUsed ?? null, earliestRestorableMs: null, latestRestorableMs: null },
    storageEncrypted: false,
    restartsMs: stoppedMs === null ? null : stoppedMs + STOPPED_MS_MAX,
  }
}

export function instanceView(
  cluster: ClusterRecord,
  instance: InstanceRecord,
  seen: Seen,
  {
    region,
    names,
    certificateUntilMs,
  }: { readonly region: string; readonly names: EndpointNames; readonly certificateUntilMs: number | null },
): Instance {
  const { name, resourceId, createdMs, zone, settings, pending, pendingReboot } = instance
  const parametersOf = (kind: GroupKind) => (pendingReboot.includes(kind) ? 'pending-reboot' : 'in-sync')
  const report = isAvailable(instance, seen) ? seen.get(name)?.report : undefined
  return {
    name,
    resourceId,
    cluster: cluster.name,
    createdMs,
    status: instanceStatus(cluster, instance, seen),
    role: name === cluster.writer ? 'writer' : 'reader',
    zone: region + zone,
    engineVersion: cluster.engineVersion,
    settings,
    pending,
    parameterStatus: parametersOf('instance'),
    clusterParameterStatus: parametersOf('cluster'),
    endpoint: instance.wasAvailable ? { host: names.instance(name), port: cluster.settings.port } : null,
    certificateValidUntilMs: certificateUntilMs,
    lagMs: report?.lagMs ?? null,
  }
}

export function endpointView(endpoint: EndpointRecord, names: EndpointNames): CustomEndpoint {
  const { name, resourceId, cluster, type, staticMembers, excludedMembers } = endpoint
  return {
    name,
    resourceId,
    cluster,
    host: names.custom(name),
    status: 'available',
    type,
    staticMembers,
    excludedMembers,
  }
}
