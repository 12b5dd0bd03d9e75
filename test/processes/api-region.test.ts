/** The life of a cluster through the API of a region: what it says is done to real engines. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  AddTagsToResourceCommand,
  CreateDBClusterCommand,
  CreateDBClusterParameterGroupCommand,
  CreateDBInstanceCommand,
  type DBCluster,
  DeleteDBClusterCommand,
  DeleteDBInstanceCommand,
  DescribeDBClustersCommand,
  DescribeDBLogFilesCommand,
  DescribeEventsCommand,
  DownloadDBLogFilePortionCommand,
  FailoverDBClusterCommand,
  ModifyDBClusterCommand,
  ModifyDBClusterParameterGroupCommand,
  type Parameter,
  RDSClient,
  RebootDBInstanceCommand,
  waitUntilDBClusterAvailable,
  waitUntilDBClusterDeleted,
  waitUntilDBInstanceAvailable,
  waitUntilDBInstanceDeleted,
} from '@aws-sdk/client-rds'
import pg from 'pg'
import { RegionHome } from '../region-home.ts'
import { until } from '../waiting.ts'

const cluster = { DBClusterIdentifier: 'shop' }
const group = { DBClusterParameterGroupName: 'shop' }
const PASSWORD = 'correct-horse-battery'

describe('a cluster, from its making to its end, through the API', () => {
  let home: RegionHome
  let client: RDSClient
  before(async () => {
    home = await RegionHome.make(['--no-demo'])
    await home.up()
    const { output } = await home.borealis('credentials', '--format', 'env')
    const value = (name: string): string => new RegExp(`^export ${name}=(.*)$`, 'm').exec(output)?.[1] ?? ''
    client = new RDSClient({
      // Its port is any that was free, which nobody but the region knows.
      endpoint: `http://${(await home.status()).api}`,
      region: value('AWS_REGION'),
      credentials: { accessKeyId: value('AWS_ACCESS_KEY_ID'), secretAccessKey: value('AWS_SECRET_ACCESS_KEY') },
    })
  })
  after(async () => {
    client?.destroy()
    await home?.[Symbol.asyncDispose]()
  })

  const wait = () => ({ client, maxWaitTime: 120, minDelay: 0.2, maxDelay: 0.5 })
  const described = async (): Promise<DBCluster> =>
    (await client.send(new DescribeDBClustersCommand(cluster))).DBClusters?.[0] ?? assert.fail('it is not there')
  const writerOf = ({ DBClusterMembers = [] }: DBCluster) =>
    DBClusterMembers.find(({ IsClusterWriter }) => IsClusterWriter)?.DBInstanceIdentifier
  const addInstance = async (DBInstanceIdentifier: string): Promise<void> => {
    const of = { ...cluster, Engine: 'aurora-postgresql', DBInstanceClass: 'db.t4g.micro' }
    await client.send(new CreateDBInstanceCommand({ ...of, DBInstanceIdentifier }))
    await waitUntilDBInstanceAvailable(wait(), { DBInstanceIdentifier })
  }
  /** What the writer says to the master user. */
  const ask = async (text: string): Promise<unknown> => {
    const { host, port } = await home.writer('shop')
    const ssl = { ca: readFileSync(join(home.root, 'authority.crt'), 'utf8'), host }
    const session = new pg.Client({ host, port, ssl, user: 'boss', password: PASSWORD, database: 'goods' })
    await session.connect()
    try {
      return Object.values((await session.query({ text, rowMode: 'array' })).rows[0] ?? [])[0]
    } finally {
      await session.end()
    }
  }
  const setParameter = (ParameterName: string, ParameterValue: string, ApplyMethod: Parameter['ApplyMethod']) => {
    const Parameters = [{ ParameterName, ParameterValue, ApplyMethod }]
    return client.send(new ModifyDBClusterParameterGroupCommand({ ...group, Parameters }))
  }

  it('is made, with its user and its database', async () => {
    const DBParameterGroupFamily = 'aurora-postgresql17'
    await client.send(new CreateDBClusterParameterGroupCommand({ ...group, DBParameterGroupFamily, Description: 'd' }))
    const user = { MasterUsername: 'boss', MasterUserPassword: PASSWORD, DatabaseName: 'goods' }
    await client.send(new CreateDBClusterCommand({ ...cluster, ...group, ...user, Engine: 'aurora-postgresql' }))
    await addInstance('shop-1')
    assert.equal(await ask('SELECT current_user'), 'boss')
    const { Endpoint, Status } = await described()
    assert.match(Endpoint ?? '', /^shop\.cluster-[a-z0-9]{12}\.local-1\.rds\.borealis\.internal$/)
    assert.equal(Status, 'available')
  })

  it('takes parameters: at once, or at a reboot', async () => {
    await setParameter('work_mem', '{DBInstanceClassMemory/65536}', 'immediate')
    await until('the parameter is there', async () => (await ask('SHOW work_mem')) === '16MB')
    await setParameter('max_connections', '77', 'pending-reboot')
    const status = async () => (await described()).DBClusterMembers?.[0]?.DBClusterParameterGroupStatus
    assert.equal(await status(), 'pending-reboot')
    assert.equal(await ask('SHOW max_connections'), '112')
  })

  it('gets a reader, although parameters that wait would be too small for one', async () => {
    await addInstance('shop-2')
    assert.equal(writerOf(await described()), 'shop-1')
  })

  it('reboots, and has its parameters', async () => {
    await client.send(new RebootDBInstanceCommand({ DBInstanceIdentifier: 'shop-1' }))
    await waitUntilDBInstanceAvailable(wait(), { DBInstanceIdentifier: 'shop-1' })
    assert.equal(await ask('SHOW max_connections'), '77')
  })

  it('fails over, losing nothing', async () => {
    await ask('CREATE TABLE kept AS SELECT 1')
    await client.send(new FailoverDBClusterCommand({ ...cluster, TargetDBInstanceIdentifier: 'shop-2' }))
    await until('there is another writer', async () => writerOf(await described()) === 'shop-2', 60_000)
    await waitUntilDBClusterAvailable(wait(), cluster)
    assert.equal(await ask('SELECT count(*)::int FROM kept'), 1)
  })

  it('shows its logs', async () => {
    const instance = { DBInstanceIdentifier: 'shop-2' }
    const { DescribeDBLogFiles: files = [] } = await client.send(new DescribeDBLogFilesCommand(instance))
    const LogFileName = files.find((file) => file.LogFileName?.startsWith('error/postgresql.log.'))?.LogFileName
    assert.ok(LogFileName !== undefined)
    const portion = await client.send(new DownloadDBLogFilePortionCommand({ ...instance, LogFileName, Marker: '0' }))
    assert.match(portion.LogFileData ?? '', /database system/)
  })

  it('is renamed with its tags, and deleted', async () => {
    const { DBClusterArn: ResourceName } = await described()
    await client.send(new AddTagsToResourceCommand({ ResourceName, Tags: [{ Key: 'team', Value: 'a' }] }))
    const other = { DBClusterIdentifier: 'store' }
    await client.send(
      new ModifyDBClusterCommand({ ...cluster, NewDBClusterIdentifier: 'store', ApplyImmediately: true }),
    )
    await waitUntilDBClusterAvailable(wait(), other)
    const { DBClusters: [renamed] = [] } = await client.send(new DescribeDBClustersCommand(other))
    assert.deepEqual(renamed?.TagList, [{ Key: 'team', Value: 'a' }])
    for (const DBInstanceIdentifier of ['shop-1', 'shop-2']) {
      await client.send(new DeleteDBInstanceCommand({ DBInstanceIdentifier }))
      await waitUntilDBInstanceDeleted(wait(), { DBInstanceIdentifier })
    }
    await client.send(new DeleteDBClusterCommand({ ...other, SkipFinalSnapshot: true }))
    await waitUntilDBClusterDeleted(wait(), other)
  })

  it('and has told of it', async () => {
    const { Events = [] } = await client.send(new DescribeEventsCommand({ SourceType: 'db-cluster' }))
    const messages = Events.map(({ Message }) => Message)
    for (const message of [
      'DB cluster created.',
      'Completed failover to DB instance: shop-2.',
      'Renamed cluster from shop to store.',
      'DB cluster deleted.',
    ])
      assert.ok(messages.includes(message), message)
  })
})
