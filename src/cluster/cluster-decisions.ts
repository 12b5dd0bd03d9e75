/** What a decision changes of what is wanted: pure, and made durable in one transaction by the loop. */
import type { Decision } from './cluster-plan.ts'
import type { ClusterRecord, Ending, InstanceRecord, StartReason } from './cluster-records.ts'

export interface Wanted {
  readonly cluster: ClusterRecord
  readonly instances: readonly InstanceRecord[]
}

/** The next run of an instance: whatever runs of it now is ended. */
export const nextRun = (instance: InstanceRecord, reason: StartReason, ending: Ending): InstanceRecord => ({
  ...instance,
  run: instance.run + 1,
  reason,
  ending,
  pendingReboot: [],
})

const changed = (
  { cluster, instances }: Wanted,
  name: string,
  change: (instance: InstanceRecord) => InstanceRecord,
): Wanted => ({ cluster, instances: instances.map((each) => (each.name === name ? change(each) : each)) })

/** @param nowMs of the wall clock */
export function decided(wanted: Wanted, decision: Decision, nowMs: number): Wanted {
  const { cluster, instances } = wanted
  switch (decision.kind) {
    case 'failover': {
      const { to, why } = decision
      const from = cluster.failover?.from ?? cluster.writer
      return {
        cluster: {
          ...cluster,
          writer: to,
          term: cluster.term + 1,
          failover: { from, to, why, sinceMs: cluster.failover?.sinceMs ?? nowMs },
        },
        // Both change their roles, and a process has one role for its life.
        instances: instances.map((each) =>
          each.name === to || each.name === cluster.writer ? nextRun(each, 'failover', 'kill') : each,
        ),
      }
    }
    case 'failed-over':
      return { cluster: { ...cluster, failover: null }, instances }
    case 'again': {
      const { instance, reason, ending } = decision
      return changed(wanted, instance, (each) => nextRun(each, reason, ending))
    }
    case 'available':
    case 'restarted': {
      const now = changed(wanted, decision.instance, (each) => ({
        ...each,
        wasAvailable: true,
        availableRun: each.run,
      }))
      return decision.instance === cluster.writer ? { ...now, cluster: { ...cluster, hasData: true } } : now
    }
    case 'removed':
      return { cluster, instances: instances.filter(({ name }) => name !== decision.instance) }
    case 'no-writer':
      return { cluster: { ...cluster, writer: null, failover: null }, instances }
  }
}
