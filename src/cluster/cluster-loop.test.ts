import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { clusterRecord, instanceRecord } from '../../test/cluster-records.ts'
import { until } from '../../test/waiting.ts'
import { ClusterLoops, type LoopsWorld } from './cluster-loops.ts'
import type { Decision } from './cluster-plan.ts'
import { ControlStore } from './control-store.ts'
import { type HostAgent, type InstanceOrder, PLACE_TAKEN } from './host-agent.ts'

/** A region with one cluster, whose hosts do what the test says. */
class Region implements AsyncDisposable {
  readonly store = ControlStore.open(':memory:')
  readonly complaints: string[] = []
  readonly decisions: Decision[] = []
  readonly started: string[] = []
  readonly loops: ClusterLoops

  constructor(does: Partial<Pick<HostAgent, 'start' | 'remove'>> & Partial<LoopsWorld>) {
    const agent: Partial<HostAgent> = {
      seen: () => new Map(),
      onChange: () => {},
      start: (order: InstanceOrder) => {
        this.started.push(order.name)
        return does.start?.(order) ?? Promise.resolve()
      },
      remove: async (name) => does.remove?.(name),
    }
    this.loops = new ClusterLoops({
      store: this.store,
      agent: agent as HostAgent,
      makeVolume: async () => {},
      removeVolume: async () => {},
      order: async (_, instance) => ({ name: instance.name }) as InstanceOrder,
      storageAnswersSinceMs: () => null,
      newAddress: () => '127.20.7.7',
      onDecision: (_, decision) => this.decisions.push(decision),
      onChange: () => {},
      complain: (what, error) => this.complaints.push(`${what}: ${error instanceof Error ? error.message : error}`),
      ...does,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.loops.stop()
    this.store.close()
  }
}

const fails = () => Promise.reject(new Error('no'))

describe('the loop of a cluster', () => {
  it('makes the volume, then starts the writer, and readers when there is something to read', async () => {
    await using region = new Region({})
    region.store.putCluster(clusterRecord({ stage: 'creating', hasData: false }))
    for (const name of ['demo-1', 'demo-2']) region.store.putInstance(instanceRecord(name, { wasAvailable: false }))
    region.loops.start()
    await until('the volume is there', () => region.store.cluster('demo')?.stage === 'live')
    await until('the writer is started', () => region.started.length > 0)
    assert.deepEqual(new Set(region.started), new Set(['demo-1']))
  })

  it('does not do again at once what it could not do, whatever that is', async () => {
    const sketches = [
      { cluster: clusterRecord({ stage: 'creating' }), does: { makeVolume: fails }, what: 'make-volume #volume' },
      { cluster: clusterRecord({ stage: 'deleting' }), does: { removeVolume: fails }, what: 'remove-volume #volume' },
      { cluster: clusterRecord(), does: { order: fails }, what: 'start demo-1', instance: instanceRecord('demo-1') },
      {
        cluster: clusterRecord(),
        does: { remove: fails },
        what: 'remove demo-1',
        instance: instanceRecord('demo-1', { stage: 'deleting' }),
      },
    ]
    await Promise.all(
      sketches.map(async ({ cluster, does, what, instance }) => {
        await using region = new Region(does)
        region.store.putCluster(cluster)
        if (instance !== undefined) region.store.putInstance(instance)
        region.loops.start()
        await pause(1500)
        const { length } = region.complaints
        assert(length === 1 || length === 2, `${what}: ${length} times in 1.5 s`)
        assert.equal(region.complaints[0], `cluster demo: ${what}: no`)
      }),
    )
  })

  it('gives an instance another address when somebody else listens on its own', async () => {
    const taken = Object.assign(new Error('in use'), { name: PLACE_TAKEN })
    await using region = new Region({ start: () => Promise.reject(taken) })
    region.store.putCluster(clusterRecord())
    region.store.putInstance(instanceRecord('demo-1'))
    region.loops.start()
    await until('it has another', () => region.store.instance('demo-1')?.address === '127.20.7.7')
  })

  it('tells that a cluster is gone, and ends', async () => {
    let isTold = false
    await using region = new Region({
      onChange: () => {
        isTold = region.store.cluster('demo') === undefined
      },
    })
    region.store.putCluster(clusterRecord({ stage: 'deleting' }))
    region.store.putInstance(instanceRecord('demo-1', { stage: 'deleting' }))
    region.loops.start()
    await until('it is told that it is gone', () => isTold)
    assert.deepEqual(region.decisions, [{ kind: 'removed', instance: 'demo-1' }])
  })

  it('goes on under another name, and does nothing twice for that', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    await using region = new Region({ start: () => promise })
    region.store.putCluster(clusterRecord())
    region.store.putInstance(instanceRecord('demo-1'))
    region.loops.start()
    await until('it is being started', () => region.started.length === 1)
    region.store.renameCluster('demo', 'other')
    region.loops.rename('demo', 'other')
    region.loops.wake('other')
    await pause(500)
    assert.deepEqual(region.started, ['demo-1'])
    resolve()
    // The host has not seen it: so it is started again, by the loop of the new name.
    await until('it is started again', () => region.started.length > 1)
  })
})
