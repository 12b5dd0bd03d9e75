import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Cluster, Instance } from './control-plane.ts'
import { DAY_MS, MetricHistory, type MetricSeries } from './metric-history.ts'
import { sample } from './metric-sampler.ts'

const MINUTE_MS = 60_000
const lag: MetricSeries = {
  metric: 'AuroraReplicaLag',
  unit: 'Milliseconds',
  dimensions: { DBInstanceIdentifier: 'demo-2' },
}

describe('what was measured', () => {
  it('is told by periods, those without a value left out', () => {
    const history = new MetricHistory()
    for (const [minute, value] of [
      [0, 4],
      [0.5, 6],
      [1, 1],
      [5, 9],
    ] as const)
      history.record(minute * MINUTE_MS, lag, value)
    assert.deepEqual(history.statistics(lag, 0, 10 * MINUTE_MS, MINUTE_MS), [
      { atMs: 0, count: 2, sum: 10, least: 4, most: 6 },
      { atMs: MINUTE_MS, count: 1, sum: 1, least: 1, most: 1 },
      { atMs: 5 * MINUTE_MS, count: 1, sum: 9, least: 9, most: 9 },
    ])
    assert.deepEqual(history.statistics(lag, 0, 5 * MINUTE_MS, 5 * MINUTE_MS), [
      { atMs: 0, count: 3, sum: 11, least: 1, most: 6 },
    ])
  })

  it('is kept for a day', () => {
    const history = new MetricHistory()
    for (let minute = 0; minute <= 24 * 60; minute++) history.record(minute * MINUTE_MS, lag, minute)
    assert.equal(history.statistics(lag, 0, Number.MAX_SAFE_INTEGER, MINUTE_MS).length, 24 * 60)
    assert.equal(history.series(DAY_MS).length, 1)
    assert.equal(history.series(3 * DAY_MS).length, 0)
  })

  it('is what the control plane knows, and nothing where it does not', () => {
    const history = new MetricHistory()
    const cluster = (name: string, bytesUsed: number | null) => ({ name, volume: { bytesUsed } }) as Cluster
    const instance = (name: string, lagMs: number | null) => ({ name, cluster: 'demo', lagMs }) as Instance
    const plane = {
      clusters: () => [cluster('demo', 8192), cluster('new', null)],
      instances: () => [instance('demo-1', null), instance('demo-2', 7), instance('demo-3', 3)],
    }
    sample(plane, history, 0)
    assert.deepEqual(
      history.series(0).map(({ metric, dimensions }) => [metric, ...Object.values(dimensions)].join(' ')),
      [
        'VolumeBytesUsed demo',
        'AuroraReplicaLagMaximum demo',
        'AuroraReplicaLagMinimum demo',
        'AuroraReplicaLag demo-2',
        'AuroraReplicaLag demo-3',
      ],
    )
    assert.equal(history.statistics(lag, 0, 1, MINUTE_MS)[0]?.sum, 7)
  })
})
