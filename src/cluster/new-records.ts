/** Clusters and instances as they are at first. */
import type { BranchPoint, ClusterRecord, InstanceRecord } from './cluster-records.ts'
import type { ClusterSpec, InstanceSpec } from './control-plane.ts'
import { newResourceId } from './resource-id.ts'

export const newCluster = (
  { name, engineVersion, masterUser, masterPassword, databaseName, settings }: ClusterSpec,
  branchOf: BranchPoint | null,
  chosen: Pick<ClusterRecord, 'volume' | 'replicationPassword' | 'readerAddress'>,
): ClusterRecord => ({
  name,
  resourceId: newResourceId('cluster'),
  createdMs: Date.now(),
  engineVersion,
  masterUser,
  masterPassword,
  databaseName,
  settings,
  pending: {},
  branchOf,
  stage: 'creating',
  hasData: branchOf !== null,
  wanted: 'running',
  stoppedMs: null,
  writer: null,
  term: 0,
  failover: null,
  ...chosen,
})

export const newInstance = (
  { name, cluster, settings }: InstanceSpec,
  chosen: Pick<InstanceRecord, 'zone' | 'address'>,
): InstanceRecord => ({
  name,
  resourceId: newResourceId('db'),
  cluster,
  createdMs: Date.now(),
  settings,
  pending: {},
  stage: 'live',
  run: 1,
  reason: 'created',
  ending: 'kill',
  wasAvailable: false,
  availableRun: 0,
  pendingReboot: [],
  ...chosen,
})

/** Where there are fewest of a cluster's instances. */
export function emptiestZone(zones: readonly string[], instances: readonly InstanceRecord[]): string {
  const count = (zone: string): number => instances.filter((each) => each.zone === zone).length
  const [first = '', ...rest] = zones
  return rest.reduce((best, zone) => (count(zone) < count(best) ? zone : best), first)
}
