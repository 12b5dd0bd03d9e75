/** A region with a cluster under load: transfers of several clients, upkeep beside them, and crashes where wanted. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type Lsn, parseVolumeName, type VolumeId } from '../src/protocol/lsn.ts'
import { SqliteRegistry } from '../src/volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../src/volume/tcp-fleet.ts'
import { checkVolume } from '../src/volume/volume-check.ts'
import { ClusterLoad } from './cluster-load.ts'
import { ClusterUpkeep, createUpkeep } from './cluster-upkeep.ts'
import { checkDatabase } from './database-checks.ts'
import { durableBounds } from './durable-bounds.ts'
import { RegionHome } from './region-home.ts'
import { createTpcb, presentTransfers } from './tpcb.ts'

/** Small enough to be flushed, merged and recycled while the load runs; a log file holds a write of a mebibyte. */
const NODE_SETTINGS = ['logFileBytes=4194304', 'logRetainBytes=8388608', 'flushBytes=1048576', 'layerBytes=4194304']
const UP = ['--memory-mib', '128', ...NODE_SETTINGS.flatMap((setting) => ['--set', setting])]

export const CLUSTER = 'demo'

export class LoadedCluster implements AsyncDisposable {
  readonly home: RegionHome
  readonly fleet: Fleet
  readonly volume: VolumeId
  readonly load: ClusterLoad
  readonly upkeep: ClusterUpkeep
  /** Where the history began that is of interest: from here on all tables are there. */
  readonly began: Lsn
  readonly #registry: SqliteRegistry

  private constructor(
    home: RegionHome,
    registry: SqliteRegistry,
    parts: { fleet: Fleet; volume: VolumeId; load: ClusterLoad; upkeep: ClusterUpkeep; began: Lsn },
  ) {
    this.home = home
    this.#registry = registry
    this.fleet = parts.fleet
    this.volume = parts.volume
    this.load = parts.load
    this.upkeep = parts.upkeep
    this.began = parts.began
  }

  static async make(seed: number, clients: number): Promise<LoadedCluster> {
    const home = await RegionHome.make(UP)
    try {
      return await LoadedCluster.#fill(home, seed, clients)
    } catch (error) {
      await home[Symbol.asyncDispose]()
      throw error
    }
  }

  static async #fill(home: RegionHome, seed: number, clients: number): Promise<LoadedCluster> {
    await home.up()
    const client = await home.superuser()
    await createTpcb(client)
    await createUpkeep(client)
    await client.query('GRANT ALL ON ALL TABLES IN SCHEMA public TO postgres')
    await client.end()
    const { clusters } = await home.status()
    const volume = parseVolumeName(clusters[0]?.volume.id ?? '')
    assert(volume !== undefined)
    const registry = SqliteRegistry.open(join(home.root, 'region', 'registry.sqlite'))
    const fleet = openFleet(registry)
    const bounds = () => durableBounds(fleet, volume)
    const now = await bounds()
    assert(now !== undefined)
    const load = new ClusterLoad({ connect: () => home.connect(CLUSTER), bounds }, seed, clients, now.durable)
    const upkeep = new ClusterUpkeep(() => home.superuser(CLUSTER), seed)
    // The tables may lie above what was known to be durable, but not above what the nodes hold.
    return new LoadedCluster(home, registry, { fleet, volume, load, upkeep, began: now.reached })
  }

  start(): void {
    this.load.start()
    this.upkeep.start()
  }

  async stop(): Promise<void> {
    await Promise.all([this.load.stop(), this.upkeep.stop()])
  }

  /** What is there at the head, held against what clients were told. The load has stopped. @returns what is wrong */
  async check(): Promise<string[]> {
    const client = await this.home.superuser(CLUSTER)
    try {
      const present = await presentTransfers(client)
      const problems = [...this.load.judge(present), ...this.load.problems, ...this.upkeep.problems]
      this.load.settle(present)
      return [...problems, ...(await checkDatabase(client)).problems]
    } finally {
      await client.end()
    }
  }

  /** All copies of all blocks. @returns what is wrong */
  async checkCopies(volume = this.volume): Promise<string[]> {
    const { differences, missing } = await checkVolume(this.fleet.context, volume)
    return [
      ...differences.map(({ block }) => `block ${block} is not the same on all copies`),
      ...missing.map(({ node, group, error }) => `group ${group} of ${node} was not compared: ${error.message}`),
    ]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.fleet.close()
    this.#registry.close()
    await this.home[Symbol.asyncDispose]()
  }
}
