/** What is wanted of clusters, instances and custom endpoints: the rows of the control plane's database. */
import type { VolumeId } from '../protocol/lsn.ts'
import type {
  ClusterPending,
  ClusterSettings,
  CustomEndpoint,
  InstancePending,
  InstanceSettings,
} from './control-plane.ts'
import type { GroupKind } from './parameter-groups.ts'

/** What a cluster was made from: the volume of another, or an ancestor of that, at an LSN. */
export interface BranchPoint {
  readonly cluster: string
  readonly volume: VolumeId
  readonly lsn: number
}

/** A change of the writer that is not done yet. */
export interface Failover {
  readonly from: string | null
  readonly to: string
  readonly sinceMs: number
  readonly why: string
}

export interface ClusterRecord {
  readonly name: string
  readonly resourceId: string
  readonly createdMs: number
  /** A release, such as `17.10`. */
  readonly engineVersion: string
  readonly masterUser: string
  readonly masterPassword: string
  /** Of the role by which readers follow. */
  readonly replicationPassword: string
  readonly databaseName: string | null
  readonly settings: ClusterSettings
  readonly pending: ClusterPending
  /** Chosen before the volume is made, so that what a crash leaves is found again. */
  readonly volume: VolumeId
  readonly branchOf: BranchPoint | null
  /** `creating` until the volume is there. */
  readonly stage: 'creating' | 'live' | 'deleting'
  /** A writer was available once: there is something to read. */
  readonly hasData: boolean
  readonly wanted: 'running' | 'stopped'
  readonly stoppedMs: number | null
  /** The only instance that may open the volume for writing. */
  readonly writer: string | null
  /** Raised whenever there is another writer. */
  readonly term: number
  readonly failover: Failover | null
  /** Where a balancer listens for the reader endpoint. */
  readonly readerAddress: string
}

/** Why an instance is started again; it says what people see meanwhile. */
export type StartReason = 'created' | 'started' | 'rebooted' | 'failover' | 'failed' | 'rebuilt' | 'modified'

export interface InstanceRecord {
  readonly name: string
  readonly resourceId: string
  readonly cluster: string
  readonly createdMs: number
  readonly zone: string
  readonly address: string
  readonly settings: InstanceSettings
  readonly pending: InstancePending
  readonly stage: 'live' | 'deleting'
  /** The start that is wanted: a process of a lower one is ended, and one of this one started. */
  readonly run: number
  readonly reason: StartReason
  /** How a process of an earlier run is ended. */
  readonly ending: Ending
  /** It was available in some run. */
  readonly wasAvailable: boolean
  /** The last run that was available. */
  readonly availableRun: number
  /** Whose values it takes at its next start only. */
  readonly pendingReboot: readonly GroupKind[]
}

/** In order, losing nothing and taking its time; or at once, which loses nothing either, as the next start recovers. */
export type Ending = 'stop' | 'kill'

export interface EndpointRecord
  extends Pick<CustomEndpoint, 'name' | 'resourceId' | 'cluster' | 'type' | 'staticMembers' | 'excludedMembers'> {
  readonly createdMs: number
  /** Where a balancer listens for it. */
  readonly address: string
}
