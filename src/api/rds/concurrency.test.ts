import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  AddTagsToResourceCommand,
  CreateDBClusterCommand,
  DeleteDBClusterCommand,
  DescribeDBClustersCommand,
  ListTagsForResourceCommand,
  RDSClient,
} from '@aws-sdk/client-rds'
import { startApi } from '../../../test/api-server.ts'

const made = (DBClusterIdentifier: string) =>
  new CreateDBClusterCommand({
    DBClusterIdentifier,
    Engine: 'aurora-postgresql',
    MasterUsername: 'postgres',
    MasterUserPassword: 'correct-horse',
  })

it('200 descriptions at once, while clusters come and go, are all answered and none is torn', async () => {
  await using api = await startApi({ settleMs: 1 })
  for (let i = 0; i < 10; i++) await api.client.send(made(`stays-${i}`))
  const changes = (async () => {
    for (let i = 0; i < 10; i++) {
      await api.client.send(made(`goes-${i}`))
      await api.client.send(new DeleteDBClusterCommand({ DBClusterIdentifier: `goes-${i}`, SkipFinalSnapshot: true }))
    }
  })()
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => api.client.send(new DescribeDBClustersCommand({}))),
  )
  await changes
  for (const { DBClusters = [] } of answers) {
    const names = DBClusters.map(({ DBClusterIdentifier = '' }) => DBClusterIdentifier)
    assert.equal(names.filter((name) => name.startsWith('stays-')).length, 10)
    assert.deepEqual(names, names.toSorted())
    for (const { DbClusterResourceId, Status } of DBClusters) assert.ok(DbClusterResourceId && Status)
  }
  assert.deepEqual(api.log, [])
})

it('of many who make the same, one does; of many who add to the same, all do', async () => {
  await using api = await startApi()
  const { endpoint, credentials } = api
  const others = Array.from(
    { length: 5 },
    () => new RDSClient({ endpoint, credentials, region: 'local-1', maxAttempts: 1 }),
  )
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => (others[i % others.length] ?? api.client).send(made('one'))),
  )
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  for (const result of results)
    if (result.status === 'rejected') assert.equal(result.reason.name, 'DBClusterAlreadyExistsFault')
  const ResourceName = `arn:aws:rds:local-1:${api.plane.account}:cluster:one`
  await Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      (others[i % others.length] ?? api.client).send(
        new AddTagsToResourceCommand({ ResourceName, Tags: [{ Key: `key-${i}`, Value: '' }] }),
      ),
    ),
  )
  const { TagList } = await api.client.send(new ListTagsForResourceCommand({ ResourceName }))
  assert.equal(TagList?.length, 50)
  const over = new AddTagsToResourceCommand({ ResourceName, Tags: [{ Key: 'one-more', Value: '' }] })
  await assert.rejects(api.client.send(over), { name: 'InvalidParameterValue' })
  for (const client of others) client.destroy()
})
