/** What every instance of a cluster is told of all of them, so that SQL can tell it (`aurora_replica_status`). */
import type { TopologyMember } from '../instance/topology.ts'
import type { ClusterRecord, InstanceRecord } from './cluster-records.ts'
import { type EndpointNames, instanceStatus, type Seen } from './cluster-views.ts'

export const topologyOf = (
  cluster: ClusterRecord,
  instances: readonly InstanceRecord[],
  seen: Seen,
  names: EndpointNames,
  nowMs: number,
): TopologyMember[] =>
  instances.map((instance) => {
    const report = seen.get(instance.name)?.report ?? null
    return {
      name: instance.name,
      role: instance.name === cluster.writer ? 'writer' : 'reader',
      state: instanceStatus(cluster, instance, seen),
      run: instance.run,
      lagMs: report?.lagMs ?? null,
      walLsn: report?.walLsn ?? null,
      updatedAt: new Date(nowMs).toISOString(),
      cpu: null,
      endpoint: names.instance(instance.name),
      zone: instance.zone,
    }
  })
