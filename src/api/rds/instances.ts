/** Operations on instances. */
import type {
  CreateDBInstanceMessage,
  CreateDBInstanceResult,
  DBInstanceMessage,
  DeleteDBInstanceMessage,
  DeleteDBInstanceResult,
  DescribeDBInstancesMessage,
  ModifyDBInstanceMessage,
  ModifyDBInstanceResult,
  RebootDBInstanceMessage,
  RebootDBInstanceResult,
} from '@aws-sdk/client-rds'
import type { Cluster, Instance, InstanceChange, InstanceSettings } from '../../cluster/control-plane.ts'
import { defaultInstanceSettings } from '../../cluster/defaults.ts'
import { instanceClass } from '../../cluster/instance-classes.ts'
import { replaceTags } from '../../cluster/tags.ts'
import { fault, invalidCombination, invalidValue } from '../api-error.ts'
import { arn, type Call, nameGiven, type Operation, refuse, tagsGiven } from './call.ts'
import { certificateAuthority } from './certificates.ts'
import { clusterNamed } from './clusters.ts'
import { checkEngine, engineVersion } from './engine-versions.ts'
import { parameterGroupFor } from './group-choice.ts'
import { identifier, numberWithin } from './identifiers.ts'
import { showInstance, showInstances } from './instance-view.ts'
import { filtered, page } from './pages.ts'
import { checkWindows, defaultMaintenanceWindow, maintenanceWindow } from './windows.ts'

const TIER_MAX = 15

export const instanceNotFound = (name: string) => fault('DBInstanceNotFoundFault', `DBInstance ${name} not found.`)

/** @throws ApiError `DBInstanceNotFound` */
export function instanceNamed(call: Call, given: string | undefined): Instance {
  const name = nameGiven(call, 'db', given ?? '')
  const instance = call.plane.instance(name)
  if (instance === undefined) throw instanceNotFound(name)
  return instance
}

function classNamed(name: string | undefined): string {
  if (name === undefined || instanceClass(name) === undefined) throw invalidValue(`Invalid DB Instance class: ${name}`)
  return name
}

/** What belongs to the cluster, and cannot be said of one of its instances. */
const OF_THE_CLUSTER = [
  ...['MasterUsername', 'MasterUserPassword', 'DBName', 'Port', 'BackupRetentionPeriod', 'PreferredBackupWindow'],
  ...['DBSubnetGroupName', 'StorageEncrypted', 'KmsKeyId', 'AllocatedStorage', 'VpcSecurityGroupIds', 'StorageType'],
  ...['EnableIAMDatabaseAuthentication', 'DBPortNumber', 'DeletionProtection'],
] as const

function refuseOfTheCluster(input: object, { settings }: Cluster): void {
  const given = input as Readonly<Record<string, unknown>>
  const same: Readonly<Record<string, unknown>> = {
    DBSubnetGroupName: settings.subnetGroup,
    Port: settings.port,
    DBPortNumber: settings.port,
    StorageType: settings.storageType,
    DeletionProtection: false,
    StorageEncrypted: false,
    EnableIAMDatabaseAuthentication: settings.iamAuthentication,
  }
  const name = OF_THE_CLUSTER.find((each) => {
    const value = given[each]
    return value !== undefined && value !== same[each] && !(Array.isArray(value) && value.length === 0)
  })
  if (name !== undefined)
    throw invalidCombination(
      `The requested DB Instance will be a member of a DB Cluster. Set ${name} for the DB Cluster.`,
    )
}

function refuseUnsupported(input: CreateDBInstanceMessage | ModifyDBInstanceMessage): void {
  refuse({
    Domain: input.Domain,
    EnablePerformanceInsights: input.EnablePerformanceInsights,
    Iops: input.Iops,
    LicenseModel: input.LicenseModel !== undefined && input.LicenseModel !== 'postgresql-license',
    ManageMasterUserPassword: input.ManageMasterUserPassword,
    MonitoringInterval: input.MonitoringInterval,
    MultiAZ: input.MultiAZ,
  })
}

/** What creating and modifying have in common; only what was given. */
function settingsGiven(
  input: CreateDBInstanceMessage | ModifyDBInstanceMessage,
  cluster: Cluster,
): Partial<InstanceSettings> {
  const { PromotionTier: tier, PreferredMaintenanceWindow: window, CACertificateIdentifier: authority } = input
  const own = window ? maintenanceWindow(window) : undefined
  if (own !== undefined) checkWindows(cluster.settings.backupWindow, own)
  return {
    ...(tier !== undefined && { promotionTier: numberWithin('PromotionTier', tier, 0, TIER_MAX) }),
    ...(own !== undefined && { maintenanceWindow: own }),
    ...(authority !== undefined && { caIdentifier: certificateAuthority(authority) }),
    ...(input.AutoMinorVersionUpgrade !== undefined && { autoMinorVersionUpgrade: input.AutoMinorVersionUpgrade }),
    ...(input.PubliclyAccessible !== undefined && { publiclyAccessible: input.PubliclyAccessible }),
    ...(input.CopyTagsToSnapshot !== undefined && { copyTagsToSnapshot: input.CopyTagsToSnapshot }),
  }
}

export const createDBInstance: Operation<CreateDBInstanceMessage, CreateDBInstanceResult> = (input, call) => {
  const name = identifier('DBInstanceIdentifier', input.DBInstanceIdentifier ?? '')
  checkEngine(input.Engine)
  if (input.DBClusterIdentifier === undefined)
    throw invalidCombination('DBClusterIdentifier is required for engine aurora-postgresql.')
  const cluster = clusterNamed(call, input.DBClusterIdentifier)
  if (input.EngineVersion !== undefined && engineVersion(input.EngineVersion).name !== cluster.engineVersion)
    throw invalidCombination(
      `The engine version that you requested for your DB instance (${input.EngineVersion}) does not match the engine version of your DB cluster (${cluster.engineVersion}).`,
    )
  refuseOfTheCluster(input, cluster)
  refuseUnsupported(input)
  const { AvailabilityZone: zone } = input
  if (zone !== undefined && !call.plane.zones.includes(zone))
    throw invalidValue(`Invalid availability zone: ${zone}. Valid are ${call.plane.zones.join(', ')}.`)
  const spec = {
    name,
    cluster: cluster.name,
    zone: zone ?? null,
    settings: {
      ...defaultInstanceSettings(cluster.engineVersion),
      maintenanceWindow: defaultMaintenanceWindow(name),
      parameterGroup: parameterGroupFor(call, 'instance', input.DBParameterGroupName, cluster.engineVersion),
      caIdentifier: cluster.settings.caIdentifier,
      ...settingsGiven(input, cluster),
      instanceClass: classNamed(input.DBInstanceClass),
    },
  }
  const tags = tagsGiven(input.Tags)
  if (call.plane.instance(name) !== undefined) throw fault('DBInstanceAlreadyExistsFault', 'DB instance already exists')
  return call.plane.transaction(() => {
    const instance = call.plane.createInstance(spec)
    replaceTags(call.plane.database, arn(call, 'db', name), tags)
    return { DBInstance: showInstance(call, instance) }
  })
}

export const describeDBInstances: Operation<DescribeDBInstancesMessage, DBInstanceMessage> = (input, call) => {
  const named = input.DBInstanceIdentifier
  const instances = named === undefined ? call.plane.instances() : [instanceNamed(call, named)]
  const left = filtered(instances, input, {
    'db-cluster-id': ({ cluster }) => [cluster, arn(call, 'cluster', cluster)],
    'db-instance-id': ({ name }) => [name, arn(call, 'db', name)],
    'dbi-resource-id': ({ resourceId }) => resourceId,
    engine: () => 'aurora-postgresql',
    domain: () => [],
  })
  const { items, marker } = page(left, input, ({ name }) => name)
  return { Marker: marker, DBInstances: showInstances(call, items) }
}

export const modifyDBInstance: Operation<ModifyDBInstanceMessage, ModifyDBInstanceResult> = (input, call) => {
  const instance = instanceNamed(call, input.DBInstanceIdentifier)
  const cluster = clusterNamed(call, instance.cluster)
  if (input.EngineVersion !== undefined && engineVersion(input.EngineVersion).name !== instance.engineVersion)
    throw invalidCombination(
      'The specified DB Instance is a member of a cluster. Modify database engine version for the DB Cluster using the ModifyDbCluster API',
    )
  refuseOfTheCluster(input, cluster)
  refuseUnsupported(input)
  const { NewDBInstanceIdentifier: newName, DBParameterGroupName: group } = input
  const change: InstanceChange = {
    ...settingsGiven(input, cluster),
    ...(newName !== undefined && { newName: identifier('NewDBInstanceIdentifier', newName) }),
    ...(input.DBInstanceClass !== undefined && { instanceClass: classNamed(input.DBInstanceClass) }),
    ...(group !== undefined && { parameterGroup: parameterGroupFor(call, 'instance', group, instance.engineVersion) }),
  }
  const changed = call.plane.modifyInstance(instance.name, change, input.ApplyImmediately ?? false)
  return { DBInstance: showInstance(call, changed) }
}

export const deleteDBInstance: Operation<DeleteDBInstanceMessage, DeleteDBInstanceResult> = (input, call) => {
  const { name } = instanceNamed(call, input.DBInstanceIdentifier)
  // Of an instance of a cluster there is no snapshot: its data is the cluster's.
  if (input.FinalDBSnapshotIdentifier !== undefined)
    throw invalidCombination('FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance')
  return { DBInstance: showInstance(call, call.plane.deleteInstance(name)) }
}

export const rebootDBInstance: Operation<RebootDBInstanceMessage, RebootDBInstanceResult> = (input, call) => {
  const { name } = instanceNamed(call, input.DBInstanceIdentifier)
  return { DBInstance: showInstance(call, call.plane.rebootInstance(name, input.ForceFailover ?? false)) }
}
