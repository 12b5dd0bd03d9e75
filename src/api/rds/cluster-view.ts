/** A cluster as `DescribeDBClusters` shows it. */
import type { DBCluster } from '@aws-sdk/client-rds'
import type { Cluster, CustomEndpoint, Instance } from '../../cluster/control-plane.ts'
import { allTags, type Tag, tagsOf } from '../../cluster/tags.ts'
import { arn, type Call, tagsShown } from './call.ts'

const date = (ms: number | null): Date | undefined => (ms === null ? undefined : new Date(ms))

/** What a view of many clusters looks up once. */
interface Surroundings {
  readonly instances: readonly Instance[]
  readonly endpoints: readonly CustomEndpoint[]
  readonly tagsOf: (arn: string) => readonly Tag[]
}

function surroundings(call: Call, clusters: number): Surroundings {
  const { plane } = call
  const all = clusters > 1 ? allTags(plane.database) : undefined
  return {
    instances: plane.instances(),
    endpoints: plane.customEndpoints(),
    tagsOf: (of) => (all === undefined ? tagsOf(plane.database, of) : (all.get(of) ?? [])),
  }
}

/** In the order in which they are given. */
export function showClusters(call: Call, clusters: readonly Cluster[]): DBCluster[] {
  const around = surroundings(call, clusters.length)
  return clusters.map((cluster) => show(call, cluster, around))
}

export const showCluster = (call: Call, cluster: Cluster): DBCluster => show(call, cluster, surroundings(call, 1))

function show(call: Call, cluster: Cluster, around: Surroundings): DBCluster {
  const { settings, pending, volume, name } = cluster
  const members = around.instances.filter((instance) => instance.cluster === name)
  const endpoints = around.endpoints.filter((endpoint) => endpoint.cluster === name)
  const own = arn(call, 'cluster', name)
  return {
    AllocatedStorage: 1,
    AvailabilityZones: [...cluster.zones],
    BackupRetentionPeriod: settings.backupRetentionDays,
    DatabaseName: cluster.databaseName ?? undefined,
    DBClusterIdentifier: name,
    DBClusterParameterGroup: settings.parameterGroup,
    DBSubnetGroup: settings.subnetGroup,
    Status: cluster.status,
    AutomaticRestartTime: date(cluster.restartsMs),
    EarliestRestorableTime: date(volume.earliestRestorableMs),
    LatestRestorableTime: date(volume.latestRestorableMs),
    Endpoint: cluster.writerEndpoint,
    ReaderEndpoint: cluster.readerEndpoint,
    CustomEndpoints: endpoints.map(({ host }) => host),
    MultiAZ: new Set(members.map(({ zone }) => zone)).size > 1,
    Engine: cluster.engine,
    EngineVersion: cluster.engineVersion,
    Port: settings.port,
    MasterUsername: cluster.masterUser,
    PreferredBackupWindow: settings.backupWindow,
    PreferredMaintenanceWindow: settings.maintenanceWindow,
    ReadReplicaIdentifiers: [],
    DBClusterMembers: members.map(({ name: member, role, settings: { promotionTier }, clusterParameterStatus }) => ({
      DBInstanceIdentifier: member,
      IsClusterWriter: role === 'writer',
      DBClusterParameterGroupStatus: clusterParameterStatus,
      PromotionTier: promotionTier,
    })),
    VpcSecurityGroups: settings.securityGroups.map((id) => ({ VpcSecurityGroupId: id, Status: 'active' })),
    HostedZoneId: call.plane.hash.toUpperCase(),
    StorageEncrypted: cluster.storageEncrypted,
    DbClusterResourceId: cluster.resourceId,
    DBClusterArn: own,
    AssociatedRoles: [],
    IAMDatabaseAuthenticationEnabled: settings.iamAuthentication,
    ClusterCreateTime: new Date(cluster.createdMs),
    EnabledCloudwatchLogsExports: settings.logExports.length > 0 ? [...settings.logExports] : undefined,
    PendingModifiedValues: showPending(pending),
    EngineMode: 'provisioned',
    DeletionProtection: settings.deletionProtection,
    HttpEndpointEnabled: false,
    ActivityStreamStatus: 'stopped',
    CopyTagsToSnapshot: settings.copyTagsToSnapshot,
    CrossAccountClone: false,
    DomainMemberships: [],
    TagList: tagsShown(around.tagsOf(own)),
    AutoMinorVersionUpgrade: true,
    // AWS leaves it out for the standard type.
    StorageType: settings.storageType === 'aurora' ? undefined : settings.storageType,
    DatabaseInsightsMode: 'standard',
    NetworkType: 'IPV4',
    EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
  }
}

function showPending(pending: Cluster['pending']): DBCluster['PendingModifiedValues'] {
  const shown = {
    EngineVersion: pending.engineVersion,
    MasterUserPassword: pending.masterPassword === undefined ? undefined : '****',
    BackupRetentionPeriod: pending.backupRetentionDays,
    IAMDatabaseAuthenticationEnabled: pending.iamAuthentication,
  }
  // Of a port that waits AWS has no way to tell.
  return Object.values(shown).some((value) => value !== undefined) ? shown : undefined
}
