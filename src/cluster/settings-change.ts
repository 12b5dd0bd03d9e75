/** What a change of settings does at once, and what of it can wait for the maintenance window. Pure. */
import type { ClusterRecord, InstanceRecord } from './cluster-records.ts'
import type {
  ClusterChange,
  ClusterPending,
  ClusterSettings,
  InstanceChange,
  InstancePending,
} from './control-plane.ts'

export interface SplitClusterChange {
  readonly atOnce: Partial<ClusterSettings>
  /** Only what is not so already. */
  readonly waiting: ClusterPending
}

export function splitClusterChange(
  { engineVersion: version, settings }: ClusterRecord,
  {
    newName: _,
    masterPassword: __,
    engineVersion,
    port,
    iamAuthentication,
    backupRetentionDays,
    ...atOnce
  }: ClusterChange,
): SplitClusterChange {
  const isNew = <T>(value: T | undefined, now: T): value is T => value !== undefined && value !== now
  return {
    atOnce,
    waiting: {
      ...(isNew(engineVersion, version) ? { engineVersion } : {}),
      ...(isNew(port, settings.port) ? { port } : {}),
      ...(isNew(iamAuthentication, settings.iamAuthentication) ? { iamAuthentication } : {}),
      ...(isNew(backupRetentionDays, settings.backupRetentionDays) ? { backupRetentionDays } : {}),
    },
  }
}

/** The cluster with what was waiting. */
export function withPending(record: ClusterRecord, pending: ClusterPending): ClusterRecord {
  const { engineVersion = record.engineVersion, masterPassword: _, ...settings } = pending
  return { ...record, engineVersion, settings: { ...record.settings, ...settings }, pending: {} }
}

/** Whether it takes other runs of all instances. */
export const restartsInstances = ({ engineVersion, port }: ClusterPending): boolean =>
  engineVersion !== undefined || port !== undefined

export function splitInstanceChange(
  { settings }: InstanceRecord,
  { newName: _, instanceClass, caIdentifier, ...atOnce }: InstanceChange,
): { readonly atOnce: Partial<InstanceRecord['settings']>; readonly waiting: InstancePending } {
  return {
    atOnce,
    waiting: {
      ...(instanceClass === undefined || instanceClass === settings.instanceClass ? {} : { instanceClass }),
      ...(caIdentifier === undefined || caIdentifier === settings.caIdentifier ? {} : { caIdentifier }),
    },
  }
}
