/** Operations on clusters. */
import type {
  CreateDBClusterMessage,
  CreateDBClusterResult,
  DBClusterMessage,
  DeleteDBClusterMessage,
  DeleteDBClusterResult,
  DescribeDBClustersMessage,
  FailoverDBClusterMessage,
  FailoverDBClusterResult,
  ModifyDBClusterMessage,
  ModifyDBClusterResult,
  StartDBClusterMessage,
  StartDBClusterResult,
  StopDBClusterMessage,
  StopDBClusterResult,
} from '@aws-sdk/client-rds'
import type { Cluster, ClusterChange } from '../../cluster/control-plane.ts'
import { defaultClusterSettings } from '../../cluster/defaults.ts'
import { replaceTags } from '../../cluster/tags.ts'
import { fault, invalidCombination } from '../api-error.ts'
import { arn, type Call, nameGiven, type Operation, refuse, tagsGiven } from './call.ts'
import { refuseUnsupported, settingsGiven } from './cluster-settings.ts'
import { showCluster, showClusters } from './cluster-view.ts'
import { checkEngine, ENGINE, engineVersion } from './engine-versions.ts'
import { parameterGroupFor, subnetGroupFor } from './group-choice.ts'
import { databaseName, identifier, masterPassword, masterUser } from './identifiers.ts'
import { filtered, page } from './pages.ts'
import { checkWindows, defaultBackupWindow, defaultMaintenanceWindow } from './windows.ts'

const DEFAULT_PORT = 5432

const clusterNotFound = (name: string) => fault('DBClusterNotFoundFault', `DBCluster ${name} not found.`)

/** @throws ApiError `DBClusterNotFoundFault` */
export function clusterNamed(call: Call, given: string | undefined): Cluster {
  const name = nameGiven(call, 'cluster', given ?? '')
  const cluster = call.plane.cluster(name)
  if (cluster === undefined) throw clusterNotFound(name)
  return cluster
}

function checkZones({ plane }: Call, zones: readonly string[] | undefined): readonly string[] | null {
  const unknown = zones?.find((zone) => !plane.zones.includes(zone))
  if (unknown !== undefined)
    throw fault(
      'InvalidVPCNetworkStateFault',
      `Availability zone '${unknown}' is unavailable in this region, please choose another zone set.`,
    )
  return zones === undefined || zones.length === 0 ? null : zones
}

export const createDBCluster: Operation<CreateDBClusterMessage, CreateDBClusterResult> = (input, call) => {
  const name = identifier('DBClusterIdentifier', input.DBClusterIdentifier ?? '')
  checkEngine(input.Engine)
  const version = engineVersion(input.EngineVersion)
  refuseUnsupported(input)
  refuse({
    AssociatedRoles: input.AssociatedRoles?.length,
    CharacterSetName: input.CharacterSetName,
    EnableCloudwatchLogsExports: input.EnableCloudwatchLogsExports?.length,
    GlobalClusterIdentifier: input.GlobalClusterIdentifier,
    KmsKeyId: input.KmsKeyId,
    ReplicationSourceIdentifier: input.ReplicationSourceIdentifier,
    StorageEncrypted: input.StorageEncrypted,
    WithExpressConfiguration: input.WithExpressConfiguration,
  })
  const given = settingsGiven(input)
  const settings = {
    ...defaultClusterSettings(version.name, DEFAULT_PORT),
    backupWindow: defaultBackupWindow(name),
    maintenanceWindow: defaultMaintenanceWindow(name),
    parameterGroup: parameterGroupFor(call, 'cluster', input.DBClusterParameterGroupName, version.name),
    subnetGroup: subnetGroupFor(call, input.DBSubnetGroupName),
    ...given,
  }
  checkWindows(settings.backupWindow, settings.maintenanceWindow)
  const spec = {
    name,
    engine: ENGINE,
    engineVersion: version.name,
    masterUser: masterUser(input.MasterUsername),
    masterPassword: masterPassword(input.MasterUserPassword),
    databaseName: databaseName(input.DatabaseName),
    zones: checkZones(call, input.AvailabilityZones),
    settings,
    storageEncrypted: false,
  } as const
  const tags = tagsGiven(input.Tags)
  if (call.plane.cluster(name) !== undefined) throw fault('DBClusterAlreadyExistsFault', 'DB Cluster already exists')
  return call.plane.transaction(() => {
    const cluster = call.plane.createCluster(spec)
    replaceTags(call.plane.database, arn(call, 'cluster', name), tags)
    return { DBCluster: showCluster(call, cluster) }
  })
}

export const describeDBClusters: Operation<DescribeDBClustersMessage, DBClusterMessage> = (input, call) => {
  const named = input.DBClusterIdentifier
  const clusters = named === undefined ? call.plane.clusters() : [clusterNamed(call, named)]
  const left = filtered(clusters, input, {
    'db-cluster-id': ({ name }) => [name, arn(call, 'cluster', name)],
    'db-cluster-resource-id': ({ resourceId }) => resourceId,
    engine: ({ engine }) => engine,
    // Nothing is in any of them.
    'clone-group-id': () => [],
    domain: () => [],
  })
  const { items, marker } = page(left, input, ({ name }) => name)
  return { Marker: marker, DBClusters: showClusters(call, items) }
}

function versionChange(cluster: Cluster, wanted: string | undefined): void {
  if (wanted === undefined) return
  const { name } = engineVersion(wanted)
  if (name !== cluster.engineVersion)
    throw invalidCombination(`Cannot upgrade ${ENGINE} from ${cluster.engineVersion} to ${name}`)
}

export const modifyDBCluster: Operation<ModifyDBClusterMessage, ModifyDBClusterResult> = (input, call) => {
  const cluster = clusterNamed(call, input.DBClusterIdentifier)
  refuseUnsupported(input)
  const { CloudwatchLogsExportConfiguration: exports } = input
  refuse({
    CloudwatchLogsExportConfiguration: exports?.EnableLogTypes?.length,
    RotateMasterUserPassword: input.RotateMasterUserPassword,
  })
  versionChange(cluster, input.EngineVersion)
  const { NewDBClusterIdentifier: newName, DBClusterParameterGroupName: group, MasterUserPassword: password } = input
  const change: ClusterChange = {
    ...settingsGiven(input),
    ...(group !== undefined && { parameterGroup: parameterGroupFor(call, 'cluster', group, cluster.engineVersion) }),
    ...(password !== undefined && { masterPassword: masterPassword(password) }),
    ...(newName !== undefined && { newName: identifier('NewDBClusterIdentifier', newName) }),
  }
  checkWindows(
    change.backupWindow ?? cluster.settings.backupWindow,
    change.maintenanceWindow ?? cluster.settings.maintenanceWindow,
  )
  const changed = call.plane.modifyCluster(cluster.name, change, input.ApplyImmediately ?? false)
  return { DBCluster: showCluster(call, changed) }
}

export const deleteDBCluster: Operation<DeleteDBClusterMessage, DeleteDBClusterResult> = (input, call) => {
  const cluster = clusterNamed(call, input.DBClusterIdentifier)
  const { SkipFinalSnapshot: skip = false, FinalDBSnapshotIdentifier: snapshot } = input
  if (skip && snapshot !== undefined)
    throw invalidCombination('FinalDBSnapshotIdentifier can not be specified when SkipFinalSnapshot is specified.')
  if (!skip && snapshot === undefined)
    throw invalidCombination('FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.')
  if (cluster.settings.deletionProtection)
    throw invalidCombination('Cannot delete protected Cluster, please disable deletion protection and try again.')
  refuse({ FinalDBSnapshotIdentifier: snapshot })
  const left = call.plane.instancesOf(cluster.name).filter(({ status }) => status !== 'deleting')
  if (left.length > 0)
    throw fault(
      'InvalidDBClusterStateFault',
      'Cluster cannot be deleted, it still contains DB instances in non-deleting state.',
    )
  return { DBCluster: showCluster(call, call.plane.deleteCluster(cluster.name)) }
}

export const startDBCluster: Operation<StartDBClusterMessage, StartDBClusterResult> = (input, call) => {
  const { name } = clusterNamed(call, input.DBClusterIdentifier)
  return { DBCluster: showCluster(call, call.plane.startCluster(name)) }
}

export const stopDBCluster: Operation<StopDBClusterMessage, StopDBClusterResult> = (input, call) => {
  const { name } = clusterNamed(call, input.DBClusterIdentifier)
  return { DBCluster: showCluster(call, call.plane.stopCluster(name)) }
}

export const failoverDBCluster: Operation<FailoverDBClusterMessage, FailoverDBClusterResult> = (input, call) => {
  const { name } = clusterNamed(call, input.DBClusterIdentifier)
  const given = input.TargetDBInstanceIdentifier
  const target = given === undefined ? null : nameGiven(call, 'db', given)
  if (target !== null) {
    const instance = call.plane.instance(target)
    if (instance?.cluster !== name) throw fault('DBInstanceNotFoundFault', `DBInstance ${target} not found.`)
    if (instance.role === 'writer')
      throw fault('InvalidDBInstanceStateFault', `Cannot failover to ${target}: it is the writer already.`)
  }
  return { DBCluster: showCluster(call, call.plane.failoverCluster(name, target)) }
}
