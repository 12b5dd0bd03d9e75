/** Writes down, again and again, what the control plane knows of lags and volumes. */
import type { ControlPlane } from './control-plane.ts'
import type { MetricHistory, MetricUnit } from './metric-history.ts'

type Known = Pick<ControlPlane, 'clusters' | 'instances'>

/** What is not known now is not written down: a gap, not a zero. */
export function sample(plane: Known, history: MetricHistory, nowMs: number): void {
  const instances = plane.instances()
  for (const { name, volume } of plane.clusters()) {
    const of = (metric: string, unit: MetricUnit, value: number): void =>
      history.record(nowMs, { metric, unit, dimensions: { DBClusterIdentifier: name } }, value)
    if (volume.bytesUsed !== null) of('VolumeBytesUsed', 'Bytes', volume.bytesUsed)
    const lags = instances.flatMap(({ cluster, lagMs }) => (cluster === name && lagMs !== null ? [lagMs] : []))
    if (lags.length === 0) continue
    of('AuroraReplicaLagMaximum', 'Milliseconds', Math.max(...lags))
    of('AuroraReplicaLagMinimum', 'Milliseconds', Math.min(...lags))
  }
  for (const { name, lagMs } of instances) {
    if (lagMs === null) continue
    const dimensions = { DBInstanceIdentifier: name }
    history.record(nowMs, { metric: 'AuroraReplicaLag', unit: 'Milliseconds', dimensions }, lagMs)
  }
}

/** Six in each minute that CloudWatch's finest period has. */
const SAMPLE_MS = 10_000

/** @returns what stops it */
export function startSampling(plane: Known, history: MetricHistory): () => void {
  const timer = setInterval(() => sample(plane, history, Date.now()), SAMPLE_MS)
  timer.unref()
  return () => clearInterval(timer)
}
