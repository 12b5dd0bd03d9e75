/** What decisions of the loops are for people who read events: in AWS's words (`event-catalog.ts`). Pure. */
import type { Decision } from './cluster-plan.ts'
import type { ClusterRecord, InstanceRecord } from './cluster-records.ts'
import type { EventKind } from './event-catalog.ts'

export interface Happened {
  readonly kind: EventKind
  readonly of: 'cluster' | 'db'
  readonly name: string
  readonly details?: Readonly<Record<string, string>>
}

/**
 * @param cluster as the decision has left it
 * @param instances as they were before
 */
export function happened(
  decision: Decision,
  cluster: ClusterRecord,
  instances: readonly InstanceRecord[],
): readonly Happened[] {
  const { name } = cluster
  const find = (each: string | null) => instances.find((instance) => instance.name === each)
  switch (decision.kind) {
    case 'failover': {
      const from = find(cluster.failover?.from ?? null)
      // The first writer of a cluster, or that of one that had none.
      if (from === undefined) return []
      const across = find(decision.to)?.zone !== from.zone
      const kind = across ? 'failoverStartedAcrossZones' : 'failoverStarted'
      return [{ kind, of: 'cluster', name, details: { instance: decision.to } }]
    }
    case 'failed-over':
      return cluster.writer === null
        ? []
        : [{ kind: 'failoverCompleted', of: 'cluster', name, details: { instance: cluster.writer } }]
    case 'available': {
      const instance = find(decision.instance)
      return instance?.wasAvailable === false ? [{ kind: 'instanceCreated', of: 'db', name: instance.name }] : []
    }
    case 'again':
      return decision.reason === 'failed' || decision.reason === 'rebuilt'
        ? [{ kind: 'instanceRecovering', of: 'db', name: decision.instance }]
        : []
    case 'restarted': {
      const reason = find(decision.instance)?.reason
      const kind = reason === 'failed' || reason === 'rebuilt' ? 'instanceRecovered' : 'instanceRestarted'
      return [{ kind, of: 'db', name: decision.instance }]
    }
    case 'removed':
      return [{ kind: 'instanceDeleted', of: 'db', name: decision.instance }]
    case 'no-writer':
      return []
  }
}
