/**
 * A region on one machine: registry, three zones, and an instance for each cluster. It is the one process that starts the
 * others, and stops them in order: instances first, as they need their storage for it.
 */
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { engineAccount, openFolders } from '../engine/account.ts'
import { installPostgres } from '../engine/postgres/binaries.ts'
import { generatePassword } from '../engine/postgres/passwords.ts'
import { preparedTemplate } from '../engine/postgres/template.ts'
import { selectVersion } from '../engine/postgres/versions.ts'
import type { PublishedNames } from '../gateway/published-names.ts'
import { holdsDatabase } from '../instance/past-files.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import { type FolderLock, lockFolder } from '../storage/real-lock.ts'
import { FleetHealth } from '../volume/fleet-health.ts'
import { SqliteRegistry } from '../volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../volume/tcp-fleet.ts'
import { PlainError, messageOf } from '../cluster/plain-error.ts'
import {
  CLUSTER_NAME_RULE,
  type ClusterRecord,
  changeCluster,
  createCluster,
  findCluster,
  isClusterName,
  listClusters,
  removeCluster,
} from './cluster-record.ts'
import { freeEngineAddress, isFree } from '../cluster/host/free-address.ts'
import { clusterFolder, type Home, instanceFolder, makeHome, passwordFile } from '../cluster/host/home.ts'
import { clearLeftovers } from '../cluster/host/leftovers.ts'
import type { MountingCommand } from '../cluster/host/mount-check.ts'
import { type PastPoint, viewAt } from '../cluster/past-point.ts'
import { ProcessList } from '../cluster/host/process-list.ts'
import { type NameSettings, openNames } from './region-names.ts'
import type { RegionStatus } from './region-status.ts'
import { nodePorts, StorageZone, ZONES } from '../cluster/host/storage-zone.ts'
import { removeVolume } from '../cluster/volume-removal.ts'
import { WriterInstance } from './writer-instance.ts'

export interface RegionOptions {
  readonly home: Home
  /** For storage nodes, NAME=NUMBER. */
  readonly nodeSettings: readonly string[]
  /** Of each engine; by the machine's when it is not given. */
  readonly memoryMib: number | undefined
  /** For instances, which mount. */
  readonly mounting: MountingCommand
  readonly names: NameSettings
  /** What people may want to know. */
  readonly say: (line: string) => void
}

export interface NewCluster {
  readonly name: string
  /** `17`, `17.10`; the newest that is usual when it is not given. */
  readonly engineVersion: string | undefined
}

export interface NewBranch {
  readonly name: string
  /** The cluster whose data it begins with. */
  readonly source: string
  /** The head of its volume when it is null. */
  readonly at: PastPoint | null
}

export type RegionState = 'starting' | 'running' | 'stopping' | 'stopped'

const MASTER = 'postgres'
/** Nodes that come back have missed little; a look costs them a message. */
const HEAL_EVERY_MS = 2000
/** A node of this machine that is down comes back on the same disk: its data is not moved for a short absence. */
const LOST_AFTER_MS = 60_000

export class Region {
  readonly #options: RegionOptions
  readonly #lock: FolderLock
  readonly #registry: SqliteRegistry
  readonly #fleet: Fleet
  readonly #list: ProcessList
  readonly #names: PublishedNames
  readonly #writers = new Map<string, WriterInstance>()
  readonly #stopped = new AbortController()
  #zones: StorageZone[] = []
  #state: RegionState = 'starting'
  #healing: Promise<void> = Promise.resolve()
  /** One change of the set of clusters at a time. */
  #changes: Promise<unknown> = Promise.resolve()

  private constructor(options: RegionOptions, lock: FolderLock, registry: SqliteRegistry, names: PublishedNames) {
    this.#options = options
    this.#lock = lock
    this.#registry = registry
    this.#names = names
    this.#fleet = openFleet(registry)
    this.#list = new ProcessList(options.home.state)
  }

  /** Takes the home for itself, and clears what another left there. @throws PlainError when one runs there already */
  static async open(options: RegionOptions): Promise<Region> {
    const { home, say } = options
    makeHome(home)
    const lock = lockHome(home)
    try {
      const left = await clearLeftovers(home)
      if (left > 0) say(`cleared what was left of a region that was killed (${left} processes and mounts)`)
      const registry = SqliteRegistry.open(home.registry)
      chmodSync(home.registry, 0o600)
      return new Region(options, lock, registry, await openNames(home, registry, options.names, say))
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
    const place = { home, registry: this.#registry, list: this.#list, settings: nodeSettings, say }
    this.#zones = ZONES.map((zone) => new StorageZone(zone, ports, place))
    for (const zone of this.#zones) zone.start()
    await this.#storageReady()
    if (this.#state !== 'starting') return
    this.#state = 'running'
    this.#healing = this.#heal()
    for (const cluster of await listClusters(this.#registry)) await this.#resume(cluster)
    await this.#publish()
  }

  /** With two zones of three, volumes can be opened; to make one, all have to be there. */
  async #storageReady(): Promise<void> {
    const all = Promise.all(this.#zones.map(({ ready }) => ready))
    const stopped = new Promise((resolve) => this.#stopped.signal.addEventListener('abort', resolve))
    const late = pause(5000, undefined, { ref: false })
    await Promise.race([all, stopped, late])
  }

  async #resume(cluster: ClusterRecord): Promise<void> {
    try {
      if (cluster.stage === 'deleting') await this.#finishDeleting(cluster)
      else await this.#startWriter(cluster)
    } catch (error) {
      this.#options.say(`cluster ${cluster.name}: ${messageOf(error)}`)
    }
  }

  async #startWriter(cluster: ClusterRecord): Promise<WriterInstance> {
    const { home, memoryMib, mounting, say } = this.#options
    let record = cluster
    const version = selectVersion(record.engineVersion)
    const account = engineAccount()
    for (const folder of await openFolders(instanceFolder(home, record.writer.name), account)) {
      say(`the engine's user ${account?.uid} may pass through ${folder} now (chmod o+x), and no more`)
    }
    await preparedTemplate(await installPostgres(home.root, version, account))
    if (record.volume === null) {
      const volume = await this.#makeVolume(record)
      record = await changeCluster(this.#registry, record.name, (each) => ({ ...each, volume, stage: 'live' }))
    }
    if (!(await isFree(record.writer.address, record.writer.port))) {
      const place = await freeEngineAddress(await this.#addresses())
      say(`instance ${record.writer.name}: ${record.writer.address}:${record.writer.port} is in use by another program`)
      record = await changeCluster(this.#registry, record.name, (each) => ({
        ...each,
        writer: { ...each.writer, ...place },
      }))
    }
    const writer = new WriterInstance(record, { home, list: this.#list, memoryMib, mounting, names: this.#names, say })
    this.#writers.set(record.name, writer)
    writer.start()
    return writer
  }

  #makeVolume({ branchOf }: ClusterRecord): Promise<VolumeId> {
    const { volumes } = this.#fleet
    return branchOf === null ? volumes.create() : volumes.branch(branchOf.volume, branchOf.lsn)
  }

  async #addresses(): Promise<Set<string>> {
    return new Set((await listClusters(this.#registry)).map(({ writer }) => writer.address))
  }

  /** Tells nodes that were away what they missed. */
  async #heal(): Promise<void> {
    const { context, membership } = this.#fleet
    const health = new FleetHealth(context, membership, { lostAfterMs: LOST_AFTER_MS })
    for (;;) {
      try {
        await pause(HEAL_EVERY_MS, undefined, { signal: this.#stopped.signal })
      } catch {
        return
      }
      try {
        await health.heal()
      } catch (error) {
        if (!this.#stopped.signal.aborted) this.#options.say(`storage: ${messageOf(error)}`)
      }
    }
  }

  // -------------------------------------------------------------- clusters

  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(change, change)
    this.#changes = done.catch(() => {})
    return done
  }

  /** Resolves when it accepts connections. */
  create({ name, engineVersion }: NewCluster): Promise<void> {
    const version = selectVersion(engineVersion)
    return this.#inTurn(async () => {
      await this.#checkNew(name)
      const password = generatePassword()
      await this.#make({ name, engineVersion: version.name, master: MASTER, password, branchOf: null })
    })
  }

  /** Resolves when it accepts connections: with the data, and the users, that its source had at that point. */
  branch({ name, source, at }: NewBranch): Promise<void> {
    return this.#inTurn(async () => {
      await this.#checkNew(name)
      const { volume, engineVersion, master } = await this.#find(source)
      if (volume === null) throw new PlainError(`cluster ${source} has no data yet: try again in a moment`)
      const password = readFileSync(passwordFile(this.#options.home, source), 'utf8').trim()
      const view = await viewAt(this.#fleet.volumes, { name: source, volume }, at ?? undefined)
      try {
        if (!(await holdsDatabase(view)))
          throw new PlainError(`${source} had no database yet at LSN ${view.readPoint}: choose a later point`)
        const branchOf = { cluster: source, volume: view.record.id, lsn: view.readPoint }
        await this.#make({ name, engineVersion, master, password, branchOf })
      } finally {
        await view.close()
      }
    })
  }

  async #checkNew(name: string): Promise<void> {
    if (!isClusterName(name)) throw new PlainError(`${name} is no name for a cluster: ${CLUSTER_NAME_RULE}`)
    this.#checkRunning()
    if ((await findCluster(this.#registry, name)) !== undefined)
      throw new PlainError(`there is a cluster ${name} already: choose another name`)
  }

  async #find(name: string): Promise<ClusterRecord> {
    this.#checkRunning()
    const record = await findCluster(this.#registry, name)
    if (record === undefined) throw new PlainError(`there is no cluster ${name}: see borealis cluster list`)
    return record
  }

  async #make({
    password,
    ...settings
  }: Pick<ClusterRecord, 'name' | 'engineVersion' | 'master' | 'branchOf'> & { readonly password: string }) {
    const { home } = this.#options
    const { name } = settings
    const place = await freeEngineAddress(await this.#addresses())
    mkdirSync(clusterFolder(home, name), { recursive: true, mode: 0o700 })
    writeFileSync(passwordFile(home, name), `${password}\n`, { mode: 0o600 })
    const record: ClusterRecord = {
      ...settings,
      engine: 'postgres',
      stage: 'creating',
      volume: null,
      writer: { name: `${name}-1`, zone: ZONES[0], ...place },
    }
    await createCluster(this.#registry, record)
    const writer = await this.#startWriter(record)
    await this.#publish()
    const problem = await writer.untilAvailable()
    if (problem !== undefined) throw new PlainError(`cluster ${name} is made, but not available: ${problem}`)
  }

  delete(name: string): Promise<void> {
    return this.#inTurn(async () => {
      await this.#find(name)
      const record = await changeCluster(this.#registry, name, (each) => ({ ...each, stage: 'deleting' }))
      await this.#finishDeleting(record)
    })
  }

  async #finishDeleting({ name, volume, writer }: ClusterRecord): Promise<void> {
    const { home } = this.#options
    await this.#writers.get(name)?.stop()
    this.#writers.delete(name)
    await this.#publish()
    if (volume !== null) await removeVolume(this.#fleet.volumes, volume)
    rmSync(clusterFolder(home, name), { recursive: true, force: true })
    rmSync(instanceFolder(home, writer.name), { recursive: true, force: true })
    await removeCluster(this.#registry, name)
  }

  /**
   * New code under a running engine: replaces the server of the cluster's files by one of the code as it is now.
   * @returns for how many milliseconds clients had to wait
   */
  async patch(name: string): Promise<number> {
    this.#checkRunning()
    const writer = this.#writers.get(name)
    if (writer === undefined) throw new PlainError(`there is no cluster ${name}: see borealis cluster list`)
    return writer.replaceServer()
  }

  #checkRunning(): void {
    if (this.#state !== 'running') throw new PlainError(`the region is ${this.#state}: try again in a moment`)
  }

  has(name: string): boolean {
    return this.#writers.has(name)
  }

  /** @returns why each of those that are not available is not */
  async untilAvailable(): Promise<string[]> {
    const writers = [...this.#writers.values()]
    const problems = await Promise.all(writers.map((writer) => writer.untilAvailable()))
    return problems.flatMap((problem, i) => (problem === undefined ? [] : [`${writers[i]?.cluster.name}: ${problem}`]))
  }

  status(): RegionStatus {
    const writers = [...this.#writers.values()]
    return {
      api: null,
      home: this.#options.home.root,
      pid: process.pid,
      state: this.#state,
      clusters: writers.map((writer) => writer.clusterStatus()),
      instances: writers.map((writer) => writer.instanceStatus()),
      storageNodes: this.#zones.flatMap((zone) => zone.status()),
      endpoints: writers.flatMap((writer) => writer.endpointStatus()),
      names: this.#names.status(),
    }
  }

  /** To be called whenever there are other endpoints than before, or elsewhere. */
  async #publish(): Promise<void> {
    await this.#names.publish([...this.#writers.values()].flatMap((writer) => writer.endpoints()))
    await this.#names.tried()
  }

  // -------------------------------------------------------------- ending

  /** In order, losing nothing. */
  async stop(): Promise<void> {
    if (this.#state === 'stopping' || this.#state === 'stopped') return
    this.#state = 'stopping'
    this.#stopped.abort()
    await Promise.all([...this.#writers.values()].map((writer) => writer.stop()))
    await this.#names.close()
    await this.#healing
    await Promise.all(this.#zones.map((zone) => zone.stop()))
    this.#fleet.close()
    this.#registry.close()
    rmSync(this.#options.home.state, { force: true })
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
