import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  AddTagsToResourceCommand,
  CreateDBClusterCommand,
  CreateDBClusterEndpointCommand,
  CreateDBInstanceCommand,
  DeleteDBClusterCommand,
  DeleteDBClusterEndpointCommand,
  DeleteDBInstanceCommand,
  DescribeDBClusterEndpointsCommand,
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  DescribeEventsCommand,
  FailoverDBClusterCommand,
  ListTagsForResourceCommand,
  ModifyDBClusterCommand,
  ModifyDBClusterEndpointCommand,
  ModifyDBInstanceCommand,
  RebootDBInstanceCommand,
  RemoveTagsFromResourceCommand,
  StartDBClusterCommand,
  StopDBClusterCommand,
  waitUntilDBClusterAvailable,
  waitUntilDBClusterDeleted,
  waitUntilDBInstanceAvailable,
  waitUntilDBInstanceDeleted,
} from '@aws-sdk/client-rds'
import { startApi, type TestApi } from '../../../test/api-server.ts'

const WAIT = { maxWaitTime: 60, minDelay: 0.05, maxDelay: 0.1 }

describe('the life of a cluster, by AWS’s client and its waiters', () => {
  let api: TestApi
  before(async () => {
    api = await startApi()
  })
  after(async () => {
    assert.deepEqual(api.log, [])
    await api[Symbol.asyncDispose]()
  })
  const cluster = { DBClusterIdentifier: 'Demo' }
  const wait = () => ({ client: api.client, ...WAIT })
  const described = async () => (await api.client.send(new DescribeDBClustersCommand(cluster))).DBClusters?.[0]

  it('a cluster is made, with the defaults that AWS gives', async () => {
    const { DBCluster: made } = await api.client.send(
      new CreateDBClusterCommand({
        ...cluster,
        Engine: 'aurora-postgresql',
        MasterUsername: 'postgres',
        MasterUserPassword: 'correct horse'.replace(' ', '-'),
        Tags: [{ Key: 'team', Value: 'a & <b>' }],
      }),
    )
    assert.equal(made?.DBClusterIdentifier, 'demo')
    assert.equal(made.Status, 'creating')
    assert.match(made.DbClusterResourceId ?? '', /^cluster-[A-Z0-9]{26}$/)
    assert.equal(made.DBClusterArn, `arn:aws:rds:local-1:${api.plane.account}:cluster:demo`)
    assert.equal(made.DBClusterParameterGroup, 'default.aurora-postgresql17')
    assert.deepEqual(made.AvailabilityZones, ['local-1a', 'local-1b', 'local-1c'])
    assert.equal(made.Port, 5432)
    assert.equal(made.BackupRetentionPeriod, 1)
    assert.deepEqual(made.DBClusterMembers, [])
    assert.equal(made.DatabaseName, undefined)
    assert.match(made.PreferredMaintenanceWindow ?? '', /^[a-z]{3}:\d\d:\d\d-[a-z]{3}:\d\d:\d\d$/)
    assert.deepEqual(made.TagList, [{ Key: 'team', Value: 'a & <b>' }])
    assert.ok(made.ClusterCreateTime instanceof Date)
    await waitUntilDBClusterAvailable(wait(), cluster)
  })

  it('and lives without instances', async () => {
    assert.equal((await described())?.Status, 'available')
    assert.equal((await described())?.MultiAZ, false)
  })

  it('its first instance is the writer, the next a reader', async () => {
    for (const [DBInstanceIdentifier, PromotionTier] of [
      ['demo-1', 1],
      ['demo-2', 0],
    ] as const) {
      const { DBInstance } = await api.client.send(
        new CreateDBInstanceCommand({
          ...cluster,
          DBInstanceIdentifier,
          PromotionTier,
          Engine: 'aurora-postgresql',
          DBInstanceClass: 'db.r6g.large',
        }),
      )
      assert.equal(DBInstance?.DBInstanceStatus, 'creating')
      assert.equal(DBInstance.Endpoint, undefined)
      await waitUntilDBInstanceAvailable(wait(), { DBInstanceIdentifier })
    }
    const members = (await described())?.DBClusterMembers
    assert.deepEqual(
      members?.map((member) => [member.DBInstanceIdentifier, member.IsClusterWriter, member.PromotionTier]),
      [
        ['demo-1', true, 1],
        ['demo-2', false, 0],
      ],
    )
    assert.equal((await described())?.MultiAZ, true)
    const { DBInstances: [instance] = [] } = await api.client.send(
      new DescribeDBInstancesCommand({ DBInstanceIdentifier: 'demo-1' }),
    )
    assert.equal(instance?.Endpoint?.Address, 'demo-1.k3j9x0q2m4zt.local-1.rds.borealis.internal')
    assert.equal(instance.Endpoint.Port, 5432)
    assert.equal(instance.OptionGroupMemberships?.[0]?.OptionGroupName, 'default:aurora-postgresql-17')
    assert.deepEqual(instance.DBParameterGroups, [
      { DBParameterGroupName: 'default.aurora-postgresql17', ParameterApplyStatus: 'in-sync' },
    ])
  })

  it('instances are found by their cluster, by its name and its ARN', async () => {
    for (const value of ['demo', `arn:aws:rds:local-1:${api.plane.account}:cluster:demo`]) {
      const { DBInstances } = await api.client.send(
        new DescribeDBInstancesCommand({ Filters: [{ Name: 'db-cluster-id', Values: [value] }] }),
      )
      assert.equal(DBInstances?.length, 2)
    }
    const { DBInstances } = await api.client.send(
      new DescribeDBInstancesCommand({ Filters: [{ Name: 'db-cluster-id', Values: ['other'] }] }),
    )
    assert.deepEqual(DBInstances, [])
  })

  it('fails over', async () => {
    const { DBCluster } = await api.client.send(new FailoverDBClusterCommand(cluster))
    assert.equal(DBCluster?.Status, 'failing-over')
    await waitUntilDBClusterAvailable(wait(), cluster)
    const writer = (await described())?.DBClusterMembers?.find(({ IsClusterWriter }) => IsClusterWriter)
    assert.equal(writer?.DBInstanceIdentifier, 'demo-2')
  })

  it('has endpoints of its own and others', async () => {
    const own = { DBClusterEndpointIdentifier: 'reports' }
    const made = await api.client.send(
      new CreateDBClusterEndpointCommand({ ...cluster, ...own, EndpointType: 'reader', StaticMembers: ['demo-1'] }),
    )
    assert.equal(made.EndpointType, 'CUSTOM')
    assert.equal(made.CustomEndpointType, 'READER')
    const changed = await api.client.send(new ModifyDBClusterEndpointCommand({ ...own, ExcludedMembers: ['demo-2'] }))
    assert.deepEqual([changed.StaticMembers, changed.ExcludedMembers], [[], ['demo-2']])
    const { DBClusterEndpoints } = await api.client.send(new DescribeDBClusterEndpointsCommand(cluster))
    assert.deepEqual(
      DBClusterEndpoints?.map(({ EndpointType }) => EndpointType),
      ['CUSTOM', 'READER', 'WRITER'],
    )
    const { DBClusterEndpoints: custom } = await api.client.send(
      new DescribeDBClusterEndpointsCommand({
        ...cluster,
        Filters: [{ Name: 'db-cluster-endpoint-type', Values: ['custom'] }],
      }),
    )
    assert.equal(custom?.length, 1)
    assert.equal((await api.client.send(new DeleteDBClusterEndpointCommand(own))).Status, 'deleting')
  })

  it('is modified; what waits is shown as pending', async () => {
    const protectedNow = await api.client.send(
      new ModifyDBClusterCommand({
        ...cluster,
        DeletionProtection: true,
        BackupRetentionPeriod: 7,
        ApplyImmediately: true,
      }),
    )
    assert.equal(protectedNow.DBCluster?.DeletionProtection, true)
    assert.equal(protectedNow.DBCluster.BackupRetentionPeriod, 7)
    const { DBInstance } = await api.client.send(
      new ModifyDBInstanceCommand({ DBInstanceIdentifier: 'demo-1', DBInstanceClass: 'db.r6g.xlarge' }),
    )
    assert.equal(DBInstance?.DBInstanceClass, 'db.r6g.large')
    assert.equal(DBInstance.PendingModifiedValues?.DBInstanceClass, 'db.r6g.xlarge')
  })

  it('is stopped, and started', async () => {
    const stopped = await api.client.send(new StopDBClusterCommand(cluster))
    assert.equal(stopped.DBCluster?.Status, 'stopping')
    assert.ok(stopped.DBCluster.AutomaticRestartTime instanceof Date)
    for (const deadline = Date.now() + 10_000; (await described())?.Status !== 'stopped'; )
      assert.ok(Date.now() < deadline)
    await assert.rejects(api.client.send(new StopDBClusterCommand(cluster)), { name: 'InvalidDBClusterStateFault' })
    await api.client.send(new StartDBClusterCommand(cluster))
    await waitUntilDBClusterAvailable(wait(), cluster)
  })

  it('reboots', async () => {
    const reboot = { DBInstanceIdentifier: 'demo-1' }
    assert.equal((await api.client.send(new RebootDBInstanceCommand(reboot))).DBInstance?.DBInstanceStatus, 'rebooting')
    await waitUntilDBInstanceAvailable(wait(), reboot)
  })

  it('has tags', async () => {
    const ResourceName = `arn:aws:rds:local-1:${api.plane.account}:cluster:demo`
    await api.client.send(new AddTagsToResourceCommand({ ResourceName, Tags: [{ Key: 'env', Value: '' }] }))
    await api.client.send(new RemoveTagsFromResourceCommand({ ResourceName, TagKeys: ['team'] }))
    const { TagList } = await api.client.send(new ListTagsForResourceCommand({ ResourceName }))
    assert.deepEqual(TagList, [{ Key: 'env', Value: '' }])
  })

  it('is deleted only without protection and without instances', async () => {
    const remove = new DeleteDBClusterCommand({ ...cluster, SkipFinalSnapshot: true })
    await assert.rejects(api.client.send(remove), {
      name: 'InvalidParameterCombination',
      message: 'Cannot delete protected Cluster, please disable deletion protection and try again.',
    })
    await api.client.send(new ModifyDBClusterCommand({ ...cluster, DeletionProtection: false }))
    await assert.rejects(api.client.send(remove), {
      name: 'InvalidDBClusterStateFault',
      message: 'Cluster cannot be deleted, it still contains DB instances in non-deleting state.',
    })
    for (const DBInstanceIdentifier of ['demo-1', 'demo-2']) {
      await api.client.send(new DeleteDBInstanceCommand({ DBInstanceIdentifier }))
      await waitUntilDBInstanceDeleted(wait(), { DBInstanceIdentifier })
    }
    await assert.rejects(api.client.send(new DeleteDBClusterCommand(cluster)), { name: 'InvalidParameterCombination' })
    assert.equal((await api.client.send(remove)).DBCluster?.Status, 'deleting')
    await waitUntilDBClusterDeleted(wait(), cluster)
    await assert.rejects(described(), { name: 'DBClusterNotFoundFault', message: 'DBCluster demo not found.' })
  })

  it('and has left its events', async () => {
    const { Events } = await api.client.send(
      new DescribeEventsCommand({ SourceType: 'db-cluster', SourceIdentifier: 'demo' }),
    )
    assert.deepEqual(
      Events?.map(({ Message }) => Message),
      ['DB cluster created.', 'Completed failover to DB instance: demo-2.', 'DB cluster deleted.'],
    )
  })
})
