/**
 * The control plane of a region: what is wanted, in SQLite; what is seen, from the hosts; and one loop for each cluster
 * that makes the one like the other. A command changes what is wanted, in one transaction, and wakes the loop.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { VolumeId } from '../protocol/lsn.ts'
import { accountId, migrateAccount } from './account.ts'
import { arnOf } from './arn.ts'
import { decided, nextRun } from './cluster-decisions.ts'
import { ClusterLoops, type LoopsWorld } from './cluster-loops.ts'
import { type Decision, promotable } from './cluster-plan.ts'
import type { BranchPoint, ClusterRecord, InstanceRecord, StartReason } from './cluster-records.ts'
import {
  clusterStatus,
  clusterView,
  type EndpointNames,
  endpointView,
  instanceStatus,
  instanceView,
  isAvailable,
  type Seen,
} from './cluster-views.ts'
import {
  type Cluster,
  type ClusterChange,
  type ClusterSpec,
  type ControlPlane,
  ControlPlaneError,
  type ControlPlaneErrorCode,
  type CustomEndpoint,
  type Instance,
  type InstanceChange,
  type InstanceSpec,
  type LogFile,
} from './control-plane.ts'
import type { ControlStore } from './control-store.ts'
import {
  type CustomEndpointChange,
  createCustomEndpoint,
  findCustomEndpoint,
  modifyCustomEndpoint,
  type NewCustomEndpoint,
} from './custom-endpoints.ts'
import type { EventKind } from './event-catalog.ts'
import { migrateEvents, recordEvent } from './events.ts'
import type { HostAgent } from './host-agent.ts'
import { emptiestZone, newCluster, newInstance } from './new-records.ts'
import { type GroupKind, migrateParameterGroups } from './parameter-groups.ts'
import { happened } from './region-events.ts'
import { restartsInstances, splitClusterChange, splitInstanceChange, withPending } from './settings-change.ts'
import { migrateSubnetGroups } from './subnet-groups.ts'
import { migrateTags, moveTags } from './tags.ts'

export interface RegionControlOptions extends LoopsWorld {
  readonly region: string
  readonly hash: string
  readonly zones: readonly string[]
  readonly authorityCertificate: string
  readonly names: EndpointNames
  newVolumeId(): VolumeId
  newPassword(): string
  certificateUntilMs(instance: InstanceRecord): number | null
}

const CLUSTERS_MAX = 40
/** One writer and fifteen readers. */
const CLUSTER_INSTANCES_MAX = 16
/** Of names, as RDS has them. */
const LOG_FOLDER = 'error/'

function no(code: ControlPlaneErrorCode, message: string): never {
  throw new ControlPlaneError(code, message)
}

export class RegionControl implements ControlPlane {
  readonly region: string
  readonly account: string
  readonly hash: string
  readonly zones: readonly string[]
  readonly authorityCertificate: string
  readonly database: DatabaseSync
  readonly #options: RegionControlOptions
  readonly #store: ControlStore
  readonly #agent: HostAgent
  readonly #loops: ClusterLoops

  constructor(options: RegionControlOptions) {
    this.#options = options
    this.#store = options.store
    this.#agent = options.agent
    this.region = options.region
    this.hash = options.hash
    this.zones = options.zones.map((zone) => options.region + zone)
    this.authorityCertificate = options.authorityCertificate
    this.database = options.store.database
    migrateAccount(this.database, Date.now())
    for (const migrate of [migrateEvents, migrateParameterGroups, migrateSubnetGroups, migrateTags])
      migrate(this.database)
    this.account = accountId(this.database)
    this.#loops = new ClusterLoops({
      ...options,
      onDecision: (cluster, decision, before) => this.#decided(cluster, decision, before),
    })
  }

  get store(): ControlStore {
    return this.#store
  }

  get seen(): Seen {
    return this.#agent.seen()
  }

  start(): void {
    this.#loops.start()
  }

  /** No loop does anything any more; instances go on as they are. */
  stop(): Promise<void> {
    return this.#loops.stop()
  }

  #newAddress(): string {
    return this.#options.newAddress(this.#store.addresses())
  }

  /** Something is wanted of a cluster that was not before. */
  #wake(cluster: string): void {
    this.#loops.wake(cluster)
  }

  /** Resolves when something may have changed. */
  change(): Promise<void> {
    return this.#loops.change()
  }

  #decided(cluster: ClusterRecord, decision: Decision, before: readonly InstanceRecord[]): void {
    for (const { kind, of, name, details } of happened(decision, cluster, before)) this.#event(kind, of, name, details)
    this.#options.onDecision(cluster, decision, before)
  }

  #event(kind: EventKind, of: 'cluster' | 'db', name: string, details: Readonly<Record<string, string>> = {}): void {
    recordEvent(this.database, Date.now(), kind, { name, arn: arnOf(this, of, name) }, details)
  }

  transaction<T>(body: () => T): T {
    return this.#store.transaction(body)
  }

  // -------------------------------------------------------------- reading

  #view(cluster: ClusterRecord): Cluster {
    return clusterView(cluster, this.#store.instancesOf(cluster.name), this.seen, {
      names: this.#options.names,
      zones: this.zones,
    })
  }

  clusters(): readonly Cluster[] {
    return this.#store.clusters().map((each) => this.#view(each))
  }

  cluster(name: string): Cluster | undefined {
    const record = this.#store.cluster(name)
    return record && this.#view(record)
  }

  #instanceView(instance: InstanceRecord): Instance {
    const cluster = this.#store.cluster(instance.cluster) as ClusterRecord
    return instanceView(cluster, instance, this.seen, {
      region: this.region,
      names: this.#options.names,
      certificateUntilMs: this.#options.certificateUntilMs(instance),
    })
  }

  instances(): readonly Instance[] {
    return this.#store.instances().map((each) => this.#instanceView(each))
  }

  instancesOf(cluster: string): readonly Instance[] {
    return this.#store.instancesOf(cluster).map((each) => this.#instanceView(each))
  }

  instance(name: string): Instance | undefined {
    const record = this.#store.instance(name)
    return record && this.#instanceView(record)
  }

  customEndpoints(): readonly CustomEndpoint[] {
    return this.#store.endpoints().map((each) => endpointView(each, this.#options.names))
  }

  customEndpoint(name: string): CustomEndpoint | undefined {
    const record = this.#store.endpoint(name)
    return record && endpointView(record, this.#options.names)
  }

  // -------------------------------------------------------------- clusters

  #find(name: string): ClusterRecord {
    return this.#store.cluster(name) ?? no('ClusterNotFound', `DBCluster ${name} not found.`)
  }

  /** One that may be changed now. */
  #ready(name: string, allowed: readonly string[] = ['available']): ClusterRecord {
    const record = this.#find(name)
    const status = clusterStatus(record, this.#store.instancesOf(name), this.seen)
    return allowed.includes(status)
      ? record
      : no('ClusterState', `DB cluster ${name} is not in ${allowed.join(' or ')} state: it is ${status}.`)
  }

  createCluster(spec: ClusterSpec): Cluster {
    return this.createFrom(spec, null)
  }

  /** @param branchOf whose data it begins with; null: none */
  createFrom(spec: ClusterSpec, branchOf: BranchPoint | null): Cluster {
    const { name } = spec
    if (this.#store.cluster(name) !== undefined) no('ClusterExists', `DB Cluster ${name} already exists.`)
    if (this.#store.clusters().length >= CLUSTERS_MAX) no('ClusterQuota', `There are ${CLUSTERS_MAX} DB clusters.`)
    const record = newCluster(spec, branchOf, {
      volume: this.#options.newVolumeId(),
      replicationPassword: this.#options.newPassword(),
      readerAddress: this.#newAddress(),
    })
    this.#store.putCluster(record)
    this.#event('clusterCreated', 'cluster', name)
    this.#wake(name)
    return this.#view(record)
  }

  modifyCluster(name: string, change: ClusterChange, applyImmediately: boolean): Cluster {
    const record = this.#ready(name, ['available', 'stopped'])
    const { newName, masterPassword } = change
    if (newName !== undefined && newName !== name && this.#store.cluster(newName) !== undefined)
      no('ClusterExists', `DB Cluster ${newName} already exists.`)
    const { atOnce, waiting } = splitClusterChange(record, change)
    return this.transaction(() => {
      const now = this.#store.putCluster({
        ...record,
        settings: { ...record.settings, ...atOnce },
        masterPassword: masterPassword ?? record.masterPassword,
        pending: { ...record.pending, ...waiting },
      })
      if (applyImmediately) this.applyPending(name)
      if (atOnce.parameterGroup !== undefined && atOnce.parameterGroup !== record.settings.parameterGroup)
        this.#needReboot('cluster', this.#store.instancesOf(name))
      if (masterPassword !== undefined) {
        this.#tellPassword(now)
        this.#event('clusterCredentialsReset', 'cluster', name)
      }
      if (newName !== undefined && newName !== name) this.#rename(name, newName)
      const after = this.#find(newName ?? name)
      this.#wake(after.name)
      return this.#view(after)
    })
  }

  /** What was waiting: some of it takes other runs of all instances. */
  applyPending(name: string): void {
    const record = this.#find(name)
    this.transaction(() => {
      this.#store.putCluster(withPending(record, record.pending))
      if (!restartsInstances(record.pending)) return
      for (const each of this.#store.instancesOf(name)) this.#store.putInstance(nextRun(each, 'modified', 'stop'))
    })
    this.#wake(name)
  }

  #tellPassword({ writer, masterUser, masterPassword }: ClusterRecord): void {
    if (writer !== null) this.#agent.tell(writer, { do: 'login', name: masterUser, password: masterPassword })
  }

  #rename(name: string, newName: string): void {
    this.#store.renameCluster(name, newName)
    moveTags(this.database, arnOf(this, 'cluster', name), arnOf(this, 'cluster', newName))
    this.#event('clusterRenamed', 'cluster', newName, { from: name, to: newName })
    this.#loops.rename(name, newName)
  }

  deleteCluster(name: string): Cluster {
    const record = this.#find(name)
    if (record.settings.deletionProtection)
      no('DeletionProtected', 'Cannot delete protected Cluster, please disable deletion protection and try again.')
    if (record.stage === 'deleting') no('ClusterState', `DB cluster ${name} is being deleted already.`)
    const instances = this.#store.instancesOf(name)
    if (instances.some(({ stage }) => stage !== 'deleting'))
      no('ClusterState', 'Cluster cannot be deleted, it still contains DB instances in non-deleting state.')
    const now = this.#store.putCluster({ ...record, stage: 'deleting' })
    this.#event('clusterDeleted', 'cluster', name)
    this.#wake(name)
    return this.#view(now)
  }

  startCluster(name: string): Cluster {
    this.#ready(name, ['stopped'])
    return this.startAgain(name, 'clusterStarted')
  }

  /** One that is stopped. */
  startAgain(name: string, event: 'clusterStarted' | 'clusterStartedAfterDays'): Cluster {
    return this.transaction(() => {
      const now = this.#store.putCluster({ ...this.#find(name), wanted: 'running', stoppedMs: null })
      this.#event(event, 'cluster', name)
      for (const each of this.#store.instancesOf(name)) this.#store.putInstance(nextRun(each, 'started', 'kill'))
      this.#wake(name)
      return this.#view(now)
    })
  }

  stopCluster(name: string): Cluster {
    const record = this.#ready(name)
    const now = this.#store.putCluster({ ...record, wanted: 'stopped', stoppedMs: Date.now() })
    this.#event('clusterStopped', 'cluster', name)
    this.#wake(name)
    return this.#view(now)
  }

  failoverCluster(name: string, target: string | null): Cluster {
    const record = this.#ready(name)
    const instances = this.#store.instancesOf(name)
    const readers = instances.filter(
      (each) => each.name !== record.writer && each.stage === 'live' && isAvailable(each, this.seen),
    )
    const to = instances.find((each) => each.name === (target ?? this.#promotable(record, instances)))
    if (to === undefined && target !== null) no('InstanceNotFound', `DBInstance ${target} not found.`)
    if (to === undefined) no('ClusterState', `DB cluster ${name} has no reader that could be promoted.`)
    if (to.name === record.writer) no('InstanceState', `DB instance ${to.name} is the writer already.`)
    if (!readers.includes(to)) no('InstanceState', `DB instance ${to.name} is not available.`)
    return this.#view(this.#failover(record, instances, to.name, 'it was asked for'))
  }

  #promotable(cluster: ClusterRecord, instances: readonly InstanceRecord[]): string | undefined {
    return promotable({ cluster, instances, seen: this.seen }, performance.now())?.name
  }

  #failover(cluster: ClusterRecord, instances: readonly InstanceRecord[], to: string, why: string): ClusterRecord {
    const decision: Decision = { kind: 'failover', to, why }
    const now = decided({ cluster, instances }, decision, Date.now())
    this.transaction(() => {
      this.#store.putCluster(now.cluster)
      for (const each of now.instances) this.#store.putInstance(each)
    })
    this.#decided(now.cluster, decision, instances)
    this.#wake(cluster.name)
    return now.cluster
  }

  // -------------------------------------------------------------- instances

  #findInstance(name: string): InstanceRecord {
    return this.#store.instance(name) ?? no('InstanceNotFound', `DBInstance ${name} not found.`)
  }

  #readyInstance(name: string): InstanceRecord {
    const instance = this.#findInstance(name)
    const status = instanceStatus(this.#find(instance.cluster), instance, this.seen)
    return status === 'available'
      ? instance
      : no('InstanceState', `DB instance ${name} is not in available state: it is ${status}.`)
  }

  createInstance(spec: InstanceSpec): Instance {
    const { name, cluster, zone } = spec
    const record = this.#ready(cluster, ['available', 'creating', 'failing-over'])
    if (this.#store.instance(name) !== undefined) no('InstanceExists', `DB instance ${name} already exists.`)
    const others = this.#store.instancesOf(cluster)
    if (others.length >= CLUSTER_INSTANCES_MAX)
      no('InstanceQuota', `DB cluster ${cluster} has ${CLUSTER_INSTANCES_MAX} DB instances.`)
    const instance = newInstance(spec, {
      zone: this.#zoneOf(zone) ?? emptiestZone(this.#options.zones, others),
      address: this.#newAddress(),
    })
    return this.transaction(() => {
      this.#store.putInstance(instance)
      // Others are on their way to it, and the first is the writer.
      if (record.writer === null) this.#store.putCluster({ ...record, writer: name, term: record.term + 1 })
      this.#wake(cluster)
      return this.#instanceView(instance)
    })
  }

  /** Of a name such as `local-1a`. */
  #zoneOf(name: string | null): string | undefined {
    return this.#options.zones.find((zone) => this.region + zone === name)
  }

  modifyInstance(name: string, change: InstanceChange, applyImmediately: boolean): Instance {
    const instance = this.#readyInstance(name)
    if (change.newName !== undefined && change.newName !== name)
      no('InstanceState', `DB instance ${name} cannot be renamed: make another one and delete it.`)
    const { atOnce, waiting } = splitInstanceChange(instance, change)
    const settings = { ...instance.settings, ...atOnce, ...(applyImmediately ? waiting : {}) }
    const pending = applyImmediately ? {} : { ...instance.pending, ...waiting }
    const isRestarted = applyImmediately && Object.keys(waiting).length > 0
    const isOther = settings.parameterGroup !== instance.settings.parameterGroup
    const now: InstanceRecord = { ...instance, settings, pending, ...(isOther ? { pendingReboot: ['instance'] } : {}) }
    const stored = this.#store.putInstance(isRestarted ? nextRun(now, 'modified', 'stop') : now)
    this.#wake(instance.cluster)
    return this.#instanceView(stored)
  }

  deleteInstance(name: string): Instance {
    const instance = this.#findInstance(name)
    if (instance.stage === 'deleting') no('InstanceState', `DB instance ${name} is being deleted already.`)
    const now = this.#store.putInstance({ ...instance, stage: 'deleting' })
    this.#wake(instance.cluster)
    return this.#instanceView(now)
  }

  rebootInstance(name: string, failover: boolean): Instance {
    const instance = this.#readyInstance(name)
    const cluster = this.#find(instance.cluster)
    if (failover && cluster.writer === name) this.failoverCluster(cluster.name, null)
    else this.again(name, 'rebooted')
    return this.#instanceView(this.#findInstance(name))
  }

  /** Another run of an instance, in order. */
  again(name: string, reason: StartReason): void {
    const instance = this.#findInstance(name)
    this.#store.putInstance(
      nextRun({ ...instance, settings: { ...instance.settings, ...instance.pending }, pending: {} }, reason, 'stop'),
    )
    this.#wake(instance.cluster)
  }

  // -------------------------------------------------------------- custom endpoints

  createCustomEndpoint(spec: NewCustomEndpoint): CustomEndpoint {
    this.#ready(spec.cluster)
    const record = createCustomEndpoint(this.#store, spec, this.#newAddress())
    this.#wake(spec.cluster)
    void this.#reconfigure(spec.cluster)
    return endpointView(record, this.#options.names)
  }

  modifyCustomEndpoint(name: string, change: CustomEndpointChange): CustomEndpoint {
    const now = modifyCustomEndpoint(this.#store, name, change)
    this.#wake(now.cluster)
    return endpointView(now, this.#options.names)
  }

  deleteCustomEndpoint(name: string): CustomEndpoint {
    const record = findCustomEndpoint(this.#store, name)
    this.#store.removeEndpoint(name)
    this.#wake(record.cluster)
    return { ...endpointView(record, this.#options.names), status: 'deleting' }
  }

  /** Their certificates have all names of the cluster, and their parameters may have changed. */
  async #reconfigure(cluster: string): Promise<void> {
    const record = this.#store.cluster(cluster)
    if (record === undefined) return
    for (const instance of this.#store.instancesOf(cluster)) {
      try {
        const { certificate, key, parameters } = await this.#options.order(record, instance)
        this.#agent.tell(instance.name, { do: 'configure', certificate, key, parameters })
      } catch (error) {
        this.#options.complain(`instance ${instance.name}: its configuration`, error)
      }
    }
  }

  parameterGroupChanged(kind: GroupKind, group: string, needsReboot: boolean): void {
    for (const cluster of this.#store.clusters()) {
      const concerned = this.#store
        .instancesOf(cluster.name)
        .filter((each) => (kind === 'cluster' ? cluster : each).settings.parameterGroup === group)
      if (needsReboot) this.#needReboot(kind, concerned)
      if (concerned.length > 0) void this.#reconfigure(cluster.name)
    }
  }

  #needReboot(kind: GroupKind, instances: readonly InstanceRecord[]): void {
    this.transaction(() => {
      for (const each of instances)
        this.#store.putInstance({ ...each, pendingReboot: [...new Set([...each.pendingReboot, kind])] })
    })
  }

  // -------------------------------------------------------------- logs

  async logFiles(instance: string): Promise<readonly LogFile[]> {
    this.#findInstance(instance)
    const files = await this.#agent.logFiles(instance)
    return files.map((each) => ({ ...each, name: LOG_FOLDER + each.name }))
  }

  async readLogFile(instance: string, name: string, offset: number, length: number): Promise<Uint8Array> {
    this.#findInstance(instance)
    const bytes = name.startsWith(LOG_FOLDER)
      ? await this.#agent.readLogFile(instance, name.slice(LOG_FOLDER.length), offset, length)
      : undefined
    return bytes ?? no('LogFileNotFound', `DBLog File: ${name}, is not found on the DB instance`)
  }
}
