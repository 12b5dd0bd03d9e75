/** An instance as `DescribeDBInstances` shows it. */
import type { DBInstance, DBSubnetGroup } from '@aws-sdk/client-rds'
import type { Cluster, Instance } from '../../cluster/control-plane.ts'
import { allTags, type Tag, tagsOf } from '../../cluster/tags.ts'
import { arn, type Call, tagsShown } from './call.ts'
import { ENGINE, familyOfVersion } from './engine-versions.ts'
import { showSubnetGroups } from './subnet-groups.ts'

/** In the order in which they are given. */
export function showInstances(call: Call, instances: readonly Instance[]): DBInstance[] {
  const { plane } = call
  const clusters = new Map(plane.clusters().map((cluster) => [cluster.name, cluster]))
  const tags = allTags(plane.database)
  const groups = showSubnetGroups(call)
  return instances.map((instance) => {
    const own = arn(call, 'db', instance.name)
    const cluster = clusters.get(instance.cluster)
    return show(call, instance, {
      own,
      cluster,
      tags: tags.get(own) ?? [],
      group: groups.get(cluster?.settings.subnetGroup ?? ''),
    })
  })
}

/** What belongs to an instance, and is kept elsewhere. */
interface Surroundings {
  /** Its ARN. */
  readonly own: string
  readonly cluster: Cluster | undefined
  readonly tags: readonly Tag[]
  readonly group: DBSubnetGroup | undefined
}

export function showInstance(call: Call, instance: Instance): DBInstance {
  const { plane } = call
  const own = arn(call, 'db', instance.name)
  const cluster = plane.cluster(instance.cluster)
  const group = showSubnetGroups(call).get(cluster?.settings.subnetGroup ?? '')
  return show(call, instance, { own, cluster, tags: tagsOf(plane.database, own), group })
}

function show(call: Call, instance: Instance, { own, cluster, tags, group }: Surroundings): DBInstance {
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
    DBSubnetGroup: group,
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
