import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import { clusterRecord, instanceRecord } from '../../test/cluster-records.ts'
import type { EndpointRecord } from './cluster-records.ts'
import { ControlStore } from './control-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'borealis-control-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0
const newFile = (): string => join(folder, `${++files}.sqlite`)

const endpoint: EndpointRecord = {
  name: 'analytics',
  resourceId: 'cluster-endpoint-ONE',
  cluster: 'demo',
  createdMs: 0,
  address: '127.20.9.8',
  type: 'READER',
  staticMembers: [],
  excludedMembers: [],
}

function filled(path = newFile()): ControlStore {
  const store = ControlStore.open(path)
  store.putCluster(clusterRecord())
  store.putInstance(instanceRecord('demo-2'))
  store.putInstance(instanceRecord('demo-1'))
  store.putEndpoint(endpoint)
  return store
}

const everything = (store: ControlStore): unknown => [store.clusters(), store.instances(), store.endpoints()]

describe('the control plane’s database', () => {
  it('gives back what was put, by name, also after it was closed and opened', () => {
    const path = newFile()
    const store = filled(path)
    assert.deepEqual(
      store.instancesOf('demo').map(({ name }) => name),
      ['demo-1', 'demo-2'],
    )
    assert.deepEqual([...store.addresses()].sort(), ['127.20.0.1', '127.20.0.2', '127.20.9.8', '127.20.9.9'])
    const before = everything(store)
    store.close()
    const again = ControlStore.open(path)
    assert.deepEqual(everything(again), before)
    again.close()
  })

  it('has what was committed when its process did not close it', () => {
    const path = newFile()
    const store = filled(path)
    store.database.exec('BEGIN IMMEDIATE')
    store.database.exec('DELETE FROM instance')
    // What another process would find now.
    const other = ControlStore.open(path)
    assert.deepEqual(other.instances(), store.instances())
    other.close()
    store.database.exec('ROLLBACK')
    store.close()
  })

  it('is for its owner only', () => {
    const path = newFile()
    filled(path).close()
    assert.equal(statSync(path).mode & 0o777, 0o600)
  })

  it('puts back file and memory when a transaction fails, whatever was in it', () => {
    const path = newFile()
    const store = filled(path)
    const before = everything(store)
    const fails = (): never => {
      throw new Error('no')
    }
    for (const body of [
      () => store.putCluster(clusterRecord({ term: 2, writer: 'demo-2' })),
      () => store.removeInstance('demo-1'),
      () => store.transaction(() => store.putInstance(instanceRecord('demo-3'))),
      () => store.renameCluster('demo', 'other'),
      () => store.removeEndpoint('analytics'),
    ]) {
      assert.throws(() => store.transaction(() => [body(), fails()]), { message: 'no' })
      assert.deepEqual(everything(store), before)
    }
    // And it goes on: nothing is left open.
    store.putCluster(clusterRecord({ term: 7 }))
    store.close()
    const again = ControlStore.open(path)
    assert.equal(again.cluster('demo')?.term, 7)
    assert.deepEqual(again.instances(), (before as unknown[])[1])
    again.close()
  })

  it('lets no instance be of a cluster that is not there, and forgets nothing for having tried', () => {
    const store = filled()
    const before = everything(store)
    assert.throws(() => store.putInstance(instanceRecord('lost', { cluster: 'nowhere' })), /FOREIGN KEY/)
    assert.throws(() => store.removeCluster('demo'), /FOREIGN KEY/)
    assert.deepEqual(everything(store), before)
    store.close()
  })

  it('renames a cluster with all that is its own', () => {
    const path = newFile()
    const store = filled(path)
    store.renameCluster('demo', 'other')
    for (const each of [store, ControlStore.open(path)]) {
      assert.equal(each.cluster('demo'), undefined)
      assert.deepEqual(each.cluster('other'), clusterRecord({ name: 'other' }))
      assert.deepEqual(
        each.instancesOf('other').map(({ name }) => name),
        ['demo-1', 'demo-2'],
      )
      assert.deepEqual(each.endpointsOf('other'), [{ ...endpoint, cluster: 'other' }])
      each.close()
    }
  })

  it('removes a cluster that has no instance any more, with its endpoints', () => {
    const store = filled()
    for (const name of ['demo-1', 'demo-2']) store.removeInstance(name)
    store.removeCluster('demo')
    assert.deepEqual(everything(store), [[], [], []])
    store.close()
  })

  it('of a newer version is left alone', () => {
    const path = newFile()
    filled(path).close()
    const database = new DatabaseSync(path)
    database.exec('PRAGMA user_version = 99')
    database.close()
    assert.throws(() => ControlStore.open(path), { code: 'UnsupportedFormat' })
  })
})
