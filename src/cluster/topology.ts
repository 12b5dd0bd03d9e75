/** What every instance of a cluster is told of all of them, so that SQL can tell it (`aurora_replica_status`). */
import type { TopologyMember } from '../instance/topology.ts'
import type { ClusterRecord, InstanceRecord } from './cluster-records.ts'
import { type EndpointNames, instanceStatus, type Seen } from './cluster-views.ts'

/**
 * Whoever is on the way to be the writer is not called so before it is one: clients look here for whom to connect to, and
 * may try once.
 */
export const topologyOf = (
  cluster: ClusterRecord,
  instances: readonly InstanceRecord[],
  seen: Seen,
  names: EndpointNames,
  nowMs: number,
): TopologyMember[] => {
  const writer = cluster.failover?.from ?? cluster.writer
  return instances.map((instance) => {
    const found = seen.get(instance.name)
    const report = found?.report ?? null
    const heardMs = found === undefined ? instance.createdMs : nowMs - (performance.now() - found.heardMs)
    return {
      name: instance.name,
      role: instance.name === writer ? 'writer' : 'reader',
      state: instanceStatus(cluster, instance, seen),
      run: instance.run,
      lagMs: report?.lagMs ?? null,
      walLsn: report?.walLsn ?? null,
      updatedAt: new Date(heardMs).toISOString(),
      cpu: null,
      endpoint: names.instance(instance.name),
      zone: instance.zone,
    }
  })
}
