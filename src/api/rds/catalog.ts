/** Operations on what there is to choose from: versions, classes, quotas. */
import type {
  AccountAttributesMessage,
  DBEngineVersion,
  DBEngineVersionMessage,
  DescribeAccountAttributesMessage,
  DescribeDBEngineVersionsMessage,
  DescribeDBMajorEngineVersionsRequest,
  DescribeDBMajorEngineVersionsResponse,
  DescribeOrderableDBInstanceOptionsMessage,
  DescribePendingMaintenanceActionsMessage,
  DescribeSourceRegionsMessage,
  DescribeValidDBInstanceModificationsMessage,
  DescribeValidDBInstanceModificationsResult,
  OrderableDBInstanceOption,
  OrderableDBInstanceOptionsMessage,
  PendingMaintenanceActionsMessage,
  SourceRegionMessage,
} from '@aws-sdk/client-rds'
import { parseArn } from '../../cluster/arn.ts'
import { CERTIFICATE_AUTHORITY } from '../../cluster/defaults.ts'
import { INSTANCE_CLASSES } from '../../cluster/instance-classes.ts'
import { familyOf } from '../../cluster/parameter-definitions.ts'
import { parameterGroups } from '../../cluster/parameter-groups.ts'
import { subnetGroups } from '../../cluster/subnet-groups.ts'
import { availableVersions, type PostgresVersion } from '../../engine/postgres/versions.ts'
import { fault } from '../api-error.ts'
import type { Call, Operation } from './call.ts'
import { clusterNamed } from './clusters.ts'
import { ENGINE, isDefault } from './engine-versions.ts'
import { instanceNamed } from './instances.ts'
import { filtered, page } from './pages.ts'

const showVersion = ({ major, name }: PostgresVersion): DBEngineVersion => ({
  Engine: ENGINE,
  EngineVersion: name,
  MajorEngineVersion: `${major}`,
  DBParameterGroupFamily: familyOf(major),
  DBEngineDescription: 'Aurora (PostgreSQL)',
  DBEngineVersionDescription: `Aurora PostgreSQL (Compatible with PostgreSQL ${name})`,
  ValidUpgradeTarget: [],
  ExportableLogTypes: [],
  SupportsLogExportsToCloudwatchLogs: false,
  SupportsReadReplica: false,
  SupportedEngineModes: ['provisioned'],
  SupportedFeatureNames: [],
  Status: 'available',
  SupportsParallelQuery: false,
  SupportsGlobalDatabases: false,
  SupportsBabelfish: false,
  SupportsLimitlessDatabase: false,
  SupportsLocalWriteForwarding: false,
  SupportsIntegrations: false,
  SupportsCertificateRotationWithoutRestart: false,
  SupportedCACertificateIdentifiers: [CERTIFICATE_AUTHORITY],
})

export const describeDBEngineVersions: Operation<DescribeDBEngineVersionsMessage, DBEngineVersionMessage> = (input) => {
  const { Engine: engine, EngineVersion: wanted, DBParameterGroupFamily: family, DefaultOnly: defaultOnly } = input
  const versions = availableVersions()
    .filter((version) => defaultOnly !== true || isDefault(version) || wanted !== undefined)
    .map(showVersion)
    .filter(
      (version) =>
        (engine === undefined || engine === version.Engine) &&
        (wanted === undefined || wanted === version.EngineVersion || wanted === version.MajorEngineVersion) &&
        (family === undefined || family === version.DBParameterGroupFamily),
    )
  const left = filtered(versions, input, {
    'db-parameter-group-family': ({ DBParameterGroupFamily = '' }) => DBParameterGroupFamily,
    engine: ({ Engine = '' }) => Engine,
    'engine-mode': () => 'provisioned',
    'engine-version': ({ EngineVersion = '', MajorEngineVersion = '' }) => [EngineVersion, MajorEngineVersion],
    status: ({ Status = '' }) => Status,
  })
  const { items, marker } = page(left, input, ({ EngineVersion = '' }) => EngineVersion)
  return { Marker: marker, DBEngineVersions: [...items] }
}

export const describeDBMajorEngineVersions: Operation<
  DescribeDBMajorEngineVersionsRequest,
  DescribeDBMajorEngineVersionsResponse
> = (input) => {
  const { Engine: engine, MajorEngineVersion: wanted } = input
  const majors = availableVersions()
    .map(({ major }) => ({ Engine: ENGINE, MajorEngineVersion: `${major}`, SupportedEngineLifecycles: [] }))
    .filter(
      (each) =>
        (engine === undefined || engine === each.Engine) &&
        (wanted === undefined || wanted === each.MajorEngineVersion),
    )
  const { items, marker } = page(majors, input, ({ MajorEngineVersion }) => MajorEngineVersion)
  return { Marker: marker, DBMajorEngineVersions: [...items] }
}

export const describeOrderableDBInstanceOptions: Operation<
  DescribeOrderableDBInstanceOptionsMessage,
  OrderableDBInstanceOptionsMessage
> = (input, { plane }) => {
  const { Engine: engine, EngineVersion: version, DBInstanceClass: wanted, LicenseModel: license } = input
  const versions = availableVersions().filter(
    ({ major, name }) => version === undefined || version === name || version === `${major}`,
  )
  const some = engine === ENGINE && (license === undefined || license === 'postgresql-license')
  const options = (some ? versions : []).flatMap(({ name }) =>
    INSTANCE_CLASSES.filter((each) => wanted === undefined || wanted === each.name).map(
      (each): OrderableDBInstanceOption => ({
        Engine: ENGINE,
        EngineVersion: name,
        DBInstanceClass: each.name,
        LicenseModel: 'postgresql-license',
        AvailabilityZones: plane.zones.map((zone) => ({ Name: zone })),
        MultiAZCapable: false,
        ReadReplicaCapable: false,
        Vpc: true,
        SupportsStorageEncryption: false,
        StorageType: 'aurora',
        SupportsIops: false,
        SupportsEnhancedMonitoring: false,
        SupportsIAMDatabaseAuthentication: false,
        SupportsPerformanceInsights: false,
        AvailableProcessorFeatures: [],
        SupportedEngineModes: ['provisioned'],
        SupportsStorageAutoscaling: false,
        SupportsKerberosAuthentication: false,
        OutpostCapable: false,
        SupportedActivityStreamModes: [],
        SupportsGlobalDatabases: false,
        SupportsClusters: true,
        SupportedNetworkTypes: ['IPV4'],
        SupportsStorageThroughput: false,
        SupportsDedicatedLogVolume: false,
      }),
    ),
  )
  const { items, marker } = page(filtered(options, input, {}), input, (option) =>
    [option.EngineVersion, option.DBInstanceClass].join('/'),
  )
  return { Marker: marker, OrderableDBInstanceOptions: [...items] }
}

/** AWS's quotas of an account, those that are kept here. */
export const describeAccountAttributes: Operation<DescribeAccountAttributesMessage, AccountAttributesMessage> = (
  _,
  { plane },
) => {
  const quota = (AccountQuotaName: string, Used: number, Max: number) => ({ AccountQuotaName, Used, Max })
  const { database, zones } = plane
  return {
    AccountQuotas: [
      // Sixteen in each cluster.
      quota('DBInstances', plane.instances().length, 640),
      quota('DBClusters', plane.clusters().length, 40),
      quota('DBParameterGroups', parameterGroups(database, 'instance', []).length, 50),
      quota('DBClusterParameterGroups', parameterGroups(database, 'cluster', []).length, 50),
      quota('DBSubnetGroups', subnetGroups(database, zones).length, 50),
      quota('CustomEndpointsPerDBCluster', 0, 5),
    ],
  }
}

/** Nothing is copied between regions. */
export const describeSourceRegions: Operation<DescribeSourceRegionsMessage, SourceRegionMessage> = (input) => {
  const { items, marker } = page([], input, () => '')
  return { Marker: marker, SourceRegions: [...items] }
}

function checkMaintained(call: Call, given: string): void {
  const parsed = parseArn(call.plane, given)
  if (parsed?.type !== 'cluster' && parsed?.type !== 'db')
    throw fault('ResourceNotFoundFault', `The specified resource ${given} was not found.`)
  if (parsed.type === 'cluster') clusterNamed(call, parsed.name)
  else instanceNamed(call, parsed.name)
}

/** There is one release of each version: nothing waits to be applied. */
export const describePendingMaintenanceActions: Operation<
  DescribePendingMaintenanceActionsMessage,
  PendingMaintenanceActionsMessage
> = (input, call) => {
  if (input.ResourceIdentifier !== undefined) checkMaintained(call, input.ResourceIdentifier)
  const none: readonly string[] = []
  const left = filtered(none, input, { 'db-cluster-id': () => [], 'db-instance-id': () => [] })
  const { marker } = page(left, input, (each) => each)
  return { Marker: marker, PendingMaintenanceActions: [] }
}

/** Storage grows by itself: there is nothing to choose. */
export const describeValidDBInstanceModifications: Operation<
  DescribeValidDBInstanceModificationsMessage,
  DescribeValidDBInstanceModificationsResult
> = (input, call) => {
  const { settings } = clusterNamed(call, instanceNamed(call, input.DBInstanceIdentifier).cluster)
  return {
    ValidDBInstanceModificationsMessage: {
      Storage: [{ StorageType: settings.storageType, SupportsStorageAutoscaling: false }],
      ValidProcessorFeatures: [],
      SupportsDedicatedLogVolume: false,
    },
  }
}
