/**
 * What the API asks of the control plane and commands it to do, in process.
 *
 * Two kinds of methods:
 *
 * - Without a promise: about the state in SQLite. Reading gives what is recorded now. A command checks that it may be,
 *   records what is wanted, and returns the resource as it looks then (a new cluster is `creating`); the reconciling
 *   loop carries it out later. So a request of the API is one turn of the event loop and one `transaction`: requests
 *   that come at once are serialised, and none sees half of another.
 * - With a promise: asks a host or an engine, and changes nothing.
 *
 * Names are lower case and checked by the caller. Times are Unix milliseconds. A command that cannot be throws
 * `ControlPlaneError`, and has changed nothing.
 */
import type { DatabaseSync } from 'node:sqlite'

/** In the words of the RDS API, which `DescribeDBClusters` shows as they are. */
export type ClusterStatus =
  | 'creating'
  | 'available'
  | 'modifying'
  | 'renaming'
  | 'resetting-master-credentials'
  | 'failing-over'
  | 'maintenance'
  | 'upgrading'
  | 'starting'
  | 'stopping'
  | 'stopped'
  | 'deleting'

export type InstanceStatus =
  | 'creating'
  | 'available'
  | 'modifying'
  | 'renaming'
  | 'resetting-master-credentials'
  | 'rebooting'
  | 'maintenance'
  | 'upgrading'
  | 'starting'
  | 'stopping'
  | 'stopped'
  | 'deleting'
  | 'incompatible-parameters'
  | 'failed'

/** What `ModifyDBCluster` can change. All are kept; those that the loop acts upon say how. */
export interface ClusterSettings {
  /** Name of a DB cluster parameter group (`parameter-groups.ts`). Another one takes effect at each instance's reboot. */
  readonly parameterGroup: string
  readonly subnetGroup: string
  readonly securityGroups: readonly string[]
  /** All endpoints listen there. Changing it restarts all instances. */
  readonly port: number
  readonly backupRetentionDays: number
  /** `hh:mm-hh:mm`, UTC. */
  readonly backupWindow: string
  /** `ddd:hh:mm-ddd:hh:mm`, UTC: when the loop makes `pending` be. */
  readonly maintenanceWindow: string
  /** While true, deleting throws `DeletionProtected`. */
  readonly deletionProtection: boolean
  readonly copyTagsToSnapshot: boolean
  readonly iamAuthentication: boolean
  readonly logExports: readonly string[]
  readonly storageType: 'aurora' | 'aurora-iopt1'
  readonly caIdentifier: string
}

/** What waits for the maintenance window. */
export interface ClusterPending {
  readonly engineVersion?: string
  /** That there is one, never which. */
  readonly masterPassword?: true
  readonly port?: number
  readonly iamAuthentication?: boolean
  readonly backupRetentionDays?: number
}

export interface Cluster {
  /** `DBClusterIdentifier`. */
  readonly name: string
  /** `cluster-` and 26 upper-case letters and digits: for life, also when it is renamed. */
  readonly resourceId: string
  readonly createdMs: number
  readonly status: ClusterStatus
  readonly engine: 'aurora-postgresql'
  /** A release, such as `17.10`. */
  readonly engineVersion: string
  readonly masterUser: string
  /** The database made with it; null when none was asked for. */
  readonly databaseName: string | null
  /** Where copies of its volume are: three. */
  readonly zones: readonly string[]
  readonly settings: ClusterSettings
  readonly pending: ClusterPending
  /** Host names of its built-in endpoints. */
  readonly writerEndpoint: string
  readonly readerEndpoint: string
  readonly volume: {
    /** null when nobody knows yet. */
    readonly bytesUsed: number | null
    readonly earliestRestorableMs: number | null
    readonly latestRestorableMs: number | null
  }
  /** Whether its volume is encrypted at rest. */
  readonly storageEncrypted: boolean
  /** While stopped: when it will be started by itself; Aurora's seven days. */
  readonly restartsMs: number | null
}

/** What `ModifyDBInstance` can change. */
export interface InstanceSettings {
  /** One of `instance-classes.ts`. */
  readonly instanceClass: string
  /** Name of a DB parameter group. Another one takes effect at the reboot. */
  readonly parameterGroup: string
  /** 0 to 15: who is promoted first. */
  readonly promotionTier: number
  readonly maintenanceWindow: string
  readonly autoMinorVersionUpgrade: boolean
  readonly publiclyAccessible: boolean
  readonly copyTagsToSnapshot: boolean
  readonly caIdentifier: string
  readonly monitoringIntervalSeconds: number
}

export interface InstancePending {
  readonly instanceClass?: string
  readonly caIdentifier?: string
}

/** Whether what an engine runs with is what its group says. */
export type ParameterStatus = 'in-sync' | 'applying' | 'pending-reboot'

export interface Instance {
  /** `DBInstanceIdentifier`. */
  readonly name: string
  /** `DbiResourceId`: `db-` and 26 upper-case letters and digits. */
  readonly resourceId: string
  readonly cluster: string
  readonly createdMs: number
  readonly status: InstanceStatus
  readonly role: 'writer' | 'reader'
  readonly zone: string
  readonly engineVersion: string
  readonly settings: InstanceSettings
  readonly pending: InstancePending
  /** Of its DB parameter group. */
  readonly parameterStatus: ParameterStatus
  /** Of its cluster's group. */
  readonly clusterParameterStatus: ParameterStatus
  /** null until it has one. */
  readonly endpoint: { readonly host: string; readonly port: number } | null
  /** Of the certificate that it shows its clients; null until there is one. */
  readonly certificateValidUntilMs: number | null
  /** How far a reader is behind; null for a writer, and when nobody knows. */
  readonly lagMs: number | null
}

export interface CustomEndpoint {
  readonly name: string
  /** `cluster-endpoint-` and 26 upper-case letters and digits. */
  readonly resourceId: string
  readonly cluster: string
  readonly host: string
  readonly status: 'creating' | 'available' | 'modifying' | 'deleting'
  readonly type: 'READER' | 'ANY'
  /** At most one of the two lists has names. */
  readonly staticMembers: readonly string[]
  readonly excludedMembers: readonly string[]
}

export interface ClusterSpec {
  readonly name: string
  readonly engine: 'aurora-postgresql'
  readonly engineVersion: string
  readonly masterUser: string
  readonly masterPassword: string
  readonly databaseName: string | null
  readonly zones: readonly string[] | null
  readonly settings: ClusterSettings
  readonly storageEncrypted: boolean
}

/** Only what is named changes. What can wait does so, unless `applyImmediately`. */
export interface ClusterChange extends Partial<ClusterSettings> {
  readonly newName?: string
  readonly engineVersion?: string
  readonly masterPassword?: string
}

export interface InstanceSpec {
  readonly name: string
  readonly cluster: string
  /** null: wherever there are fewest of the cluster's. */
  readonly zone: string | null
  readonly settings: InstanceSettings
}

export interface InstanceChange extends Partial<InstanceSettings> {
  readonly newName?: string
}

export interface LogFile {
  /** As RDS has it: `error/postgresql.log.2026-11-20-1400`. */
  readonly name: string
  readonly bytes: number
  readonly writtenMs: number
}

/** Why a command cannot be. The API gives each the fault of AWS that fits. */
export type ControlPlaneErrorCode =
  | 'ClusterNotFound'
  | 'ClusterExists'
  | 'ClusterState'
  | 'ClusterQuota'
  | 'InstanceNotFound'
  | 'InstanceExists'
  | 'InstanceState'
  | 'InstanceQuota'
  | 'EndpointNotFound'
  | 'EndpointExists'
  | 'EndpointState'
  | 'EndpointQuota'
  | 'DeletionProtected'
  | 'LogFileNotFound'
  /** The instance's host or engine does not answer now. */
  | 'Unreachable'

export class ControlPlaneError extends Error {
  readonly code: ControlPlaneErrorCode
  /** @param message one sentence, shown to the caller of the API as it is */
  constructor(code: ControlPlaneErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ControlPlaneError'
    this.code = code
  }
}

export interface ControlPlane {
  /** `local-1`; twelve digits; the end of all host names. */
  readonly region: string
  readonly account: string
  /** Also the "hosted zone" that `DescribeDBClusters` shows. */
  readonly hash: string
  readonly zones: readonly string[]
  /** PEM: what clients verify the certificates of instances with. */
  readonly authorityCertificate: string
  /** Where the state is: the stores beside this file (groups, tags, events, keys) have tables of their own in it. */
  readonly database: DatabaseSync

  /** All or nothing. Within another one it is part of that. */
  transaction<T>(body: () => T): T

  /** By name. Those whose deletion is done are not there. */
  clusters(): readonly Cluster[]
  cluster(name: string): Cluster | undefined
  /** By name. */
  instances(): readonly Instance[]
  instancesOf(cluster: string): readonly Instance[]
  instance(name: string): Instance | undefined
  customEndpoints(): readonly CustomEndpoint[]
  customEndpoint(name: string): CustomEndpoint | undefined

  /** @throws ControlPlaneError `ClusterExists`, `ClusterQuota` */
  createCluster(spec: ClusterSpec): Cluster
  /**
   * Whoever makes a new name be moves the resource's tags to its new ARN (`moveTags`).
   * @throws ControlPlaneError `ClusterNotFound`, `ClusterState`, `ClusterExists` (of the new name)
   */
  modifyCluster(name: string, change: ClusterChange, applyImmediately: boolean): Cluster
  /**
   * Instances that are being deleted may still be there: the cluster goes after them.
   * @throws ControlPlaneError `ClusterNotFound`, `ClusterState` (also when it has other instances), `DeletionProtected`
   */
  deleteCluster(name: string): Cluster
  /** @throws ControlPlaneError `ClusterNotFound`, `ClusterState` */
  startCluster(name: string): Cluster
  stopCluster(name: string): Cluster
  /**
   * @param target to be promoted; null: by tier
   * @throws ControlPlaneError `ClusterNotFound`, `ClusterState` (also without a reader), `InstanceNotFound`, `InstanceState`
   */
  failoverCluster(name: string, target: string | null): Cluster

  /** The first instance of a cluster is its writer. @throws ControlPlaneError `ClusterNotFound`, `ClusterState`, `InstanceExists`, `InstanceQuota` */
  createInstance(spec: InstanceSpec): Instance
  /** @throws ControlPlaneError `InstanceNotFound`, `InstanceState`, `InstanceExists` (of the new name) */
  modifyInstance(name: string, change: InstanceChange, applyImmediately: boolean): Instance
  /** @throws ControlPlaneError `InstanceNotFound`, `InstanceState` */
  deleteInstance(name: string): Instance
  /** @param failover promote another one meanwhile @throws ControlPlaneError `InstanceNotFound`, `InstanceState` */
  rebootInstance(name: string, failover: boolean): Instance

  /** @throws ControlPlaneError `ClusterNotFound`, `ClusterState`, `EndpointExists`, `EndpointQuota`, `InstanceNotFound` */
  createCustomEndpoint(
    spec: Pick<CustomEndpoint, 'name' | 'cluster' | 'type' | 'staticMembers' | 'excludedMembers'>,
  ): CustomEndpoint
  /** @throws ControlPlaneError `EndpointNotFound`, `EndpointState`, `InstanceNotFound` */
  modifyCustomEndpoint(
    name: string,
    change: Partial<Pick<CustomEndpoint, 'type' | 'staticMembers' | 'excludedMembers'>>,
  ): CustomEndpoint
  /** @throws ControlPlaneError `EndpointNotFound`, `EndpointState` */
  deleteCustomEndpoint(name: string): CustomEndpoint

  /**
   * A group's values were changed: instances that use it take what can be taken at once, and show `pending-reboot` where
   * `needsReboot`.
   */
  parameterGroupChanged(kind: 'cluster' | 'instance', group: string, needsReboot: boolean): void

  /** Oldest first. @throws ControlPlaneError `InstanceNotFound`, `Unreachable` */
  logFiles(instance: string): Promise<readonly LogFile[]>
  /** @throws ControlPlaneError `InstanceNotFound`, `LogFileNotFound`, `Unreachable` */
  readLogFile(instance: string, name: string, offset: number, length: number): Promise<Uint8Array>
}
