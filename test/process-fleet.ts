/**
 * A fleet of storage hosts for tests that kill, freeze and damage them: real processes in a temporary home, on ports
 * that stay theirs, registered in a SQLite registry. A host that is down comes back on the same folders and ports.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { NodeOptions } from '../src/storage/node-options.ts'
import { SqliteRegistry } from '../src/volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../src/volume/tcp-fleet.ts'
import { whenWeEnd } from './child-processes.ts'
import { type HostNode, StorageHost } from './fleet-hosts.ts'

/** Sizes at which a few seconds of writing flush, merge, collect and recycle many times over. */
export const SMALL_NODES: Partial<NodeOptions> = {
  logFileBytes: 1 << 20,
  logRetainBytes: 4 << 20,
  flushBytes: 256 << 10,
  memoryBytesMax: 8 << 20,
  layerBytes: 1 << 20,
  indexCacheBytes: 1 << 20,
  reserveBytes: 16 << 20,
  scrubBytesPerSecond: 8 << 20,
  gossipMs: 1000,
}

/**
 * Below what the system gives to outgoing connections: those of other nodes would take the port of one that is down,
 * or connect it to itself.
 */
const EPHEMERAL_PORTS = '/proc/sys/net/ipv4/ip_local_port_range'
const PORT_MIN = 10_000

const taken = new Set<number>()

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

export async function freePort(): Promise<number> {
  const [low = ''] = readFileSync(EPHEMERAL_PORTS, 'utf8').trim().split(/\s+/)
  for (let tries = 0; tries < 1000; tries++) {
    const port = PORT_MIN + Math.floor(Math.random() * (Number(low) - PORT_MIN))
    if (taken.has(port) || !(await isFree(port))) continue
    taken.add(port)
    return port
  }
  throw new Error('there is no free port')
}

/** A host's place in the fleet, whether it runs or not. */
export class HostPlace {
  readonly zone: string
  readonly names: readonly string[]
  readonly folder: string
  readonly ports: readonly number[]
  readonly options: Partial<NodeOptions>
  /** What it said on stderr, in all its lives. */
  complaints = ''
  /** The nodes as they were when it was last ready. */
  nodes: readonly HostNode[] = []
  #host: StorageHost | undefined
  #starting: Promise<void> | undefined
  #isRetired = false

  constructor(place: Pick<HostPlace, 'zone' | 'names' | 'folder' | 'ports' | 'options'>) {
    this.zone = place.zone
    this.names = place.names
    this.folder = place.folder
    this.ports = place.ports
    this.options = place.options
  }

  get isUp(): boolean {
    const process = this.#host?.process
    return process !== undefined && process.exitCode === null && process.signalCode === null
  }

  get pid(): number {
    const pid = this.#host?.process.pid
    assert(this.isUp && pid !== undefined, `the host of ${this.names.join(', ')} does not run`)
    return pid
  }

  /** Does nothing when it runs. */
  start(): Promise<void> {
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined
    })
    return this.#starting
  }

  async #start(): Promise<void> {
    if (this.isUp || this.#isRetired) return
    const { zone, names, folder, ports, options } = this
    const complaint = (text: string): void => {
      this.complaints += text
    }
    this.#host = await StorageHost.start({ zone, names, folder, ports, options, complaint })
    this.nodes = this.#host.nodes
  }

  async register(registry: SqliteRegistry): Promise<void> {
    await this.#host?.register(registry)
  }

  /** What faults are asked of. */
  get control(): string {
    assert(this.#host !== undefined)
    return this.#host.control
  }

  /** As with a power cut of the process: nothing that it holds in memory survives. */
  async kill(): Promise<void> {
    await this.#starting
    await this.#host?.stop('SIGKILL')
  }

  /** Ends it for good, whoever wants to start it again. */
  async retire(): Promise<void> {
    this.#isRetired = true
    await this.#starting?.catch(() => undefined)
    await this.#host?.stop('SIGKILL')
  }

  /** In order. */
  async stop(): Promise<void> {
    await this.#host?.stop()
    const status = this.#host?.process.exitCode ?? 0
    assert.equal(status, 0, `the host of ${this.names.join(', ')} stopped with status ${status}: ${this.complaints}`)
  }

  /** It answers nothing and loses nothing. */
  freeze(): void {
    process.kill(this.pid, 'SIGSTOP')
  }

  thaw(): void {
    if (this.isUp) process.kill(this.pid, 'SIGCONT')
  }

  /** Where a node has its files. */
  folderOf(name: string): string {
    assert(this.names.includes(name))
    return join(this.folder, name)
  }

  /** The node's disk is replaced by an empty one. */
  wipe(name: string): void {
    assert(!this.isUp, `the host of ${name} runs`)
    rmSync(this.folderOf(name), { recursive: true, force: true })
  }
}

/** `zones`: three hosts with two nodes each. `nodes`: six hosts with one. */
export type Layout = 'zones' | 'nodes'

export class ProcessFleet {
  readonly home: string
  readonly registryPath: string
  readonly registry: SqliteRegistry
  readonly hosts: HostPlace[] = []
  readonly #options: Partial<NodeOptions>
  readonly #clients: Fleet[] = []
  readonly #forget: () => void

  private constructor(options: Partial<NodeOptions>) {
    this.#options = options
    this.home = mkdtempSync(join(tmpdir(), 'borealis-fleet-'))
    this.registryPath = join(this.home, 'registry.sqlite')
    this.registry = SqliteRegistry.open(this.registryPath)
    this.#forget = whenWeEnd(() => rmSync(this.home, { recursive: true, force: true, maxRetries: 3 }))
  }

  /** @param prepare makes the folders of nodes what they are to be, before any is started */
  static async start(
    layout: Layout,
    options: Partial<NodeOptions> = SMALL_NODES,
    prepare: (home: string) => void = () => {},
  ): Promise<ProcessFleet> {
    const fleet = new ProcessFleet(options)
    prepare(fleet.home)
    const zones = ['a', 'b', 'c'].map((zone) => ({ zone, names: [`${zone}1`, `${zone}2`] }))
    const places =
      layout === 'zones' ? zones : zones.flatMap(({ zone, names }) => names.map((name) => ({ zone, names: [name] })))
    try {
      await Promise.all(places.map(({ zone, names }) => fleet.addHost(zone, names)))
    } catch (error) {
      await fleet.stop()
      throw error
    }
    return fleet
  }

  async addHost(zone: string, names: readonly string[]): Promise<HostPlace> {
    const ports = await Promise.all(names.map(freePort))
    const host = new HostPlace({ zone, names, folder: this.home, ports, options: this.#options })
    this.hosts.push(host)
    await host.start()
    await host.register(this.registry)
    return host
  }

  host(name: string): HostPlace {
    const host = this.hosts.find(({ names }) => names.includes(name))
    assert(host !== undefined, `no host of ${name}`)
    return host
  }

  addressOf(name: string): string {
    const host = this.host(name)
    return `127.0.0.1:${host.ports[host.names.indexOf(name)]}`
  }

  /** Another program's view of the fleet. */
  client(): Fleet {
    const client = openFleet(this.registry)
    this.#clients.push(client)
    return client
  }

  async startAll(): Promise<void> {
    for (const host of this.hosts) host.thaw()
    await Promise.all(this.hosts.map((host) => host.start()))
  }

  /** A node that stopped by itself may have been started again since: it is a failure all the same. */
  checkThatNoneStopped(): void {
    for (const { names, complaints } of this.hosts) {
      assert.doesNotMatch(complaints, /^node \S+ stopped: /m, `a node of ${names.join(', ')}`)
    }
  }

  /** Stops everything and removes the home. What the hosts complained of is printed, as it is rare and tells much. */
  async stop(): Promise<void> {
    for (const client of this.#clients) client.close()
    await Promise.all(this.hosts.map((host) => host.retire()))
    for (const { names, complaints } of this.hosts) {
      if (complaints !== '') console.log(`host of ${names.join(', ')}: ${complaints.trimEnd()}`)
    }
    this.registry.close()
    rmSync(this.home, { recursive: true, force: true, maxRetries: 3 })
    this.#forget()
  }
}
