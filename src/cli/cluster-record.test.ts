import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lsn, volumeId } from '../protocol/lsn.ts'
import { MemoryRegistry } from '../volume/memory-registry.ts'
import {
  type ClusterRecord,
  changeCluster,
  createCluster,
  findCluster,
  isClusterName,
  listClusters,
  removeCluster,
} from './cluster-record.ts'

const RECORD: ClusterRecord = {
  name: 'demo',
  engine: 'postgres',
  engineVersion: '17.10',
  stage: 'creating',
  volume: null,
  branchOf: null,
  master: 'postgres',
  writer: { name: 'demo-1', zone: 'a', address: '127.20.0.2', port: 5432 },
}

describe('clusters in the registry', () => {
  it('are there once, change, and go', async () => {
    const registry = new MemoryRegistry()
    assert.equal(await createCluster(registry, RECORD), true)
    assert.equal(await createCluster(registry, RECORD), false)
    assert.deepEqual(await findCluster(registry, 'demo'), RECORD)
    const volume = volumeId(0x0a1b2c3d)
    const live = await changeCluster(registry, 'demo', (record) => ({ ...record, stage: 'live', volume }))
    assert.deepEqual(await listClusters(registry), [live])
    assert.equal(live.volume, volume)
    await removeCluster(registry, 'demo')
    assert.equal(await findCluster(registry, 'demo'), undefined)
  })

  it('know what they were branched from', async () => {
    const registry = new MemoryRegistry()
    const branchOf = { cluster: 'demo', volume: volumeId(7), lsn: lsn(2 ** 40 + 1) }
    await createCluster(registry, { ...RECORD, branchOf })
    assert.deepEqual(await findCluster(registry, 'demo'), { ...RECORD, branchOf })
  })

  it('are read as they were written before there were branches', async () => {
    const registry = new MemoryRegistry()
    const { branchOf: _, ...before } = RECORD
    await registry.cas('cluster/demo', 0, JSON.stringify({ format: 1, ...before, volume: 'vol-00000007' }))
    assert.deepEqual(await findCluster(registry, 'demo'), { ...RECORD, volume: volumeId(7) })
  })

  it('have names as RDS allows them', () => {
    for (const name of ['a', 'demo', 'demo-2', 'a1-b2']) assert.equal(isClusterName(name), true, name)
    for (const name of ['', '1a', 'a-', 'a--b', 'A', 'a_b', '../a', 'a'.repeat(61)])
      assert.equal(isClusterName(name), false, name)
  })
})
