/** What commands make a region do: the control plane is told, and it is waited for until that is so. */
import { setTimeout as pause } from 'node:timers/promises'
import { CLUSTER_NAME_RULE, INSTANCE_NAME_RULE, isClusterName, isInstanceName } from '../cluster/cluster-name.ts'
import type { BranchPoint, ClusterRecord, InstanceRecord } from '../cluster/cluster-records.ts'
import type { ClusterSpec } from '../cluster/control-plane.ts'
import { defaultClusterSettings, defaultInstanceSettings } from '../cluster/defaults.ts'
import { freeEngineAddress } from '../cluster/host/free-address.ts'
import { type PastPoint, viewAt } from '../cluster/past-point.ts'
import { PlainError } from '../cluster/plain-error.ts'
import { generatePassword } from '../engine/postgres/passwords.ts'
import { selectVersion } from '../engine/postgres/versions.ts'
import { NO_REPLACEMENTS } from '../instance/instance-report.ts'
import { holdsDatabase } from '../instance/past-files.ts'
import type { Region } from './region.ts'

export interface NewCluster {
  readonly name: string
  /** `17`, `17.10`; the newest that is usual when it is not given. */
  readonly engineVersion: string | undefined
  readonly readers: number
}

export interface NewBranch {
  readonly name: string
  /** The cluster whose data it begins with. */
  readonly source: string
  /** The head of its volume when it is null. */
  readonly at: PastPoint | null
}

export interface NewInstance {
  readonly cluster: string
  /** null: the cluster's name and the next number. */
  readonly name: string | null
  /** 0 to 15: who is promoted first. */
  readonly tier: number
  readonly instanceClass: string | null
}

const MASTER = 'postgres'
export const READERS_MAX = 15
/** A start that fails this often is not waited for any longer; it is tried on. */
const RUNS_WAITED_FOR = 3

export class RegionCommands {
  readonly #region: Region

  constructor(region: Region) {
    this.#region = region
  }

  #checkRunning(): void {
    const { state } = this.#region
    if (state !== 'running') throw new PlainError(`the region is ${state}: try again in a moment`)
  }

  #find(name: string): ClusterRecord {
    this.#checkRunning()
    const record = this.#region.store().cluster(name)
    if (record === undefined) throw new PlainError(`there is no cluster ${name}: see borealis cluster list`)
    return record
  }

  #findInstance(name: string): InstanceRecord {
    this.#checkRunning()
    const record = this.#region.store().instance(name)
    if (record === undefined) throw new PlainError(`there is no instance ${name}: see borealis status`)
    return record
  }

  #checkNew(name: string): void {
    if (!isClusterName(name)) throw new PlainError(`${name} is no name for a cluster: ${CLUSTER_NAME_RULE}`)
    this.#checkRunning()
    if (this.#region.store().cluster(name) !== undefined)
      throw new PlainError(`there is a cluster ${name} already: choose another name`)
  }

  // -------------------------------------------------------------- waiting

  /** Something to look at again when anything has changed. What is found is where clients look, too, when this resolves. */
  async #until<T>(look: () => T | undefined): Promise<T> {
    for (;;) {
      const found = look()
      if (found !== undefined) {
        await this.#region.published()
        return found
      }
      if (this.#region.state !== 'running') throw new PlainError('the region was stopped')
      await Promise.race([this.#region.control.change(), pause(LOOK_MS)])
    }
  }

  /** @returns why it is not available after some tries; undefined when it is */
  async #untilAvailable(name: string): Promise<string | undefined> {
    const { run } = this.#findInstance(name)
    const outcome = await this.#until<{ problem: string | undefined }>(() => {
      const instance = this.#region.store().instance(name)
      if (instance === undefined) return { problem: 'it was deleted' }
      if (this.#region.isAvailable(instance)) return { problem: undefined }
      const seen = this.#region.seen().get(name)
      const isFailing = instance.run - run >= RUNS_WAITED_FOR && seen?.phase === 'gone'
      return isFailing ? { problem: seen.reason ?? 'it does not stay up' } : undefined
    })
    return outcome.problem
  }

  /** @returns why each of those that are not available is not */
  async untilAvailable(): Promise<string[]> {
    const store = this.#region.store()
    const wanted = store.instances().filter(({ cluster }) => store.cluster(cluster)?.wanted === 'running')
    const problems = await Promise.all(wanted.map(({ name }) => this.#untilAvailable(name)))
    return problems.flatMap((problem, i) => (problem === undefined ? [] : [`${wanted[i]?.name}: ${problem}`]))
  }

  // -------------------------------------------------------------- clusters

  /** Resolves when all of it accepts connections. */
  async create({ name, engineVersion, readers }: NewCluster): Promise<void> {
    this.#checkNew(name)
    const version = selectVersion(engineVersion).name
    await this.#make(
      { name, engineVersion: version, masterUser: MASTER, masterPassword: generatePassword() },
      readers,
      null,
    )
  }

  /** Resolves when it accepts connections: with the data, and the users, that its source had at that point. */
  async branch({ name, source, at }: NewBranch): Promise<void> {
    this.#checkNew(name)
    const { volume, engineVersion, masterUser, masterPassword, hasData } = this.#find(source)
    if (!hasData) throw new PlainError(`cluster ${source} has no data yet: try again in a moment`)
    const view = await viewAt(this.#region.fleet.volumes, { name: source, volume }, at ?? undefined)
    try {
      if (!(await holdsDatabase(view)))
        throw new PlainError(`${source} had no database yet at LSN ${view.readPoint}: choose a later point`)
      const branchOf = { cluster: source, volume: view.record.id, lsn: view.readPoint }
      await this.#make({ name, engineVersion, masterUser, masterPassword }, 0, branchOf)
    } finally {
      await view.close()
    }
  }

  async #make(
    of: Pick<ClusterSpec, 'name' | 'engineVersion' | 'masterUser' | 'masterPassword'>,
    readers: number,
    branchOf: BranchPoint | null,
  ): Promise<void> {
    const { control } = this.#region
    const { name, engineVersion } = of
    const { port } = await freeEngineAddress(this.#region.store().addresses())
    const settings = defaultClusterSettings(engineVersion, port)
    control.transaction(() => {
      const rest = { engine: 'aurora-postgresql', databaseName: null, zones: null, storageEncrypted: false } as const
      control.createFrom({ ...of, ...rest, settings }, branchOf)
      for (let i = 1; i <= 1 + readers; i++)
        control.createInstance({
          name: `${name}-${i}`,
          cluster: name,
          zone: null,
          settings: defaultInstanceSettings(engineVersion),
        })
    })
    const problems = await Promise.all(
      this.#region
        .store()
        .instancesOf(name)
        .map((each) => this.#untilAvailable(each.name)),
    )
    const [problem] = problems.filter((each) => each !== undefined)
    if (problem !== undefined) throw new PlainError(`cluster ${name} is made, but not available: ${problem}`)
  }

  async delete(name: string): Promise<void> {
    const record = this.#find(name)
    const { control } = this.#region
    if (record.stage !== 'deleting')
      control.transaction(() => {
        for (const each of this.#region.store().instancesOf(name))
          if (each.stage !== 'deleting') control.deleteInstance(each.name)
        control.deleteCluster(name)
      })
    await this.#until(() => (this.#region.store().cluster(name) === undefined ? true : undefined))
  }

  // -------------------------------------------------------------- instances

  /** @returns its name, when it accepts connections */
  async createInstance({ cluster, name, tier, instanceClass }: NewInstance): Promise<string> {
    const record = this.#find(cluster)
    const chosen = name ?? this.#nextName(cluster)
    if (!isInstanceName(chosen)) throw new PlainError(`${chosen} is no name for an instance: ${INSTANCE_NAME_RULE}`)
    const settings = defaultInstanceSettings(record.engineVersion)
    this.#region.control.createInstance({
      name: chosen,
      cluster,
      zone: null,
      settings: { ...settings, promotionTier: tier, instanceClass: instanceClass ?? settings.instanceClass },
    })
    const problem = await this.#untilAvailable(chosen)
    if (problem !== undefined) throw new PlainError(`instance ${chosen} is made, but not available: ${problem}`)
    return chosen
  }

  #nextName(cluster: string): string {
    for (let i = 1; ; i++) if (this.#region.store().instance(`${cluster}-${i}`) === undefined) return `${cluster}-${i}`
  }

  async deleteInstance(name: string): Promise<void> {
    this.#findInstance(name)
    this.#region.control.deleteInstance(name)
    await this.#until(() => (this.#region.store().instance(name) === undefined ? true : undefined))
  }

  async reboot(name: string): Promise<void> {
    this.#findInstance(name)
    this.#region.control.rebootInstance(name, false)
    const problem = await this.#untilAvailable(name)
    if (problem !== undefined) throw new PlainError(`instance ${name} is not available: ${problem}`)
  }

  /** @returns who is the writer now */
  async failover(name: string, to: string | null): Promise<string> {
    this.#find(name)
    this.#region.control.failoverCluster(name, to)
    return this.#until(() => {
      const now = this.#region.store().cluster(name)
      return now === undefined || now.failover === null ? (now?.writer ?? '') : undefined
    })
  }

  /**
   * New code under running engines: the server of each instance's files is replaced by one of the code as it is now. A
   * reader's is replaced with the reader.
   * @returns for how many milliseconds clients of the writer had to wait
   */
  async patch(name: string): Promise<number> {
    const { writer } = this.#find(name)
    if (writer === null) throw new PlainError(`cluster ${name} has no instance`)
    const instance = this.#findInstance(writer)
    if (!this.#region.isAvailable(instance))
      throw new PlainError(`instance ${writer} is not available: try again when it is`)
    const before = this.#region.seen().get(writer)?.report
    this.#region.replaceServer(writer)
    return this.#until(() => {
      const seen = this.#region.seen().get(writer)
      if (seen?.phase !== 'running' || seen.run !== instance.run)
        throw new PlainError(`instance ${writer} ended meanwhile: see borealis status`)
      const { count, problem, pauseMs } = seen.report?.replacements ?? NO_REPLACEMENTS
      if (count === (before?.replacements.count ?? 0)) return undefined
      if (problem !== null) throw new PlainError(`instance ${writer} goes on as it was: ${problem}`)
      return pauseMs ?? 0
    })
  }
}

/** Changes are told; this is for what is not. */
const LOOK_MS = 250
