import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { clusterRecord, instanceRecord } from '../../test/cluster-records.ts'
import { decided, nextRun } from './cluster-decisions.ts'

const NOW_MS = 5000
const wanted = {
  cluster: clusterRecord(),
  instances: [instanceRecord('demo-1', { run: 4 }), instanceRecord('demo-2'), instanceRecord('demo-3')],
}
const runs = ({ instances }: typeof wanted): number[] => instances.map(({ run }) => run)

describe('a decision', () => {
  it('to fail over changes writer, term and the runs of the two whose roles change', () => {
    const now = decided(wanted, { kind: 'failover', to: 'demo-2', why: 'it ended' }, NOW_MS)
    assert.deepEqual([now.cluster.writer, now.cluster.term], ['demo-2', 2])
    assert.deepEqual(now.cluster.failover, { from: 'demo-1', to: 'demo-2', why: 'it ended', sinceMs: NOW_MS })
    assert.deepEqual(
      now.instances.map(({ run }) => run),
      [5, 2, 1],
    )
    assert.deepEqual(now.instances.map(({ reason, ending }) => [reason, ending]).slice(0, 2), [
      ['failover', 'kill'],
      ['failover', 'kill'],
    ])
  })

  it('to fail over again before the first is done keeps who was the writer, and since when there is none', () => {
    const first = decided(wanted, { kind: 'failover', to: 'demo-2', why: 'it ended' }, NOW_MS)
    const { cluster, instances } = decided(first, { kind: 'failover', to: 'demo-3', why: 'it hangs' }, NOW_MS + 1)
    assert.deepEqual([cluster.writer, cluster.term], ['demo-3', 3])
    assert.deepEqual(cluster.failover, { from: 'demo-1', to: 'demo-3', why: 'it hangs', sinceMs: NOW_MS })
    assert.deepEqual(
      instances.map(({ run }) => run),
      [5, 3, 2],
    )
  })

  it('that it is done leaves runs as they are', () => {
    const now = decided(decided(wanted, { kind: 'failover', to: 'demo-2', why: '' }, 0), { kind: 'failed-over' }, 1)
    assert.equal(now.cluster.failover, null)
    assert.deepEqual([now.cluster.writer, now.cluster.term], ['demo-2', 2])
  })

  it('for another run concerns one instance', () => {
    const again = { kind: 'again', instance: 'demo-2', reason: 'failed', why: '', ending: 'kill' } as const
    assert.deepEqual(runs(decided(wanted, again, 0) as typeof wanted), [4, 2, 1])
  })

  it('that an instance was available says of a writer that there are data', () => {
    const before = {
      cluster: clusterRecord({ hasData: false }),
      instances: ['demo-1', 'demo-2'].map((name) => instanceRecord(name, { wasAvailable: false })),
    }
    const reader = decided(before, { kind: 'available', instance: 'demo-2' }, 0)
    assert.deepEqual(
      [reader.cluster.hasData, reader.instances.map((each) => each.wasAvailable)],
      [false, [false, true]],
    )
    const writer = decided(before, { kind: 'available', instance: 'demo-1' }, 0)
    assert.deepEqual([writer.cluster.hasData, writer.instances.map((each) => each.wasAvailable)], [true, [true, false]])
  })

  it('that one is removed, or that there is no writer', () => {
    const fewer = decided(wanted, { kind: 'removed', instance: 'demo-2' }, 0)
    assert.deepEqual(
      fewer.instances.map(({ name }) => name),
      ['demo-1', 'demo-3'],
    )
    const { cluster } = decided(wanted, { kind: 'no-writer' }, 0)
    assert.deepEqual([cluster.writer, cluster.term, cluster.failover], [null, 1, null])
  })

  it('changes nothing in place', () => {
    const before = structuredClone(wanted)
    decided(wanted, { kind: 'failover', to: 'demo-3', why: '' }, 0)
    nextRun(wanted.instances[0] as (typeof wanted.instances)[0], 'rebooted', 'stop')
    assert.deepEqual(wanted, before)
  })
})
