/** A fleet of six nodes in three processes on a folder, with what is measured of it. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { NodeStatus } from '../../src/protocol/calls.ts'
import { SqliteRegistry } from '../../src/volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../../src/volume/tcp-fleet.ts'
import type { Volumes } from '../../src/volume/volumes.ts'
import { type FleetHosts, startFleetHosts } from '../../test/fleet-hosts.ts'
import { type ProcessorTime, processorTime, residentBytes } from './processor-time.ts'

export class BenchFleet {
  readonly folder: string
  readonly registryPath: string
  readonly #registry: SqliteRegistry
  readonly #hosts: FleetHosts
  readonly #fleet: Fleet

  private constructor(folder: string, registryPath: string, registry: SqliteRegistry, hosts: FleetHosts) {
    this.folder = folder
    this.registryPath = registryPath
    this.#registry = registry
    this.#hosts = hosts
    this.#fleet = openFleet(registry)
  }

  static async start(folder: string): Promise<BenchFleet> {
    mkdirSync(folder, { recursive: true })
    const registryPath = join(folder, 'registry.sqlite')
    const registry = SqliteRegistry.open(registryPath)
    try {
      return new BenchFleet(folder, registryPath, registry, await startFleetHosts({ folder, registry }))
    } catch (error) {
      registry.close()
      throw error
    }
  }

  async stop(): Promise<void> {
    this.#fleet.close()
    await this.#hosts.stop()
    this.#registry.close()
  }

  get volumes(): Volumes {
    return this.#fleet.volumes
  }

  get hostPids(): readonly number[] {
    return this.#hosts.hosts.map(({ process }) => process.pid as number)
  }

  get nodeFolders(): readonly string[] {
    return this.#hosts.hosts.flatMap(({ nodes }) => nodes.map((node) => node.folder))
  }

  hostTime(): ProcessorTime {
    return processorTime(this.hostPids)
  }

  hostMemory(): number {
    return residentBytes(this.hostPids)
  }

  async status(): Promise<NodeStatus[]> {
    const addresses = this.#hosts.hosts.flatMap(({ nodes }) => nodes.map(({ address }) => address))
    const { client } = this.#fleet.context
    return Promise.all(addresses.map(async (address) => (await client.call(address, 'status', {}, 5000)).value))
  }

  /** Resolves when no node has background work, or after so long. */
  async settle(msMax: number): Promise<boolean> {
    const until = performance.now() + msMax
    let before = ''
    for (let quiet = 0; performance.now() < until; ) {
      const run = this.hostTime().runUs
      await new Promise((resolve) => setTimeout(resolve, 500))
      const counters = JSON.stringify((await this.status()).map((status) => status.counters))
      // Six nodes that only keep time need less than a tenth of a core.
      const idle = this.hostTime().runUs - run < 50_000
      quiet = idle && counters === before ? quiet + 1 : 0
      if (quiet === 2) return true
      before = counters
    }
    return false
  }
}
