/** What can happen, in AWS's words: identifiers, categories and texts of the events of RDS. */
export type EventSource = 'db-cluster' | 'db-instance' | 'db-parameter-group' | 'db-cluster-snapshot' | 'db-snapshot'

interface EventTraits {
  readonly id: string
  readonly source: EventSource
  readonly categories: readonly string[]
  /** What stands in braces comes with the event. */
  readonly text: string
}

const event = (id: string, source: EventSource, category: string, text: string): EventTraits => ({
  id: `RDS-EVENT-${id}`,
  source,
  categories: [category],
  text,
})

export const EVENTS = {
  clusterCreated: event('0170', 'db-cluster', 'creation', 'DB cluster created.'),
  clusterDeleted: event('0171', 'db-cluster', 'deletion', 'DB cluster deleted.'),
  clusterRenamed: event('0172', 'db-cluster', 'notification', 'Renamed cluster from {from} to {to}.'),
  clusterStopped: event('0150', 'db-cluster', 'notification', 'DB cluster stopped.'),
  clusterStarted: event('0151', 'db-cluster', 'notification', 'DB cluster started.'),
  clusterStartedAfterDays: event(
    '0153',
    'db-cluster',
    'notification',
    'DB cluster is being started due to it exceeding the maximum allowed time being stopped.',
  ),
  clusterCredentialsReset: event('0016', 'db-cluster', 'configuration change', 'Reset master credentials.'),
  clusterPatched: event('0173', 'db-cluster', 'maintenance', 'Database cluster has been patched.'),
  failoverFailed: event(
    '0069',
    'db-cluster',
    'failover',
    'Cluster failover failed, check the health of your cluster instances and try again.',
  ),
  failoverBack: event('0070', 'db-cluster', 'failover', 'Promoting previous primary again: {instance}.'),
  failoverCompleted: event('0071', 'db-cluster', 'failover', 'Completed failover to DB instance: {instance}.'),
  failoverStarted: event('0072', 'db-cluster', 'failover', 'Started same AZ failover to DB instance: {instance}.'),
  failoverStartedAcrossZones: event(
    '0073',
    'db-cluster',
    'failover',
    'Started cross AZ failover to DB instance: {instance}.',
  ),
  instanceCreated: event('0005', 'db-instance', 'creation', 'DB instance created.'),
  instanceDeleted: event('0003', 'db-instance', 'deletion', 'DB instance deleted.'),
  instanceShutDown: event('0004', 'db-instance', 'availability', 'DB instance shutdown.'),
  instanceRestarted: event('0006', 'db-instance', 'availability', 'DB instance restarted.'),
  instanceStopped: event('0087', 'db-instance', 'notification', 'DB instance stopped.'),
  instanceStarted: event('0088', 'db-instance', 'notification', 'DB instance started.'),
  instanceClassChanging: event(
    '0012',
    'db-instance',
    'configuration change',
    'Applying modification to database instance class.',
  ),
  instanceClassChanged: event(
    '0014',
    'db-instance',
    'configuration change',
    'Finished applying modification to DB instance class.',
  ),
  instanceGroupChanged: event('0092', 'db-instance', 'configuration change', 'Finished updating DB parameter group.'),
  instanceRecovering: event(
    '0020',
    'db-instance',
    'recovery',
    'Recovery of the DB instance has started. Recovery time will vary with the amount of data to be recovered.',
  ),
  instanceRecovered: event('0021', 'db-instance', 'recovery', 'Recovery of the DB instance is complete.'),
  instanceFailed: event('0031', 'db-instance', 'failure', 'DB instance put into {state}.'),
  parameterChanged: event(
    '0037',
    'db-parameter-group',
    'configuration change',
    'Updated parameter {name} to {value} with apply method {method}',
  ),
} as const satisfies Record<string, EventTraits>

export type EventKind = keyof typeof EVENTS

export const eventText = (kind: EventKind, details: Readonly<Record<string, string>>): string =>
  EVENTS[kind].text.replace(/\{(\w+)\}/g, (_, name: string) => details[name] ?? '')

/** Of each kind of source, as `DescribeEventCategories` tells them. */
export const EVENT_CATEGORIES: Readonly<Record<EventSource, readonly string[]>> = {
  'db-cluster': [
    ...['configuration change', 'creation', 'deletion', 'failover', 'failure', 'global failover'],
    ...['maintenance', 'migration', 'notification', 'serverless'],
  ],
  'db-instance': [
    ...['availability', 'backtrack', 'backup', 'configuration change', 'creation', 'deletion', 'failover', 'failure'],
    ...['low storage', 'maintenance', 'notification', 'read replica', 'recovery', 'restoration', 'security'],
  ],
  'db-parameter-group': ['configuration change'],
  'db-cluster-snapshot': ['backup', 'notification'],
  'db-snapshot': ['creation', 'deletion', 'notification', 'restoration'],
}
