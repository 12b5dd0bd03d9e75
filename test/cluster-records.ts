/** Records of a cluster and its instances, and what a host says of them, for tests of the control plane. */
import type { ClusterRecord, InstanceRecord } from '../src/cluster/cluster-records.ts'
import { defaultClusterSettings, defaultInstanceSettings } from '../src/cluster/defaults.ts'
import type { SeenInstance } from '../src/cluster/host-agent.ts'
import { type InstanceReport, readReport } from '../src/instance/instance-report.ts'
import type { VolumeId } from '../src/protocol/lsn.ts'

export const VERSION = '17.10'
export const PORT = 5432

export const clusterRecord = (change: Partial<ClusterRecord> = {}): ClusterRecord => ({
  name: 'demo',
  resourceId: 'cluster-ONE',
  createdMs: 0,
  engineVersion: VERSION,
  masterUser: 'postgres',
  masterPassword: 'secret',
  replicationPassword: 'secret',
  databaseName: null,
  settings: defaultClusterSettings(VERSION, PORT),
  pending: {},
  volume: 1 as VolumeId,
  branchOf: null,
  stage: 'live',
  hasData: true,
  wanted: 'running',
  stoppedMs: null,
  writer: 'demo-1',
  term: 1,
  failover: null,
  readerAddress: '127.20.9.9',
  ...change,
})

/** One that was available in the run that is wanted, unless the test says otherwise. */
export const instanceRecord = (name: string, change: Partial<InstanceRecord> = {}): InstanceRecord => ({
  name,
  resourceId: `db-${name}`,
  cluster: 'demo',
  createdMs: 0,
  zone: 'a',
  address: `127.20.0.${name.split('-').at(-1)}`,
  settings: defaultInstanceSettings(VERSION),
  pending: {},
  stage: 'live',
  run: 1,
  reason: 'created',
  ending: 'kill',
  wasAvailable: true,
  availableRun: change.run ?? 1,
  pendingReboot: [],
  ...change,
})

/** What an instance says that has nothing to complain about. */
export function reportOf(name: string, change: Partial<InstanceReport> = {}): InstanceReport {
  const report = readReport({ name, run: 1, role: 'reader', state: 'available', answeredMsAgo: 0 })
  if (report === undefined) throw new Error('this is no report')
  return { ...report, ...change }
}

export function seenInstance(report: InstanceReport, change: Partial<SeenInstance> = {}): SeenInstance {
  const { name, run } = report
  const times = { heardMs: 0, waitingSinceMs: null, availableSinceMs: 0 }
  return { name, run, phase: 'running', report, reason: null, ...times, ...change }
}
