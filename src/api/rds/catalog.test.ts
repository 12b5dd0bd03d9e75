import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import {
  CreateDBClusterCommand,
  CreateDBInstanceCommand,
  DescribeAccountAttributesCommand,
  DescribeCertificatesCommand,
  DescribeDBClusterSnapshotsCommand,
  DescribeDBEngineVersionsCommand,
  DescribeDBLogFilesCommand,
  DescribeEventCategoriesCommand,
  DescribeGlobalClustersCommand,
  DescribeOrderableDBInstanceOptionsCommand,
  DescribePendingMaintenanceActionsCommand,
  DescribeSourceRegionsCommand,
  DownloadDBLogFilePortionCommand,
  paginateDescribeOrderableDBInstanceOptions,
} from '@aws-sdk/client-rds'
import { startApi, type TestApi } from '../../../test/api-server.ts'
import { instanceClass } from '../../cluster/instance-classes.ts'
import { FAULT_SHAPES } from '../query/shapes.ts'

const cluster = {
  DBClusterIdentifier: 'demo',
  Engine: 'aurora-postgresql',
  MasterUsername: 'postgres',
  MasterUserPassword: 'correct-horse',
}

describe('what there is to choose from', () => {
  let api: TestApi
  before(async () => {
    api = await startApi()
  })
  after(async () => {
    assert.deepEqual(api.log, [])
    await api[Symbol.asyncDispose]()
  })

  it('engine versions, one of them the default', async () => {
    const { DBEngineVersions } = await api.client.send(
      new DescribeDBEngineVersionsCommand({ Engine: 'aurora-postgresql', DefaultOnly: true }),
    )
    assert.deepEqual(
      DBEngineVersions?.map(({ DBParameterGroupFamily, Status }) => [DBParameterGroupFamily, Status]),
      [['aurora-postgresql17', 'available']],
    )
    const all = await api.client.send(new DescribeDBEngineVersionsCommand({}))
    assert.ok((all.DBEngineVersions?.length ?? 0) >= 4)
    const none = await api.client.send(new DescribeDBEngineVersionsCommand({ Engine: 'aurora-mysql' }))
    assert.deepEqual(none.DBEngineVersions, [])
  })

  it('classes of instances, page by page', async () => {
    const classes = new Set<string>()
    let count = 0
    const paginator = paginateDescribeOrderableDBInstanceOptions(
      { client: api.client, pageSize: 20 },
      { Engine: 'aurora-postgresql', EngineVersion: '17' },
    )
    for await (const { OrderableDBInstanceOptions = [] } of paginator) {
      count += OrderableDBInstanceOptions.length
      for (const { DBInstanceClass = '' } of OrderableDBInstanceOptions) classes.add(DBInstanceClass)
    }
    assert.equal(classes.size, count)
    assert.equal(instanceClass('db.r6g.large')?.memoryBytes, 16 * 2 ** 30)
    assert.ok(classes.has('db.r6g.large'))
    const wrong = new DescribeOrderableDBInstanceOptionsCommand({ Engine: 'aurora-postgresql', MaxRecords: 5 })
    await assert.rejects(api.client.send(wrong), {
      name: 'InvalidParameterValue',
      message: 'Invalid value 5 for MaxRecords. Must be between 20 and 100',
    })
  })

  it('the region’s certificate authority', async () => {
    const { Certificates: [certificate] = [] } = await api.client.send(new DescribeCertificatesCommand({}))
    assert.match(certificate?.Thumbprint ?? '', /^[0-9a-f]{40}$/)
    assert.ok((certificate?.ValidTill?.getTime() ?? 0) > Date.now())
    await assert.rejects(api.client.send(new DescribeCertificatesCommand({ CertificateIdentifier: 'rds-ca-2015' })), {
      name: 'CertificateNotFoundFault',
    })
  })

  it('quotas, event categories, source regions, maintenance', async () => {
    const { AccountQuotas } = await api.client.send(new DescribeAccountAttributesCommand({}))
    assert.deepEqual(
      AccountQuotas?.find(({ AccountQuotaName }) => AccountQuotaName === 'DBClusters'),
      { AccountQuotaName: 'DBClusters', Used: 0, Max: 40 },
    )
    const { EventCategoriesMapList } = await api.client.send(
      new DescribeEventCategoriesCommand({ SourceType: 'db-cluster' }),
    )
    assert.ok(EventCategoriesMapList?.[0]?.EventCategories?.includes('failover'))
    assert.deepEqual((await api.client.send(new DescribeSourceRegionsCommand({}))).SourceRegions, [])
    const maintenance = await api.client.send(new DescribePendingMaintenanceActionsCommand({}))
    assert.deepEqual(maintenance.PendingMaintenanceActions, [])
  })

  it('nothing, where there is nothing', async () => {
    assert.deepEqual((await api.client.send(new DescribeGlobalClustersCommand({}))).GlobalClusters, [])
    await assert.rejects(api.client.send(new DescribeDBClusterSnapshotsCommand({ DBClusterSnapshotIdentifier: 'a' })), {
      name: 'DBClusterSnapshotNotFoundFault',
      message: 'DBClusterSnapshot a not found.',
    })
  })

  for (const [what, change, name, message] of [
    ['an engine that is not there', { Engine: 'aurora-mysql' }, 'InvalidParameterValue', /^Invalid DB engine/],
    [
      'a version that is not there',
      { EngineVersion: '9.6' },
      'InvalidParameterCombination',
      /^Cannot find version 9\.6/,
    ],
    [
      'a name that ends with a hyphen',
      { DBClusterIdentifier: 'a-' },
      'InvalidParameterValue',
      /must not end with a hyphen/,
    ],
    ['a name that is too long', { DBClusterIdentifier: 'a'.repeat(64) }, 'InvalidParameterValue', /longer than 63/],
    ['no master user', { MasterUsername: undefined }, 'InvalidParameterValue', /MasterUsername must be provided/],
    ['a reserved user', { MasterUsername: 'rdsadmin' }, 'InvalidParameterValue', /reserved word used by the engine/],
    ['a short password', { MasterUserPassword: 'short' }, 'InvalidParameterValue', /shorter than 8 characters/],
    ['a password with a slash', { MasterUserPassword: 'correct/horse' }, 'InvalidParameterValue', /besides '\/'/],
    ['a window in no form', { PreferredBackupWindow: '4-5' }, 'InvalidParameterValue', /hh24:mi-hh24:mi/],
    [
      'windows that overlap',
      { PreferredBackupWindow: '23:30-00:30', PreferredMaintenanceWindow: 'sun:00:00-sun:01:00' },
      'InvalidParameterCombination',
      /must not overlap/,
    ],
    ['a retention of no days', { BackupRetentionPeriod: 0 }, 'InvalidParameterValue', /between 1 and 35/],
    ['a port below 1150', { Port: 80 }, 'InvalidParameterValue', /between 1150 and 65535/],
    [
      'a subnet group that is not there',
      { DBSubnetGroupName: 'x' },
      'DBSubnetGroupNotFoundFault',
      /'x' does not exist/,
    ],
    ['a zone that is not there', { AvailabilityZones: ['eu-1a'] }, 'InvalidVPCNetworkStateFault', /'eu-1a'/],
    ['encryption', { StorageEncrypted: true }, 'InvalidParameterCombination', /^StorageEncrypted is not supported/],
    ['a tag of AWS', { Tags: [{ Key: 'aws:x', Value: '' }] }, 'InvalidParameterValue', /must not start with aws:/],
  ] as const) {
    it(`no cluster with ${what}`, async () => {
      const input = { ...cluster, ...change } as unknown as typeof cluster
      await assert.rejects(api.client.send(new CreateDBClusterCommand(input)), { name, message })
      assert.deepEqual(api.plane.clusters(), [])
    })
  }

  it('logs, from their end and from their beginning', async () => {
    await api.client.send(new CreateDBClusterCommand(cluster))
    await api.client.send(
      new CreateDBInstanceCommand({
        DBClusterIdentifier: 'demo',
        DBInstanceIdentifier: 'demo-1',
        DBInstanceClass: 'db.t4g.medium',
        Engine: 'aurora-postgresql',
      }),
    )
    const instance = { DBInstanceIdentifier: 'demo-1' }
    const LogFileName = 'error/postgresql.log.2026-11-20-1400'
    const lines = Array.from({ length: 30_000 }, (_, i) => `line ${i} ${'x'.repeat(40)}\n`)
    api.plane.logs.set(`demo-1:${LogFileName}`, Buffer.from(lines.join('')))
    const { DescribeDBLogFiles: files } = await api.client.send(new DescribeDBLogFilesCommand(instance))
    assert.deepEqual(
      files?.map((file) => [file.LogFileName, file.Size]),
      [[LogFileName, lines.join('').length]],
    )
    const portion = (rest: object) =>
      api.client.send(new DownloadDBLogFilePortionCommand({ ...instance, LogFileName, ...rest }))
    const end = await portion({ NumberOfLines: 3 })
    assert.equal(end.LogFileData, lines.slice(-3).join(''))
    assert.equal(end.AdditionalDataPending, false)
    let whole = ''
    let marker = '0'
    for (let pending = true; pending; ) {
      const next = await portion({ Marker: marker })
      whole += next.LogFileData
      marker = next.Marker ?? ''
      pending = next.AdditionalDataPending === true
    }
    assert.equal(whole, lines.join(''))
    await assert.rejects(portion({ LogFileName: 'error/other' }), { name: 'DBLogFileNotFoundFault' })
  })
})

it('every fault that the sources name is one of the API', () => {
  const folder = import.meta.dirname
  const named = globSync('*.ts', { cwd: folder }).flatMap((name) =>
    [...readFileSync(`${folder}/${name}`, 'utf8').matchAll(/'(\w+(?:Fault|InvalidSubnet|EnoughAZs))'/g)].map(
      ([, fault = '']) => fault,
    ),
  )
  assert.ok(named.length > 30)
  assert.deepEqual(
    named.filter((fault) => !FAULT_SHAPES.has(fault)),
    [],
  )
})
