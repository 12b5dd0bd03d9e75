/** What runs in a region, for `borealis status`. */

import type { ClusterRecord, InstanceRecord } from '../cluster/cluster-records.ts'
import { clusterStatus, isAvailable } from '../cluster/cluster-views.ts'
import type { SeenInstance } from '../cluster/host-agent.ts'
import { addressOf } from '../gateway/endpoint.ts'
import { volumeName } from '../protocol/lsn.ts'
import type { Region } from './region.ts'
import type { ClusterStatus, EndpointStatus, InstanceStatus, RegionStatus } from './region-status.ts'

function clusterOf(region: Region, cluster: ClusterRecord): ClusterStatus {
  const instances = region.store().instancesOf(cluster.name)
  const seen = region.seen()
  const writer = instances.find(({ name }) => name === cluster.writer)
  const status = clusterStatus(cluster, instances, seen)
  const report = writer === undefined ? undefined : seen.get(writer.name)?.report
  const { epoch = null, vdl = null, bytesUsed = null, storage = 'ok' } = report ?? {}
  return {
    name: cluster.name,
    engine: 'postgres',
    engineVersion: cluster.engineVersion,
    // Who looks here wants to know whether it can be used.
    status: status === 'available' && writer !== undefined ? instanceState(region, writer) : status,
    volume: { id: volumeName(cluster.volume), epoch, vdl, bytesUsed },
    storage,
    master: cluster.masterUser,
    branchOf: cluster.branchOf && { ...cluster.branchOf, volume: volumeName(cluster.branchOf.volume) },
  }
}

function instanceState(region: Region, instance: InstanceRecord): string {
  const seen = region.seen().get(instance.name)
  const cluster = region.store().cluster(instance.cluster)
  if (seen?.run === instance.run && seen.phase === 'running') return seen.report?.state ?? 'starting'
  if (seen?.phase === 'running') return 'stopping'
  if (cluster?.wanted === 'stopped') return 'stopped'
  if (instance.stage === 'deleting') return 'deleting'
  if (seen?.phase === 'gone' && seen.report?.state === 'fenced') return 'fenced'
  return seen?.phase === 'gone' ? 'restarting' : 'starting'
}

function reasonOf(seen: SeenInstance | undefined): string | null {
  if (seen?.report?.state === 'fenced') return 'another has opened its volume; it is taken back in a few seconds'
  return seen?.reason ?? seen?.report?.reason ?? null
}

function instanceOf(region: Region, cluster: ClusterRecord, instance: InstanceRecord): InstanceStatus {
  const seen = region.seen().get(instance.name)
  const report = seen?.phase === 'running' ? seen.report : null
  const role = instance.name === cluster.writer ? 'writer' : 'reader'
  return {
    name: instance.name,
    cluster: cluster.name,
    role,
    zone: instance.zone,
    state: instanceState(region, instance),
    reason: isAvailable(instance, region.seen()) ? null : reasonOf(seen),
    pid: report?.pid ?? null,
    serverPid: report?.serverPid ?? null,
    enginePid: report?.enginePid ?? null,
    host: instance.address,
    port: cluster.settings.port,
    lagMs: role === 'writer' ? 0 : (report?.lagMs ?? null),
    tier: instance.settings.promotionTier,
    instanceClass: instance.settings.instanceClass,
    run: instance.run,
    overlayBytes: report?.overlayBytes ?? null,
    connections: report?.connections ?? null,
  }
}

function endpointsOf(region: Region): EndpointStatus[] {
  return region.endpoints().map((endpoint) => {
    const { name, cluster, type, dnsName, port } = endpoint
    const host = region.names.hostOf(endpoint)
    return { name, cluster, type, host: host ?? dnsName, port, dnsName, address: addressOf(endpoint) ?? null }
  })
}

export function regionStatus(region: Region): RegionStatus {
  const clusters = region.store().clusters()
  return {
    api: region.api,
    home: region.home.root,
    pid: process.pid,
    state: region.state,
    clusters: clusters.map((each) => clusterOf(region, each)),
    instances: clusters.flatMap((cluster) =>
      region
        .store()
        .instancesOf(cluster.name)
        .map((each) => instanceOf(region, cluster, each)),
    ),
    storageNodes: region.zones().flatMap((zone) => zone.status()),
    endpoints: endpointsOf(region),
    names: region.names.status(),
  }
}
