/**
 * Kinds of resources that there are none of here. Asked for a list, the truth is an empty one; asked for one by its name,
 * it is not found.
 */
import { fault } from '../api-error.ts'
import type { Operation } from './call.ts'

interface Absent {
  /** Which member of the answer holds the list. */
  readonly list: string
  /** Which member of the request names one of them, and what is said when it does. */
  readonly named?: readonly [member: string, fault: string, what: string]
}

type AnyInput = Readonly<Record<string, unknown>>

const none =
  ({ list, named }: Absent): Operation<AnyInput, object> =>
  (input) => {
    const name = named === undefined ? undefined : input[named[0]]
    if (named !== undefined && name !== undefined) throw fault(named[1], `${named[2]} ${name} not found.`)
    return { [list]: [] }
  }

const snapshot = ['DBClusterSnapshotIdentifier', 'DBClusterSnapshotNotFoundFault', 'DBClusterSnapshot'] as const

/** By the names of the operations. */
export const ABSENT: Readonly<Record<string, Operation<AnyInput, object>>> = {
  DescribeBlueGreenDeployments: none({
    list: 'BlueGreenDeployments',
    named: ['BlueGreenDeploymentIdentifier', 'BlueGreenDeploymentNotFoundFault', 'BlueGreenDeployment'],
  }),
  DescribeDBClusterAutomatedBackups: none({
    list: 'DBClusterAutomatedBackups',
    named: ['DbClusterResourceId', 'DBClusterAutomatedBackupNotFoundFault', 'DBClusterAutomatedBackup'],
  }),
  DescribeDBClusterSnapshots: none({ list: 'DBClusterSnapshots', named: snapshot }),
  DescribeDBProxies: none({ list: 'DBProxies', named: ['DBProxyName', 'DBProxyNotFoundFault', 'DBProxy'] }),
  DescribeDBProxyEndpoints: none({
    list: 'DBProxyEndpoints',
    named: ['DBProxyEndpointName', 'DBProxyEndpointNotFoundFault', 'DBProxyEndpoint'],
  }),
  DescribeDBSnapshots: none({
    list: 'DBSnapshots',
    named: ['DBSnapshotIdentifier', 'DBSnapshotNotFoundFault', 'DBSnapshot'],
  }),
  DescribeEventSubscriptions: none({
    list: 'EventSubscriptionsList',
    named: ['SubscriptionName', 'SubscriptionNotFoundFault', 'Subscription'],
  }),
  DescribeExportTasks: none({
    list: 'ExportTasks',
    named: ['ExportTaskIdentifier', 'ExportTaskNotFoundFault', 'ExportTask'],
  }),
  DescribeGlobalClusters: none({
    list: 'GlobalClusters',
    named: ['GlobalClusterIdentifier', 'GlobalClusterNotFoundFault', 'GlobalCluster'],
  }),
  DescribeIntegrations: none({
    list: 'Integrations',
    named: ['IntegrationIdentifier', 'IntegrationNotFoundFault', 'Integration'],
  }),
  DescribeOptionGroups: none({
    list: 'OptionGroupsList',
    named: ['OptionGroupName', 'OptionGroupNotFoundFault', 'OptionGroup'],
  }),
}
