import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { describe, it } from 'node:test'
import { accessKeys, accountId, createAccessKey, credentialsText, migrateAccount, secretOf } from './account.ts'
import { arnOf, parseArn } from './arn.ts'
import { eventsBetween, migrateEvents, recordEvent } from './events.ts'
import {
  createParameterGroup,
  deleteParameterGroup,
  migrateParameterGroups,
  parameterGroup,
  parameterGroups,
  parameterValues,
  resetParameters,
  setParameters,
} from './parameter-groups.ts'
import {
  deleteSubnetGroup,
  migrateSubnetGroups,
  putSubnetGroup,
  subnetGroup,
  subnetGroups,
  zonesOfSubnets,
} from './subnet-groups.ts'
import { allTags, migrateTags, moveTags, putTags, removeTags, replaceTags, tagsOf } from './tags.ts'

const open = (migrate: (database: DatabaseSync) => void): DatabaseSync => {
  const database = new DatabaseSync(':memory:')
  migrate(database)
  // The next start does it again.
  migrate(database)
  return database
}

const DAY_MS = 86_400_000

describe('the account', () => {
  const database = open((each) => migrateAccount(each, 1))
  it('is made once, with one key', () => {
    assert.match(accountId(database), /^[1-9]\d{11}$/)
    assert.equal(accessKeys(database).length, 1)
  })
  it('has keys by their names, the oldest first', () => {
    const made = createAccessKey(database, 2)
    assert.match(made.id, /^AKIA[A-Z2-7]{16}$/)
    assert.equal(made.secret.length, 40)
    assert.equal(secretOf(database, made.id), made.secret)
    assert.equal(secretOf(database, 'AKIANOBODY'), undefined)
    assert.equal(accessKeys(database)[1]?.id, made.id)
  })
  it('is shown as a profile and as lines for a shell', () => {
    const place = { region: 'local-1', address: '127.0.0.1:8200' }
    const key = { id: 'AKIA1', secret: 's/+' }
    assert.match(credentialsText('profile', key, place), /^\[profile borealis\]\naws_access_key_id = AKIA1\n/)
    assert.match(credentialsText('env', key, place), /^export AWS_SECRET_ACCESS_KEY=s\/\+$/m)
  })
})

describe('ARNs', () => {
  const place = { region: 'local-1', account: '123456789012' }
  it('are read as they are written', () => {
    assert.equal(arnOf(place, 'cluster', 'demo'), 'arn:aws:rds:local-1:123456789012:cluster:demo')
    assert.deepEqual(parseArn(place, arnOf(place, 'cluster-pg', 'a')), { type: 'cluster-pg', name: 'a' })
  })
  it('of others are none of ours', () => {
    assert.equal(parseArn(place, 'arn:aws:rds:us-east-1:123456789012:cluster:demo'), undefined)
    assert.equal(parseArn(place, 'demo'), undefined)
  })
})

describe('parameter groups', () => {
  const database = open(migrateParameterGroups)
  const families = ['aurora-postgresql16', 'aurora-postgresql17']
  const group = { kind: 'cluster', name: 'mine', family: 'aurora-postgresql17', description: 'd' } as const

  it('have a default one for each family', () => {
    assert.deepEqual(
      parameterGroups(database, 'cluster', families).map(({ name }) => name),
      ['default.aurora-postgresql16', 'default.aurora-postgresql17'],
    )
  })
  it('keep values, of each kind apart', () => {
    createParameterGroup(database, group)
    setParameters(database, 'cluster', 'mine', [{ name: 'work_mem', value: '64', applyMethod: 'immediate' }])
    setParameters(database, 'cluster', 'mine', [{ name: 'work_mem', value: '65', applyMethod: 'pending-reboot' }])
    assert.deepEqual(parameterGroup(database, 'cluster', 'mine', families), group)
    assert.equal(parameterGroup(database, 'instance', 'mine', families), undefined)
    assert.deepEqual(parameterValues(database, 'cluster', 'mine').get('work_mem'), {
      name: 'work_mem',
      value: '65',
      applyMethod: 'pending-reboot',
    })
    resetParameters(database, 'cluster', 'mine', ['work_mem'])
    assert.equal(parameterValues(database, 'cluster', 'mine').size, 0)
  })
  it('take their values with them', () => {
    setParameters(database, 'cluster', 'mine', [{ name: 'work_mem', value: '64', applyMethod: 'immediate' }])
    deleteParameterGroup(database, 'cluster', 'mine')
    assert.equal(parameterGroup(database, 'cluster', 'mine', families), undefined)
    assert.equal(parameterValues(database, 'cluster', 'mine').size, 0)
  })
})

describe('subnet groups', () => {
  const database = open(migrateSubnetGroups)
  const zones = ['local-1a', 'local-1b', 'local-1c']
  it('have a default one in all zones', () => {
    const subnets = subnetGroup(database, 'default', zones)?.subnets ?? []
    assert.deepEqual(zonesOfSubnets(subnets, zones), zones)
  })
  it('are made, changed and deleted', () => {
    putSubnetGroup(database, { name: 'mine', description: 'd', subnets: ['subnet-1'] })
    putSubnetGroup(database, { name: 'mine', description: 'd', subnets: ['subnet-2'] })
    assert.deepEqual(subnetGroup(database, 'mine', zones)?.subnets, ['subnet-2'])
    deleteSubnetGroup(database, 'mine')
    assert.equal(subnetGroups(database, zones).length, 1)
  })
  it('put subnets whose names say nothing into one zone after the other', () => {
    assert.deepEqual(zonesOfSubnets(['subnet-1', 'subnet-local-1a', 'subnet-2'], zones), [
      'local-1a',
      'local-1a',
      'local-1b',
    ])
  })
})

describe('tags', () => {
  const database = open(migrateTags)
  it('are put, replaced, moved and removed by their keys', () => {
    putTags(database, 'a', [
      { key: 'k', value: '1' },
      { key: 'j', value: '2' },
    ])
    putTags(database, 'a', [{ key: 'k', value: '3' }])
    assert.deepEqual(tagsOf(database, 'a'), [
      { key: 'j', value: '2' },
      { key: 'k', value: '3' },
    ])
    moveTags(database, 'a', 'b')
    removeTags(database, 'b', ['j', 'nothing'])
    assert.deepEqual([...allTags(database)], [['b', [{ key: 'k', value: '3' }]]])
    replaceTags(database, 'b', [{ key: 'n', value: '' }])
    assert.deepEqual(tagsOf(database, 'b'), [{ key: 'n', value: '' }])
  })
})

describe('events', () => {
  const database = open(migrateEvents)
  it('are told in the order in which they came, for fourteen days', () => {
    const cluster = { name: 'demo', arn: 'arn:demo' }
    recordEvent(database, 0, 'clusterCreated', cluster)
    recordEvent(database, 13 * DAY_MS, 'failoverCompleted', cluster, { instance: 'demo-2' })
    assert.deepEqual(
      eventsBetween(database, 0, 13 * DAY_MS).map(({ id, message }) => [id, message]),
      [
        ['RDS-EVENT-0170', 'DB cluster created.'],
        ['RDS-EVENT-0071', 'Completed failover to DB instance: demo-2.'],
      ],
    )
    recordEvent(database, 15 * DAY_MS, 'clusterDeleted', cluster)
    assert.equal(eventsBetween(database, 0, 15 * DAY_MS).length, 2)
    assert.equal(eventsBetween(database, 14 * DAY_MS, 15 * DAY_MS)[0]?.categories[0], 'deletion')
  })
})
