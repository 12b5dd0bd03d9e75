/**
 * A control plane without engines, for tests of the API: it keeps what is wanted, and a moment later says that it is so.
 * Its refusals are those of `src/cluster/control-plane.ts`.
 */
import { randomInt } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { accountId, migrateAccount } from '../src/cluster/account.ts'
import { arnOf } from '../src/cluster/arn.ts'
import {
  type Cluster,
  type ClusterChange,
  type ClusterSpec,
  type ClusterStatus,
  type ControlPlane,
  ControlPlaneError,
  type CustomEndpoint,
  type Instance,
  type InstanceChange,
  type InstanceSpec,
  type InstanceStatus,
  type LogFile,
} from '../src/cluster/control-plane.ts'
import type { EventKind } from '../src/cluster/event-catalog.ts'
import { migrateEvents, recordEvent } from '../src/cluster/events.ts'
import { migrateParameterGroups } from '../src/cluster/parameter-groups.ts'
import { migrateSubnetGroups } from '../src/cluster/subnet-groups.ts'
import { migrateTags, moveTags } from '../src/cluster/tags.ts'
import { createAuthority } from '../src/engine/certificates.ts'

const CLUSTERS_MAX = 40
const ENDPOINTS_MAX = 5
const WEEK_MS = 7 * 86_400_000

const identifier = (prefix: string): string =>
  prefix + Array.from({ length: 26 }, () => randomInt(36).toString(36).toUpperCase()).join('')

interface State {
  readonly clusters: Map<string, Cluster>
  readonly instances: Map<string, Instance>
  readonly endpoints: Map<string, CustomEndpoint>
}

const copyOf = ({ clusters, instances, endpoints }: State): State => ({
  clusters: new Map(clusters),
  instances: new Map(instances),
  endpoints: new Map(endpoints),
})

const byName = <T extends { readonly name: string }>(items: ReadonlyMap<string, T>): T[] =>
  [...items.values()].sort((a, b) => (a.name < b.name ? -1 : 1))

const defined = <T extends object>(change: T): T =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as T

export interface MemoryOptions {
  /** How long anything takes. */
  readonly settleMs?: number
  readonly clustersMax?: number
  readonly now?: () => number
}

export class MemoryControlPlane implements ControlPlane {
  readonly region = 'local-1'
  readonly hash = 'k3j9x0q2m4zt'
  readonly zones = ['local-1a', 'local-1b', 'local-1c']
  readonly database = new DatabaseSync(':memory:')
  readonly account: string
  readonly authorityCertificate: string
  /** What `parameterGroupChanged` was told. */
  readonly groupChanges: { readonly kind: string; readonly group: string; readonly needsReboot: boolean }[] = []
  /** By the instance and the name of the file. */
  readonly logs = new Map<string, Buffer>()
  readonly #settleMs: number
  readonly #clustersMax: number
  readonly #now: () => number
  readonly #timers = new Set<NodeJS.Timeout>()
  #state: State = { clusters: new Map(), instances: new Map(), endpoints: new Map() }

  constructor({ settleMs = 20, clustersMax = CLUSTERS_MAX, now = Date.now }: MemoryOptions = {}) {
    this.#settleMs = settleMs
    this.#clustersMax = clustersMax
    this.#now = now
    migrateAccount(this.database, now())
    for (const migrate of [migrateParameterGroups, migrateSubnetGroups, migrateTags, migrateEvents])
      migrate(this.database)
    this.account = accountId(this.database)
    this.authorityCertificate = createAuthority('Borealis tests', { nowMs: now(), days: 1 }).certificate
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer)
    this.database.close()
  }

  transaction<T>(body: () => T): T {
    if (this.database.isTransaction) return body()
    const before = copyOf(this.#state)
    this.database.exec('BEGIN')
    try {
      const result = body()
      this.database.exec('COMMIT')
      return result
    } catch (error) {
      this.database.exec('ROLLBACK')
      this.#state = before
      throw error
    }
  }

  #later(change: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      change()
    }, this.#settleMs)
    this.#timers.add(timer)
  }

  #tell(kind: EventKind, type: 'cluster' | 'db', name: string, details: Record<string, string> = {}): void {
    recordEvent(this.database, this.#now(), kind, { name, arn: arnOf(this, type, name) }, details)
  }

  clusters(): readonly Cluster[] {
    return byName(this.#state.clusters)
  }

  cluster(name: string): Cluster | undefined {
    return this.#state.clusters.get(name)
  }

  instances(): readonly Instance[] {
    return byName(this.#state.instances)
  }

  instancesOf(cluster: string): readonly Instance[] {
    return this.instances().filter((instance) => instance.cluster === cluster)
  }

  instance(name: string): Instance | undefined {
    return this.#state.instances.get(name)
  }

  customEndpoints(): readonly CustomEndpoint[] {
    return byName(this.#state.endpoints)
  }

  customEndpoint(name: string): CustomEndpoint | undefined {
    return this.#state.endpoints.get(name)
  }

  #existingCluster(name: string, ...statuses: readonly ClusterStatus[]): Cluster {
    const cluster = this.cluster(name)
    if (cluster === undefined) throw new ControlPlaneError('ClusterNotFound', `DBCluster ${name} not found.`)
    if (statuses.length > 0 && !statuses.includes(cluster.status))
      throw new ControlPlaneError(
        'ClusterState',
        `DB cluster ${name} is ${cluster.status}, not ${statuses.join(' or ')}.`,
      )
    return cluster
  }

  #existingInstance(name: string, ...statuses: readonly InstanceStatus[]): Instance {
    const instance = this.instance(name)
    if (instance === undefined) throw new ControlPlaneError('InstanceNotFound', `DBInstance ${name} not found.`)
    if (statuses.length > 0 && !statuses.includes(instance.status))
      throw new ControlPlaneError(
        'InstanceState',
        `Instance ${name} is ${instance.status}, not ${statuses.join(' or ')}.`,
      )
    return instance
  }

  #putCluster(cluster: Cluster): Cluster {
    this.#state.clusters.set(cluster.name, cluster)
    return cluster
  }

  #putInstance(instance: Instance): Instance {
    this.#state.instances.set(instance.name, instance)
    return instance
  }

  #settleCluster(
    name: string,
    status: ClusterStatus,
    then: (cluster: Cluster) => Cluster = (cluster) => cluster,
  ): void {
    this.#later(() => {
      const cluster = this.cluster(name)
      if (cluster !== undefined && cluster.status !== 'deleting') this.#putCluster({ ...then(cluster), status })
    })
  }

  #settleInstance(name: string, status: InstanceStatus, then: (instance: Instance) => Instance = (each) => each): void {
    this.#later(() => {
      const instance = this.instance(name)
      if (instance !== undefined && instance.status !== 'deleting') this.#putInstance({ ...then(instance), status })
    })
  }

  createCluster({ masterPassword: _, zones, ...spec }: ClusterSpec): Cluster {
    if (this.cluster(spec.name)) throw new ControlPlaneError('ClusterExists', 'DB Cluster already exists')
    if (this.#state.clusters.size >= this.#clustersMax)
      throw new ControlPlaneError('ClusterQuota', `There are ${this.#clustersMax} clusters, which is the quota.`)
    const host = (prefix: string): string => `${spec.name}.${prefix}${this.hash}.${this.region}.rds.borealis.internal`
    this.#settleCluster(spec.name, 'available')
    this.#tell('clusterCreated', 'cluster', spec.name)
    return this.#putCluster({
      ...spec,
      resourceId: identifier('cluster-'),
      createdMs: this.#now(),
      status: 'creating',
      zones: zones ?? this.zones,
      pending: {},
      writerEndpoint: host('cluster-'),
      readerEndpoint: host('cluster-ro-'),
      volume: { bytesUsed: 0, earliestRestorableMs: this.#now(), latestRestorableMs: this.#now() },
      restartsMs: null,
    })
  }

  modifyCluster(name: string, change: ClusterChange, _applyImmediately: boolean): Cluster {
    const cluster = this.#existingCluster(name, 'available', 'stopped')
    const { newName, engineVersion: _version, masterPassword, ...settings } = defined(change)
    if (newName !== undefined && this.cluster(newName))
      throw new ControlPlaneError('ClusterExists', 'DB Cluster already exists')
    if (newName !== undefined) {
      this.#later(() => {
        const renamed = this.cluster(name)
        if (renamed === undefined) return
        this.#state.clusters.delete(name)
        this.#putCluster({ ...renamed, name: newName, status: 'available' })
        for (const instance of this.instancesOf(name)) this.#putInstance({ ...instance, cluster: newName })
        moveTags(this.database, arnOf(this, 'cluster', name), arnOf(this, 'cluster', newName))
      })
    } else this.#settleCluster(name, cluster.status)
    const status = newName ? 'renaming' : masterPassword ? 'resetting-master-credentials' : cluster.status
    return this.#putCluster({ ...cluster, status, settings: { ...cluster.settings, ...settings } })
  }

  deleteCluster(name: string): Cluster {
    const cluster = this.#existingCluster(name, 'available', 'stopped', 'creating')
    if (cluster.settings.deletionProtection) throw new ControlPlaneError('DeletionProtected', `${name} is protected.`)
    this.#later(() => {
      this.#state.clusters.delete(name)
      this.#tell('clusterDeleted', 'cluster', name)
    })
    return this.#putCluster({ ...cluster, status: 'deleting' })
  }

  startCluster(name: string): Cluster {
    const cluster = this.#existingCluster(name, 'stopped')
    this.#settleCluster(name, 'available')
    for (const instance of this.instancesOf(name)) {
      this.#putInstance({ ...instance, status: 'starting' })
      this.#settleInstance(instance.name, 'available')
    }
    return this.#putCluster({ ...cluster, status: 'starting', restartsMs: null })
  }

  stopCluster(name: string): Cluster {
    const cluster = this.#existingCluster(name, 'available')
    this.#settleCluster(name, 'stopped')
    for (const instance of this.instancesOf(name)) {
      this.#putInstance({ ...instance, status: 'stopping' })
      this.#settleInstance(instance.name, 'stopped')
    }
    return this.#putCluster({ ...cluster, status: 'stopping', restartsMs: this.#now() + WEEK_MS })
  }

  failoverCluster(name: string, target: string | null): Cluster {
    const cluster = this.#existingCluster(name, 'available')
    const readers = this.instancesOf(name).filter(({ role }) => role === 'reader')
    const [first] = readers.toSorted((a, b) => a.settings.promotionTier - b.settings.promotionTier)
    const chosen = target ?? first?.name
    if (chosen === undefined)
      throw new ControlPlaneError('ClusterState', `Cluster ${name} has no reader to fail over to.`)
    this.#existingInstance(chosen, 'available')
    this.#settleCluster(name, 'available')
    this.#later(() => {
      for (const instance of this.instancesOf(name))
        this.#putInstance({ ...instance, role: instance.name === chosen ? 'writer' : 'reader' })
      this.#tell('failoverCompleted', 'cluster', name, { instance: chosen })
    })
    return this.#putCluster({ ...cluster, status: 'failing-over' })
  }

  createInstance({ zone, ...spec }: InstanceSpec): Instance {
    const cluster = this.#existingCluster(spec.cluster)
    if (cluster.status === 'deleting')
      throw new ControlPlaneError('ClusterState', `DB cluster ${spec.cluster} is deleting.`)
    if (this.instance(spec.name)) throw new ControlPlaneError('InstanceExists', 'DB instance already exists')
    const others = this.instancesOf(spec.cluster)
    const host = `${spec.name}.${this.hash}.${this.region}.rds.borealis.internal`
    this.#settleInstance(spec.name, 'available', (instance) => ({
      ...instance,
      endpoint: { host, port: cluster.settings.port },
      certificateValidUntilMs: this.#now() + WEEK_MS,
    }))
    this.#tell('instanceCreated', 'db', spec.name)
    return this.#putInstance({
      ...spec,
      resourceId: identifier('db-'),
      createdMs: this.#now(),
      status: 'creating',
      role: others.length === 0 ? 'writer' : 'reader',
      zone: zone ?? this.zones[others.length % this.zones.length] ?? '',
      engineVersion: cluster.engineVersion,
      pending: {},
      parameterStatus: 'in-sync',
      clusterParameterStatus: 'in-sync',
      endpoint: null,
      certificateValidUntilMs: null,
      lagMs: others.length === 0 ? null : 7,
    })
  }

  modifyInstance(name: string, change: InstanceChange, applyImmediately: boolean): Instance {
    const instance = this.#existingInstance(name, 'available', 'stopped')
    const { newName, instanceClass, ...settings } = defined(change)
    if (newName !== undefined && this.instance(newName))
      throw new ControlPlaneError('InstanceExists', 'DB instance already exists')
    const changed = { ...instance, settings: { ...instance.settings, ...settings } }
    if (instanceClass === undefined) return this.#putInstance(changed)
    const pending = { ...instance.pending, instanceClass }
    if (!applyImmediately) return this.#putInstance({ ...changed, pending })
    this.#settleInstance(name, 'available', (each) => ({
      ...each,
      pending: {},
      settings: { ...each.settings, instanceClass },
    }))
    return this.#putInstance({ ...changed, pending, status: 'modifying' })
  }

  deleteInstance(name: string): Instance {
    const instance = this.#existingInstance(name)
    if (instance.status === 'deleting')
      throw new ControlPlaneError('InstanceState', `Instance ${name} is already being deleted.`)
    this.#later(() => {
      this.#state.instances.delete(name)
      this.#tell('instanceDeleted', 'db', name)
    })
    return this.#putInstance({ ...instance, status: 'deleting' })
  }

  rebootInstance(name: string, _failover: boolean): Instance {
    const instance = this.#existingInstance(name, 'available')
    this.#settleInstance(name, 'available', (each) => ({
      ...each,
      parameterStatus: 'in-sync',
      clusterParameterStatus: 'in-sync',
    }))
    return this.#putInstance({ ...instance, status: 'rebooting' })
  }

  createCustomEndpoint(
    spec: Pick<CustomEndpoint, 'name' | 'cluster' | 'type' | 'staticMembers' | 'excludedMembers'>,
  ): CustomEndpoint {
    this.#existingCluster(spec.cluster, 'available')
    const others = this.customEndpoints().filter(({ cluster }) => cluster === spec.cluster)
    if (others.length >= ENDPOINTS_MAX)
      throw new ControlPlaneError(
        'EndpointQuota',
        `The cluster has ${ENDPOINTS_MAX} custom endpoints, which is the quota.`,
      )
    const endpoint: CustomEndpoint = {
      ...spec,
      resourceId: identifier('cluster-endpoint-'),
      host: `${spec.name}.cluster-custom-${this.hash}.${this.region}.rds.borealis.internal`,
      status: 'creating',
    }
    this.#state.endpoints.set(spec.name, endpoint)
    this.#later(() => this.#state.endpoints.set(spec.name, { ...endpoint, status: 'available' }))
    return endpoint
  }

  modifyCustomEndpoint(
    name: string,
    change: Partial<Pick<CustomEndpoint, 'type' | 'staticMembers' | 'excludedMembers'>>,
  ): CustomEndpoint {
    const endpoint = this.customEndpoint(name)
    if (endpoint === undefined) throw new ControlPlaneError('EndpointNotFound', `DBClusterEndpoint ${name} not found.`)
    const changed = { ...endpoint, ...defined(change) }
    this.#state.endpoints.set(name, changed)
    return changed
  }

  deleteCustomEndpoint(name: string): CustomEndpoint {
    const endpoint = this.customEndpoint(name)
    if (endpoint === undefined) throw new ControlPlaneError('EndpointNotFound', `DBClusterEndpoint ${name} not found.`)
    this.#later(() => this.#state.endpoints.delete(name))
    return { ...endpoint, status: 'deleting' }
  }

  parameterGroupChanged(kind: 'cluster' | 'instance', group: string, needsReboot: boolean): void {
    this.groupChanges.push({ kind, group, needsReboot })
  }

  async logFiles(instance: string): Promise<readonly LogFile[]> {
    this.#existingInstance(instance)
    const prefix = `${instance}:`
    return [...this.logs]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, bytes]) => ({ name: key.slice(prefix.length), bytes: bytes.length, writtenMs: this.#now() }))
  }

  async readLogFile(instance: string, name: string, offset: number, length: number): Promise<Uint8Array> {
    const bytes = this.logs.get(`${instance}:${name}`)
    if (bytes === undefined) throw new ControlPlaneError('LogFileNotFound', `There is no log file ${name}.`)
    return bytes.subarray(offset, offset + length)
  }
}
