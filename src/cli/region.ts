/**
 * A region on one machine: storage in three zones, the control plane with the instances of its clusters, the names of the
 * endpoints, and the balancers. It starts all of it, and stops it in order: instances first, as they need their storage
 * for it. Whatever it finds running when it starts, left by one that was killed, goes on undisturbed.
 */
import { chmodSync, rmSync } from 'node:fs'
import { totalmem } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { ApiServer } from '../api/server.ts'
import { Authority } from '../cluster/authority.ts'
import type { Decision } from '../cluster/cluster-plan.ts'
import { primaryOf } from '../cluster/cluster-plan.ts'
import type { ClusterRecord, InstanceRecord } from '../cluster/cluster-records.ts'
import { type EndpointNames, isAvailable } from '../cluster/cluster-views.ts'
import { ControlStore } from '../cluster/control-store.ts'
import { EngineParameters, type InstanceCapacity } from '../cluster/engine-parameters.ts'
import { FaultRequests } from '../cluster/fault-requests.ts'
import { newAddress } from '../cluster/host/free-address.ts'
import { type Home, makeHome, zoneSocket } from '../cluster/host/home.ts'
import { LocalHost } from '../cluster/host/local-host.ts'
import type { MountingCommand } from '../cluster/host/mount-check.ts'
import { ProcessList } from '../cluster/host/process-list.ts'
import { nodePorts, StorageZone, ZONES } from '../cluster/host/storage-zone.ts'
import type { InstanceOrder } from '../cluster/host-agent.ts'
import { HostAgents } from '../cluster/host-agents.ts'
import { instanceClass } from '../cluster/instance-classes.ts'
import { MetricHistory } from '../cluster/metric-history.ts'
import { startSampling } from '../cluster/metric-sampler.ts'
import { messageOf, PlainError } from '../cluster/plain-error.ts'
import { RegionControl } from '../cluster/region-control.ts'
import { storageAnswers } from '../cluster/storage-probe.ts'
import { topologyOf } from '../cluster/topology.ts'
import { keepUp } from '../cluster/upkeep.ts'
import { removeVolume } from '../cluster/volume-removal.ts'
import { generatePassword } from '../engine/postgres/passwords.ts'
import { endpointName } from '../gateway/endpoint-name.ts'
import type { PublishedNames } from '../gateway/published-names.ts'
import { VolumeError } from '../protocol/errors.ts'
import { lsn, volumeName } from '../protocol/lsn.ts'
import { type FolderLock, lockFolder } from '../storage/real-lock.ts'
import { askZone } from '../storage/real-zone-client.ts'
import { FleetHealth } from '../volume/fleet-health.ts'
import { SqliteRegistry } from '../volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../volume/tcp-fleet.ts'
import type { ApiAddress } from './api-address.ts'
import { GatewayProcess } from './gateway-process.ts'
import { importClusters } from './old-clusters.ts'
import { certificateNames, type RegionEndpoint, regionEndpoints } from './region-endpoints.ts'
import { type NameSettings, openNames } from './region-names.ts'

export interface RegionOptions {
  readonly home: Home
  /** For storage nodes, NAME=NUMBER. */
  readonly nodeSettings: readonly string[]
  /** Of each engine; by its class when it is not given. */
  readonly memoryMib: number | undefined
  /** For instances, which mount. */
  readonly mounting: MountingCommand
  readonly names: NameSettings
  /** Where the API listens. */
  readonly api: ApiAddress
  /** What people may want to know. */
  readonly say: (line: string) => void
}

export type RegionState = 'starting' | 'running' | 'stopping' | 'stopped'

/** Nodes that come back have missed little; a look costs them a message. */
const HEAL_EVERY_MS = 2000
/** A node of this machine that is down comes back on the same disk: its data is not moved for a short absence. */
const LOST_AFTER_MS = 60_000
/** So often SQL is told how readers do. */
const TOPOLOGY_EVERY_MS = 1000
const MIB = 1 << 20
/** No engine is given more than this part of the machine, whatever its class. */
const MEMORY_SHARE = 2

export class Region {
  readonly control: RegionControl
  readonly names: PublishedNames
  readonly fleet: Fleet
  readonly home: Home
  readonly #options: RegionOptions
  readonly #lock: FolderLock
  readonly #registry: SqliteRegistry
  readonly #store: ControlStore
  readonly #authority: Authority
  readonly #list: ProcessList
  readonly #left: ReturnType<typeof ProcessList.read>
  readonly #agent: LocalHost
  readonly #gateway: GatewayProcess
  readonly #parameters: EngineParameters
  readonly #faults: FaultRequests
  #api: ApiServer | undefined
  readonly #metrics = new MetricHistory()
  #stopSampling = (): void => {}
  readonly #stopped = new AbortController()
  readonly #certificateUntilMs = new Map<string, number>()
  #zones: StorageZone[] = []
  #state: RegionState = 'starting'
  #upkeep: Promise<unknown> = Promise.resolve()
  #storageAnswersSinceMs: number | null = null
  #published = ''
  #publishing: Promise<void> = Promise.resolve()

  private constructor(
    options: RegionOptions,
    lock: FolderLock,
    registry: SqliteRegistry,
    store: ControlStore,
    names: PublishedNames,
  ) {
    const { home, mounting, memoryMib, say } = options
    this.#options = options
    this.home = home
    this.#lock = lock
    this.#registry = registry
    this.#store = store
    this.names = names
    this.fleet = openFleet(registry)
    this.#left = ProcessList.read(home.state)
    this.#list = new ProcessList(home.state)
    this.#authority = new Authority(home)
    this.#agent = new LocalHost({ home, list: this.#list, mounting, memoryMib, say })
    this.#gateway = new GatewayProcess({ home, list: this.#list, say })
    this.#parameters = new EngineParameters(home.root)
    this.#faults = new FaultRequests({
      tell: (instance, command) => this.#agent.tell(instance, command),
      nodes: () => this.#zones.flatMap((zone) => zone.status().map(({ id }) => id)),
      inject: async (node, fault) => {
        const zone = this.#zones.find((each) => each.status().some(({ id }) => id === node))
        if (zone !== undefined) await askZone(zoneSocket(home, zone.zone), { do: 'fault', node, fault })
      },
    })
    this.control = new RegionControl({
      store,
      // Every zone is on this machine.
      agent: new HostAgents(new Map(ZONES.map((zone) => [zone, this.#agent])), (name) => store.instance(name)?.zone),
      region: names.space.region,
      hash: names.space.hash,
      zones: ZONES,
      authorityCertificate: this.#authority.certificate,
      names: this.#endpointNames(),
      newVolumeId: () => this.fleet.volumes.newId(),
      newPassword: generatePassword,
      newAddress,
      makeVolume: (cluster) => this.#makeVolume(cluster),
      removeVolume: ({ volume }) => removeVolume(this.fleet.volumes, volume),
      order: (cluster, instance) => this.#order(cluster, instance),
      certificateUntilMs: ({ name }) => this.#certificateUntilMs.get(name) ?? null,
      storageAnswersSinceMs: () => this.#storageAnswersSinceMs,
      onDecision: (cluster, decision) => this.#sayDecision(cluster, decision),
      onChange: () => {
        this.#publish()
        this.#tellTopology()
      },
      complain: (what, error) => say(`${what}: ${messageOf(error)}`),
    })
  }

  /** Takes the home for itself. @throws PlainError when one runs there already */
  static async open(options: RegionOptions): Promise<Region> {
    const { home, say } = options
    makeHome(home)
    const lock = lockHome(home)
    try {
      const registry = SqliteRegistry.open(home.registry)
      chmodSync(home.registry, 0o600)
      const store = ControlStore.open(home.control)
      await importClusters(home, registry, store)
      return new Region(options, lock, registry, store, await openNames(home, registry, options.names, say))
    } catch (error) {
      lock.release()
      throw error
    }
  }

  get state(): RegionState {
    return this.#state
  }

  // -------------------------------------------------------------- starting

  /** Resolves when the storage is ready and instances are on their way. */
  async start(): Promise<void> {
    const { home, nodeSettings, say } = this.#options
    const ports = await nodePorts(this.#registry)
    const place = { home, registry: this.#registry, list: this.#list, settings: nodeSettings, say, left: this.#left }
    this.#zones = ZONES.map((zone) => new StorageZone(zone, ports, place))
    for (const zone of this.#zones) zone.start()
    const adopted = await this.#agent.adopt(this.#left)
    if (adopted > 0) say(`${adopted} instances of a region that was killed go on`)
    await this.#gateway.start(this.#left)
    await this.#serveApi()
    await this.#storageReady()
    if (this.#state !== 'starting') return
    this.#state = 'running'
    this.#upkeep = Promise.all([this.#heal(), this.#watch()])
    this.control.start()
    this.#publish()
    await this.#publishing
  }

  /** Also while storage is still on its way: what is wanted can be said. */
  async #serveApi(): Promise<void> {
    const { host, port } = this.#options.api
    this.#stopSampling = startSampling(this.control, this.#metrics)
    try {
      this.#api = await ApiServer.start({
        plane: this.control,
        metrics: this.#metrics,
        parameterDefinitions: (family) => this.#parameters.definitions(family),
        host,
        port,
        log: (line) => this.#options.say(`api: ${line}`),
      })
    } catch (error) {
      throw new PlainError(
        `the API cannot listen on ${host}:${port} (${messageOf(error)}): choose another BOREALIS_API`,
        { cause: error },
      )
    }
  }

  /** Where the API listens; null before it does. */
  get api(): string | null {
    return this.#api?.address ?? null
  }

  /** With two zones of three, volumes can be opened; to make one, all have to be there. */
  async #storageReady(): Promise<void> {
    const all = Promise.all(this.#zones.map(({ ready }) => ready))
    const stopped = new Promise((resolve) => this.#stopped.signal.addEventListener('abort', resolve))
    const late = pause(5000, undefined, { ref: false })
    await Promise.race([all, stopped, late])
  }

  async #every(ms: number, work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await pause(ms, undefined, { signal: this.#stopped.signal })
      } catch {
        return
      }
      try {
        await work()
      } catch (error) {
        if (!this.#stopped.signal.aborted) this.#options.say(`storage: ${messageOf(error)}`)
      }
    }
  }

  /** Tells nodes that were away what they missed. */
  #heal(): Promise<void> {
    const { context, membership } = this.fleet
    const health = new FleetHealth(context, membership, { lostAfterMs: LOST_AFTER_MS })
    return this.#every(HEAL_EVERY_MS, async () => {
      await health.heal()
    })
  }

  #watch(): Promise<void> {
    return this.#every(TOPOLOGY_EVERY_MS, async () => {
      keepUp(this.control, new Date())
      const seen = this.#agent.seen()
      this.#tellTopology()
      await this.#faults.look(
        this.#store.clusters().map(({ name, writer }) => ({
          names: this.#store.instancesOf(name).map((instance) => instance.name),
          writer,
        })),
        seen,
      )
      const waiting = this.#store
        .clusters()
        .find(({ name }) => this.#store.instancesOf(name).some((each) => seen.get(each.name)?.waitingSinceMs != null))
      const answers = waiting !== undefined && (await storageAnswers(this.fleet, waiting.volume))
      this.#storageAnswersSinceMs = answers ? (this.#storageAnswersSinceMs ?? performance.now()) : null
    })
  }

  #tellTopology(): void {
    if (this.#state !== 'running') return
    const seen = this.#agent.seen()
    for (const cluster of this.#store.clusters()) {
      const instances = this.#store.instancesOf(cluster.name)
      const members = topologyOf(cluster, instances, seen, this.#endpointNames(), Date.now())
      for (const { name } of instances) this.#agent.tell(name, { do: 'topology', members })
    }
  }

  // -------------------------------------------------------------- what the control plane needs

  #endpointNames(): EndpointNames {
    const { space } = this.names
    return {
      writer: (name) => endpointName('writer', name, space),
      reader: (name) => endpointName('reader', name, space),
      custom: (name) => endpointName('custom', name, space),
      instance: (name) => endpointName('instance', name, space),
    }
  }

  async #makeVolume({ branchOf, volume }: ClusterRecord): Promise<void> {
    const { volumes } = this.fleet
    if (branchOf === null) await volumes.create(undefined, volume)
    else await volumes.branch(branchOf.volume, lsn(branchOf.lsn), volume)
  }

  async #order(cluster: ClusterRecord, instance: InstanceRecord): Promise<InstanceOrder> {
    const { name, run, address, settings } = instance
    const isWriter = name === cluster.writer
    const { certificate, key, untilMs } = this.#authority.issue(certificateNames(this.#store, name, this.names.space))
    this.#certificateUntilMs.set(name, untilMs)
    const capacity = this.#capacityOf(cluster, settings.instanceClass)
    const { parameters } = await this.#parameters.of(this.#store.database, cluster, instance, capacity)
    return {
      name,
      cluster: cluster.name,
      run,
      role: isWriter ? 'writer' : 'reader',
      volume: volumeName(cluster.volume),
      version: cluster.engineVersion,
      address,
      port: cluster.settings.port,
      memoryMib: Math.floor(capacity.memoryBytes / MIB),
      certificate,
      key,
      authorityCertificate: this.#authority.certificate,
      master: { name: cluster.masterUser, password: cluster.masterPassword },
      ...(cluster.databaseName === null ? {} : { database: cluster.databaseName }),
      replicationPassword: cluster.replicationPassword,
      primary: isWriter ? null : primaryOf({ cluster, instances: this.#store.instancesOf(cluster.name) }),
      parameters,
    }
  }

  #memoryBytesOf(className: string): number {
    const { memoryMib } = this.#options
    if (memoryMib !== undefined) return memoryMib * MIB
    return Math.min(instanceClass(className)?.memoryBytes ?? 0, totalmem() / MEMORY_SHARE)
  }

  #capacityOf({ name }: ClusterRecord, className: string): InstanceCapacity {
    const all = this.#store.instancesOf(name).map(({ settings }) => this.#memoryBytesOf(settings.instanceClass))
    return {
      vcpus: instanceClass(className)?.vcpus ?? 1,
      memoryBytes: this.#memoryBytesOf(className),
      largestMemoryBytes: Math.max(...all),
    }
  }

  #sayDecision(cluster: ClusterRecord, decision: Decision): void {
    const { say } = this.#options
    if (decision.kind === 'failover' && cluster.failover?.from != null)
      say(`cluster ${cluster.name}: ${decision.to} is to be the writer (${decision.why})`)
    if (decision.kind === 'failed-over') say(`cluster ${cluster.name}: ${cluster.writer} is the writer`)
    if (decision.kind === 'again') say(`instance ${decision.instance}: ${decision.why}; it is started again`)
  }

  // -------------------------------------------------------------- endpoints

  endpoints(): RegionEndpoint[] {
    return regionEndpoints(this.#store, this.#agent.seen(), this.names.space)
  }

  /** Resolves when what is known of the endpoints now is where clients look. */
  published(): Promise<void> {
    return this.#publishing
  }

  /** Whenever they may have changed. */
  #publish(): void {
    if (this.#state !== 'running') return
    const endpoints = this.endpoints()
    const text = JSON.stringify(endpoints)
    if (text === this.#published) return
    this.#published = text
    const published = this.names.publish(endpoints)
    this.#publishing = Promise.all([this.#publishing, published]).then(() => {})
    this.#gateway.tell(
      endpoints.flatMap(({ dnsName, balancer, port, addresses }) =>
        balancer === null
          ? []
          : [
              {
                name: dnsName,
                listen: { address: balancer, port },
                members: addresses.map((address) => ({ address, port })),
              },
            ],
      ),
    )
  }

  zones(): readonly StorageZone[] {
    return this.#zones
  }

  seen(): ReturnType<LocalHost['seen']> {
    return this.#agent.seen()
  }

  store(): ControlStore {
    return this.#store
  }

  /** Another server of the files under a running engine. */
  replaceServer(instance: string): void {
    this.#agent.tell(instance, { do: 'replace' })
  }

  isAvailable(instance: InstanceRecord): boolean {
    return isAvailable(instance, this.#agent.seen())
  }

  // -------------------------------------------------------------- ending

  /** In order, losing nothing. */
  async stop(): Promise<void> {
    if (this.#state === 'stopping' || this.#state === 'stopped') return
    this.#state = 'stopping'
    this.#stopped.abort()
    this.#stopSampling()
    await this.#api?.stop()
    await this.control.stop()
    await Promise.all([...this.#agent.seen().keys()].map((name) => this.#agent.end(name, 'stop')))
    await this.#gateway.stop()
    await this.names.close()
    await this.#upkeep
    await Promise.all(this.#zones.map((zone) => zone.stop()))
    this.fleet.close()
    this.#registry.close()
    this.#store.close()
    rmSync(this.home.state, { force: true })
    this.#state = 'stopped'
    this.#lock.release()
  }
}

/** @throws PlainError when a region runs there */
export function lockHome(home: Home): FolderLock {
  try {
    return lockFolder(home.lock)
  } catch (error) {
    if (!(error instanceof VolumeError)) throw error
    throw new PlainError(`a region runs in ${home.root} already: see borealis status, or choose another BOREALIS_HOME`)
  }
}
