import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { FaultRequest, RequestedFault } from '../engine/postgres/aurora-requests.ts'
import type { InstanceReport } from '../instance/instance-report.ts'
import type { NodeFault } from '../storage/node-faults.ts'
import type { Seen } from './cluster-views.ts'
import { FaultRequests } from './fault-requests.ts'

const CLUSTER = { names: ['one', 'two', 'three'], writer: 'one' }

function setUp() {
  const told: [string, object][] = []
  const injected: [string, NodeFault][] = []
  const requests = new FaultRequests({
    tell: (instance, command) => told.push([instance, command]),
    nodes: () => ['a1', 'a2', 'b1'],
    inject: async (node, fault) => {
      if (node === 'b1') throw new Error('zone b does not answer')
      injected.push([node, fault])
    },
  })
  /** As an instance reports it, until it was answered. */
  const ask = async (fault: RequestedFault, id = 'x') => {
    const request: FaultRequest = { id, untilMs: Date.now() + 1000, fault }
    const report = { requests: [request] } as unknown as InstanceReport
    await requests.look([CLUSTER], new Map([['one', { report }]]) as unknown as Seen)
  }
  return { told, injected, ask }
}

describe('a fault that SQL asks for', () => {
  it('is made once, however often it is reported', async () => {
    const { told, injected, ask } = setUp()
    for (let i = 0; i < 3; i++) await ask({ kind: 'disk-failure', percent: 5, index: 1, seconds: 10 })
    assert.deepEqual(told, [['one', { do: 'taken', id: 'x', problem: null }]])
    assert.equal(injected.length, 1)
    const [[node, fault] = []] = injected
    assert.equal(node, 'a2')
    assert.equal(fault?.kind, 'failing-disk')
    assert.ok(Math.abs((fault?.untilMs ?? 0) - Date.now() - 10_000) < 5000)
  })

  it('of readers reaches those that are meant', async () => {
    const { told, ask } = setUp()
    const stall = { do: 'stall', percent: 50, seconds: 9 }
    const taken = (id: string, problem: string | null) => ['one', { do: 'taken', id, problem }]
    const fault = { kind: 'replica-failure', percent: 49.6, seconds: 9 } as const
    await ask({ ...fault, replica: null }, 'all')
    await ask({ ...fault, replica: 'three' }, 'three')
    await ask({ ...fault, replica: 'one' }, 'writer')
    assert.deepEqual(told, [
      ['two', stall],
      ['three', stall],
      taken('all', null),
      ['three', stall],
      taken('three', null),
      taken('writer', 'there is no reader one'),
    ])
  })

  it('that cannot be is answered with why', async () => {
    const { told, ask } = setUp()
    await ask({ kind: 'disk-congestion', percent: 5, index: 3, seconds: 10, msMin: 1, msMax: 2 }, 'far')
    await ask({ kind: 'disk-congestion', percent: 5, index: 2, seconds: 10, msMin: 1, msMax: 2 }, 'down')
    assert.deepEqual(told, [
      ['one', { do: 'taken', id: 'far', problem: 'index is between 0 and 2' }],
      ['one', { do: 'taken', id: 'down', problem: 'zone b does not answer' }],
    ])
  })
})
