import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  CopyDBClusterParameterGroupCommand,
  CreateDBClusterCommand,
  CreateDBClusterParameterGroupCommand,
  CreateDBParameterGroupCommand,
  CreateDBSubnetGroupCommand,
  DeleteDBClusterParameterGroupCommand,
  DeleteDBSubnetGroupCommand,
  DescribeDBClusterParameterGroupsCommand,
  DescribeDBClusterParametersCommand,
  DescribeDBParametersCommand,
  DescribeDBSubnetGroupsCommand,
  DescribeEngineDefaultClusterParametersCommand,
  DescribeEngineDefaultParametersCommand,
  DescribeEventsCommand,
  ModifyDBClusterCommand,
  ModifyDBClusterParameterGroupCommand,
  ModifyDBParameterGroupCommand,
  ModifyDBSubnetGroupCommand,
  type Parameter,
  paginateDescribeDBClusterParameters,
  ResetDBClusterParameterGroupCommand,
} from '@aws-sdk/client-rds'
import { startApi, type TestApi } from '../../../test/api-server.ts'

describe('groups', () => {
  let api: TestApi
  before(async () => {
    api = await startApi()
  })
  after(async () => {
    assert.deepEqual(api.log, [])
    await api[Symbol.asyncDispose]()
  })

  const mine = { DBClusterParameterGroupName: 'mine' }
  const family = 'aurora-postgresql17'
  const parameter = (name: string, value: string, method = 'immediate'): Parameter =>
    ({ ParameterName: name, ParameterValue: value, ApplyMethod: method }) as Parameter
  const modify = (...Parameters: Parameter[]) =>
    api.client.send(new ModifyDBClusterParameterGroupCommand({ ...mine, Parameters }))
  const set = async (): Promise<Parameter[]> =>
    (await api.client.send(new DescribeDBClusterParametersCommand({ ...mine, Source: 'user' }))).Parameters ?? []

  it('of parameters: a default one for each family, and those that are made', async () => {
    const made = await api.client.send(
      new CreateDBClusterParameterGroupCommand({ ...mine, DBParameterGroupFamily: family, Description: 'd' }),
    )
    assert.match(made.DBClusterParameterGroup?.DBClusterParameterGroupArn ?? '', /:cluster-pg:mine$/)
    await assert.rejects(
      api.client.send(
        new CreateDBClusterParameterGroupCommand({ ...mine, DBParameterGroupFamily: family, Description: 'd' }),
      ),
      { name: 'DBParameterGroupAlreadyExistsFault', message: 'Parameter group mine already exists' },
    )
    const { DBClusterParameterGroups } = await api.client.send(new DescribeDBClusterParameterGroupsCommand({}))
    const names = DBClusterParameterGroups?.map(({ DBClusterParameterGroupName }) => DBClusterParameterGroupName)
    assert.ok(names?.includes('default.aurora-postgresql17') && names.includes('mine'))
  })

  it('show what the engine says, page by page', async () => {
    const names: string[] = []
    let pages = 0
    // The paginator puts its markers into what it is given.
    for await (const page of paginateDescribeDBClusterParameters({ client: api.client }, { ...mine })) {
      pages++
      names.push(...(page.Parameters ?? []).map(({ ParameterName = '' }) => ParameterName))
    }
    assert.equal(pages, 2)
    assert.equal(new Set(names).size, names.length)
    assert.equal(names.length, 158)
  })

  it('take values, and tell those who use them', async () => {
    await modify(
      parameter('work_mem', '{DBInstanceClassMemory/32768}'),
      parameter('max_connections', 'LEAST({DBInstanceClassMemory/9531392},5000)', 'pending-reboot'),
    )
    assert.deepEqual(api.plane.groupChanges.at(-1), { kind: 'cluster', group: 'mine', needsReboot: true })
    assert.deepEqual(
      (await set()).map(({ ParameterName, ParameterValue, Source }) => [ParameterName, ParameterValue, Source]),
      [
        ['max_connections', 'LEAST({DBInstanceClassMemory/9531392},5000)', 'user'],
        ['work_mem', '{DBInstanceClassMemory/32768}', 'user'],
      ],
    )
    const { Events } = await api.client.send(new DescribeEventsCommand({ SourceType: 'db-parameter-group' }))
    assert.equal(
      Events?.[0]?.Message,
      'Updated parameter work_mem to {DBInstanceClassMemory/32768} with apply method immediate',
    )
  })

  for (const [what, given, name, message] of [
    ['out of range', parameter('work_mem', '63'), 'InvalidParameterValue', /allowed are 64-2147483647/],
    ['unknown', parameter('nothing', '1'), 'InvalidParameterValue', /Could not find parameter with name: nothing/],
    ['that would lose commits', parameter('fsync', '0'), 'InvalidParameterValue', /before the volume has them/],
    ['static, at once', parameter('max_connections', '50'), 'InvalidParameterCombination', /static parameter/],
    ['with no method', parameter('work_mem', '64', 'now'), 'InvalidParameterValue', /apply method: now/],
  ] as const) {
    it(`refuse a parameter ${what}, and all that came with it`, async () => {
      const before = await set()
      await assert.rejects(modify(parameter('log_statement', 'all'), given), { name, message })
      assert.deepEqual(await set(), before)
    })
  }

  it('refuse more than twenty at once', async () => {
    const many = Array.from({ length: 21 }, (_, i) => parameter(`x${`${i}`.padStart(3, '0')}`, '1'))
    await assert.rejects(modify(...many), { name: 'InvalidParameterValue', message: /maximum of 20/ })
  })

  it('are copied, and reset', async () => {
    await api.client.send(
      new CopyDBClusterParameterGroupCommand({
        SourceDBClusterParameterGroupIdentifier: 'mine',
        TargetDBClusterParameterGroupIdentifier: 'copy',
        TargetDBClusterParameterGroupDescription: 'd',
      }),
    )
    const Parameters = [{ ParameterName: 'work_mem', ApplyMethod: 'immediate' } as const]
    await api.client.send(new ResetDBClusterParameterGroupCommand({ ...mine, Parameters }))
    assert.equal((await set()).length, 1)
    await api.client.send(new ResetDBClusterParameterGroupCommand({ ...mine, ResetAllParameters: true }))
    assert.equal((await set()).length, 0)
    const copied = { DBClusterParameterGroupName: 'copy', Source: 'user' }
    assert.equal((await api.client.send(new DescribeDBClusterParametersCommand(copied))).Parameters?.length, 2)
  })

  it('default ones are not changed', async () => {
    await assert.rejects(
      api.client.send(
        new ModifyDBParameterGroupCommand({
          DBParameterGroupName: 'default.aurora-postgresql17',
          Parameters: [parameter('work_mem', '64')],
        }),
      ),
      { name: 'InvalidDBParameterGroupStateFault' },
    )
  })

  it('of instances have only what instances may differ in', async () => {
    const DBParameterGroupName = 'own'
    await api.client.send(
      new CreateDBParameterGroupCommand({ DBParameterGroupName, DBParameterGroupFamily: family, Description: 'd' }),
    )
    await assert.rejects(
      api.client.send(
        new ModifyDBParameterGroupCommand({
          DBParameterGroupName,
          Parameters: [parameter('max_connections', '50', 'pending-reboot')],
        }),
      ),
      { message: /It is one of DB cluster parameter groups/ },
    )
    const filter = { Filters: [{ Name: 'parameter-name', Values: ['max_connections', 'work_mem'] }] }
    const own = await api.client.send(new DescribeDBParametersCommand({ DBParameterGroupName, ...filter }))
    assert.deepEqual(
      own.Parameters?.map(({ ParameterName }) => ParameterName),
      ['work_mem'],
    )
    const of = { DBParameterGroupFamily: family, ...filter }
    const instance = await api.client.send(new DescribeEngineDefaultParametersCommand(of))
    const cluster = await api.client.send(new DescribeEngineDefaultClusterParametersCommand(of))
    assert.equal(instance.EngineDefaults?.Parameters?.length, 1)
    assert.equal(cluster.EngineDefaults?.Parameters?.length, 2)
  })

  it('that are used stay, and fit the version', async () => {
    const create = (DBClusterIdentifier: string, DBClusterParameterGroupName: string) =>
      api.client.send(
        new CreateDBClusterCommand({
          DBClusterIdentifier,
          DBClusterParameterGroupName,
          Engine: 'aurora-postgresql',
          EngineVersion: '16',
          MasterUsername: 'postgres',
          MasterUserPassword: 'correct-horse',
        }),
      )
    await assert.rejects(create('demo', 'nobodys'), {
      name: 'DBClusterParameterGroupNotFoundFault',
      message: 'DBClusterParameterGroup not found: nobodys',
    })
    await assert.rejects(create('demo', 'mine'), {
      name: 'InvalidParameterCombination',
      message: /aurora-postgresql16$/,
    })
    await create('demo', 'default.aurora-postgresql16')
    await api.client.send(
      new CreateDBClusterParameterGroupCommand({
        DBClusterParameterGroupName: 'sixteen',
        DBParameterGroupFamily: 'aurora-postgresql16',
        Description: 'd',
      }),
    )
    while (api.plane.cluster('demo')?.status !== 'available') await new Promise((resolve) => setTimeout(resolve, 5))
    await api.client.send(
      new ModifyDBClusterCommand({ DBClusterIdentifier: 'demo', DBClusterParameterGroupName: 'sixteen' }),
    )
    await assert.rejects(
      api.client.send(new DeleteDBClusterParameterGroupCommand({ DBClusterParameterGroupName: 'sixteen' })),
      { name: 'InvalidDBParameterGroupStateFault', message: /still members of this parameter group sixteen/ },
    )
    await api.client.send(new DeleteDBClusterParameterGroupCommand(mine))
    await assert.rejects(api.client.send(new DescribeDBClusterParameterGroupsCommand(mine)), {
      name: 'DBParameterGroupNotFoundFault',
    })
  })

  it('of subnets cover two zones at least', async () => {
    const own = { DBSubnetGroupName: 'Net' }
    const create = (...SubnetIds: string[]) =>
      api.client.send(new CreateDBSubnetGroupCommand({ ...own, DBSubnetGroupDescription: 'd', SubnetIds }))
    await assert.rejects(create('subnet-1'), { name: 'DBSubnetGroupDoesNotCoverEnoughAZs' })
    await assert.rejects(create('net-1', 'subnet-2'), { name: 'InvalidSubnet' })
    const { DBSubnetGroup } = await create('subnet-1', 'subnet-2')
    assert.equal(DBSubnetGroup?.DBSubnetGroupName, 'net')
    assert.equal(DBSubnetGroup.SubnetGroupStatus, 'Complete')
    await api.client.send(new ModifyDBSubnetGroupCommand({ ...own, SubnetIds: ['subnet-3', 'subnet-4', 'subnet-5'] }))
    const { DBSubnetGroups: [found] = [] } = await api.client.send(new DescribeDBSubnetGroupsCommand(own))
    assert.deepEqual(
      found?.Subnets?.map(({ SubnetAvailabilityZone }) => SubnetAvailabilityZone?.Name),
      ['local-1a', 'local-1b', 'local-1c'],
    )
    await api.client.send(new DeleteDBSubnetGroupCommand(own))
    await assert.rejects(api.client.send(new DescribeDBSubnetGroupsCommand(own)), {
      name: 'DBSubnetGroupNotFoundFault',
      message: "DB subnet group 'net' does not exist.",
    })
  })
})
