import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clusterRecord, instanceRecord, reportOf, seenInstance } from '../../test/cluster-records.ts'
import type { InstanceRecord } from './cluster-records.ts'
import { clusterStatus, clusterView, endpointView, instanceStatus, instanceView, isAvailable } from './cluster-views.ts'
import type { SeenInstance } from './host-agent.ts'

const cluster = clusterRecord()
const writer = instanceRecord('demo-1')
const reader = instanceRecord('demo-2')
const both = [writer, reader]
const seenOf = (...each: readonly SeenInstance[]): ReadonlyMap<string, SeenInstance> =>
  new Map(each.map((one) => [one.name, one]))
const available = seenOf(seenInstance(reportOf('demo-1', { role: 'writer' })), seenInstance(reportOf('demo-2')))
const nothing = seenOf()

const names = {
  writer: (name: string) => `${name}.writer`,
  reader: (name: string) => `${name}.reader`,
  custom: (name: string) => `${name}.custom`,
  instance: (name: string) => `${name}.instance`,
}

describe('an instance is available', () => {
  it('when the run that is wanted says so, and not when another does', () => {
    assert.equal(isAvailable(reader, available), true)
    assert.equal(isAvailable({ ...reader, run: 2 }, available), false)
  })
  it('not when what it said last is all that is left of it', () => {
    assert.equal(isAvailable(reader, seenOf(seenInstance(reportOf('demo-2'), { phase: 'gone' }))), false)
    assert.equal(isAvailable(reader, nothing), false)
  })
})

describe('the status of an instance', () => {
  const waiting = (change: Partial<InstanceRecord>) =>
    instanceStatus(cluster, { ...reader, run: 2, ...change }, nothing)
  it('is available when it is', () => assert.equal(instanceStatus(cluster, reader, available), 'available'))
  it('is creating until it was available once, however often it was started', () => {
    assert.equal(waiting({ wasAvailable: false, reason: 'created' }), 'creating')
    assert.equal(waiting({ wasAvailable: false, reason: 'failed' }), 'creating')
  })
  it('says why it is started again', () => {
    const reasons = ['started', 'rebooted', 'failover', 'failed', 'rebuilt', 'modified'] as const
    assert.deepEqual(
      reasons.map((reason) => waiting({ reason })),
      ['starting', 'rebooting', 'rebooting', 'rebooting', 'rebooting', 'modifying'],
    )
  })
  it('is rebooting while its engine recovers in place', () => {
    const recovering = seenOf(seenInstance(reportOf('demo-2', { state: 'recovering' })))
    assert.equal(instanceStatus(cluster, { ...reader, reason: 'started' }, recovering), 'rebooting')
  })
  it('is that of a cluster that stops or goes', () => {
    const stopped = clusterRecord({ wanted: 'stopped' })
    assert.equal(instanceStatus(stopped, reader, available), 'stopping')
    assert.equal(instanceStatus(stopped, reader, nothing), 'stopped')
    assert.equal(instanceStatus(clusterRecord({ stage: 'deleting' }), reader, available), 'deleting')
    assert.equal(instanceStatus(cluster, { ...reader, stage: 'deleting' }, available), 'deleting')
  })
})

describe('the status of a cluster', () => {
  const status = (change: Parameters<typeof clusterRecord>[0], seen = available) =>
    clusterStatus(clusterRecord(change), both, seen)
  it('is available, also while a reader, or the writer, is not: it may be changed', () => {
    assert.equal(status({}), 'available')
    assert.equal(status({}, nothing), 'available')
  })
  it('is failing-over from one writer to another, and not while the first is made', () => {
    const failover = { from: 'demo-1', to: 'demo-2', sinceMs: 0, why: '' }
    assert.equal(status({ failover }), 'failing-over')
    assert.equal(status({ failover: { ...failover, from: null } }), 'available')
  })
  it('is starting until the writer is available', () => {
    const started = [{ ...writer, reason: 'started' } as const, reader]
    assert.equal(clusterStatus(cluster, started, nothing), 'starting')
    assert.equal(clusterStatus(cluster, started, available), 'available')
  })
  it('is stopping while something runs, then stopped', () => {
    assert.equal(status({ wanted: 'stopped' }), 'stopping')
    assert.equal(status({ wanted: 'stopped' }, nothing), 'stopped')
  })
  it('is what it is being made or deleted as', () => {
    assert.equal(status({ stage: 'creating' }), 'creating')
    assert.equal(status({ stage: 'deleting', wanted: 'stopped' }), 'deleting')
  })
})

describe('views', () => {
  it('of a cluster have its endpoints, and what the writer knows of the volume', () => {
    const seen = seenOf(seenInstance(reportOf('demo-1', { role: 'writer', bytesUsed: 42 })))
    const view = clusterView(cluster, both, seen, { names, zones: ['a', 'b', 'c'] })
    assert.deepEqual(
      [view.writerEndpoint, view.readerEndpoint, view.volume.bytesUsed],
      ['demo.writer', 'demo.reader', 42],
    )
    assert.equal(clusterView(clusterRecord({ writer: null }), [], seen, { names, zones: [] }).volume.bytesUsed, null)
  })
  it('of a stopped cluster say when it is started again', () => {
    const stopped = clusterRecord({ wanted: 'stopped', stoppedMs: 1000 })
    assert.equal(clusterView(stopped, [], nothing, { names, zones: [] }).restartsMs, 1000 + 7 * 86_400_000)
  })
  it('of an instance have the role that is wanted, and figures of the run that is wanted only', () => {
    const seen = seenOf(seenInstance(reportOf('demo-2', { lagMs: 3 })))
    const options = { region: 'local-1', names, certificateUntilMs: 9 }
    const view = instanceView(cluster, reader, seen, options)
    assert.deepEqual([view.role, view.lagMs, view.certificateValidUntilMs], ['reader', 3, 9])
    assert.equal(instanceView(cluster, { ...reader, run: 2 }, seen, options).lagMs, null)
    assert.equal(instanceView(clusterRecord({ writer: 'demo-2' }), reader, seen, options).role, 'writer')
  })
  it('of an instance have an endpoint once it was available', () => {
    const options = { region: 'local-1', names, certificateUntilMs: null }
    assert.deepEqual(instanceView(cluster, reader, nothing, options).endpoint, { host: 'demo-2.instance', port: 5432 })
    assert.equal(instanceView(cluster, { ...reader, wasAvailable: false }, nothing, options).endpoint, null)
  })
  it('of a custom endpoint have its host name', () => {
    const lists = { type: 'ANY', staticMembers: ['demo-1'], excludedMembers: [] } as const
    const record = { name: 'e', resourceId: 'r', cluster: 'demo', createdMs: 0, address: '127.20.9.8', ...lists }
    const { host, staticMembers, ...rest } = endpointView(record, names)
    assert.deepEqual([host, staticMembers, 'address' in rest], ['e.custom', ['demo-1'], false])
  })
})
