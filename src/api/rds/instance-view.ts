/** An instance as `DescribeDBInstances` shows it. */
import type { DBInstance } from '@aws-sdk/client-rds'
import type { Cluster, Instance } from '../../cluster/control-plane.ts'
import { allTags, type Tag, tagsOf } from '../../cluster/tags.ts'
import { arn, type Call, tagsShown } from './call.ts'
import { ENGINE, familyOfVersion } from './engine-versions.ts'
import { showSubnetGroup } from './subnet-groups.ts'

/** In the order in which they are given. */
export function showInstances(call: Call, instances: readonly Instance[]): DBInstance[] {
  const { plane } = call
  const clusters = new Map(plane.clusters().map((cluster) => [cluster.name, cluster]))
  const tags = allTags(plane.database)
  return instances.map((instance) => {
    const own = arn(call, 'db', instance.name)
    return show(call, instance, clusters.get(instance.cluster), tags.get(own) ?? [], own)
  })
}

export function showInstance(call: Call, instance: Instance): DBInstance {
  const own = arn(call, 'db', instance.name)
  return show(call, instance, call.plane.cluster(instance.cluster), tagsOf(call.plane.database, own), own)
}

function show(
  call: Call,
  instance: Instance,
  cluster: Cluster | undefined,
  tags: readonly Tag[],
  own: string,
): DBInstance {
  const { settings, pending, endpoint, certificateValidUntilMs } = instance
  return {
    DBInstanceIdentifier: instance.name,
    DBInstanceClass: settings.instanceClass,
    Engine: ENGINE,
    DBInstanceStatus: instance.status,
    MasterUsername: cluster?.masterUser,
    DBName: cluster?.databaseName ?? undefined,
    Endpoint:
      endpoint === null
        ? undefined
        : { Address: endpoint.host, Port: endpoint.port, HostedZoneId: call.plane.hash.toUpperCase() },
    AllocatedStorage: 1,
    InstanceCreateTime: new Date(instance.createdMs),
    PreferredBackupWindow: cluster?.settings.backupWindow,
    BackupRetentionPeriod: cluster?.settings.backupRetentionDays,
    DBSecurityGroups: [],
    VpcSecurityGroups: cluster?.settings.securityGroups.map((id) => ({ VpcSecurityGroupId: id, Status: 'active' })),
    DBParameterGroups: [
      { DBParameterGroupName: settings.parameterGroup, ParameterApplyStatus: instance.parameterStatus },
    ],
    AvailabilityZone: instance.zone,
    DBSubnetGroup: cluster === undefined ? undefined : showSubnetGroup(call, cluster.settings.subnetGroup),
    PreferredMaintenanceWindow: settings.maintenanceWindow,
    PendingModifiedValues: {
      DBInstanceClass: pending.instanceClass,
      CACertificateIdentifier: pending.caIdentifier,
    },
    MultiAZ: false,
    EngineVersion: instance.engineVersion,
    AutoMinorVersionUpgrade: settings.autoMinorVersionUpgrade,
    ReadReplicaDBInstanceIdentifiers: [],
    LicenseModel: 'postgresql-license',
    OptionGroupMemberships: [
      {
        OptionGroupName: `default:${familyOfVersion(instance.engineVersion).replace(/(\d+)$/, '-$1')}`,
        Status: 'in-sync',
      },
    ],
    PubliclyAccessible: settings.publiclyAccessible,
    StorageType: cluster?.settings.storageType,
    DbInstancePort: 0,
    DBClusterIdentifier: instance.cluster,
    StorageEncrypted: cluster?.storageEncrypted,
    DbiResourceId: instance.resourceId,
    CACertificateIdentifier: settings.caIdentifier,
    DomainMemberships: [],
    CopyTagsToSnapshot: settings.copyTagsToSnapshot,
    MonitoringInterval: settings.monitoringIntervalSeconds,
    PromotionTier: settings.promotionTier,
    DBInstanceArn: own,
    IAMDatabaseAuthenticationEnabled: cluster?.settings.iamAuthentication,
    DatabaseInsightsMode: 'standard',
    PerformanceInsightsEnabled: false,
    DeletionProtection: false,
    AssociatedRoles: [],
    TagList: tagsShown(tags),
    CustomerOwnedIpEnabled: false,
    ActivityStreamStatus: 'stopped',
    BackupTarget: 'region',
    NetworkType: 'IPV4',
    CertificateDetails:
      certificateValidUntilMs === null
        ? undefined
        : { CAIdentifier: settings.caIdentifier, ValidTill: new Date(certificateValidUntilMs) },
    DedicatedLogVolume: false,
    EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
  }
}
