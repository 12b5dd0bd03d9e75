/** PostgreSQL on the six-copy volume: three zone processes with two nodes each, and an instance process. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createAuthority, issueServer } from '../../src/engine/certificates.ts'
import { generatePassword } from '../../src/engine/postgres/passwords.ts'
import { BUFFERS_SHARE } from '../../src/engine/postgres/settings.ts'
import { SUPERUSER } from '../../src/engine/postgres/template.ts'
import { type InstanceReport, parseReport } from '../../src/instance/instance-report.ts'
import { SERVER_MEMORY_MIB, writeSettings } from '../../src/instance/settings-file.ts'
import { nodeId, volumeName } from '../../src/protocol/lsn.ts'
import { registerNode } from '../../src/volume/fleet-nodes.ts'
import { SqliteRegistry } from '../../src/volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../../src/volume/tcp-fleet.ts'
import { endWithUs } from '../../test/child-processes.ts'
import { type FleetHosts, startFleetHosts } from '../../test/fleet-hosts.ts'
import { engineHome } from '../../test/postgres-instance.ts'
import type { Delays } from './delays.ts'
import type { Reach } from './load.ts'
import type { Counters } from './side.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'src', 'instance', 'instance-main.ts')
const MIB = 1 << 20
const STATUS_MS_MAX = 5000

export interface VolumePlace {
  readonly folder: string
  readonly version: string
  /** `shared_buffers`, as on the other sides. */
  readonly buffersBytes: number
  readonly address: string
  readonly port: number
  /** Between zones; without it nodes are reached directly. */
  readonly delays: Delays | undefined
}

export class VolumeServer {
  readonly #place: VolumePlace
  readonly #registry: SqliteRegistry
  readonly #hosts: FleetHosts
  readonly #fleet: Fleet
  readonly #instance: ChildProcess
  #report: InstanceReport | undefined
  #changed: () => void = () => {}

  private constructor(place: VolumePlace, registry: SqliteRegistry, hosts: FleetHosts, fleet: Fleet, volume: string) {
    this.#place = place
    this.#registry = registry
    this.#hosts = hosts
    this.#fleet = fleet
    this.#instance = this.#start(volume)
  }

  static async start(place: VolumePlace): Promise<VolumeServer> {
    const { folder, delays } = place
    mkdirSync(folder, { recursive: true })
    const registry = SqliteRegistry.open(join(folder, 'registry.sqlite'))
    const hosts = await startFleetHosts({ folder, registry })
    // The writer is in zone a: what goes to or comes from a node of another zone takes longer.
    for (const { zone, nodes } of delays === undefined ? [] : hosts.hosts.filter((host) => host.zone !== 'a')) {
      for (const { node, incarnation, address } of nodes) {
        const far = await delays?.to(address)
        await registerNode(registry, { node: nodeId(node), incarnation, zone, address: far ?? address, state: 'ready' })
      }
    }
    const fleet = openFleet(registry)
    let server: VolumeServer | undefined
    try {
      server = new VolumeServer(place, registry, hosts, fleet, volumeName(await fleet.volumes.create()))
      await server.#available()
      return server
    } catch (error) {
      await (server?.stop() ?? hosts.stop())
      throw error
    }
  }

  #start(volume: string): ChildProcess {
    const { folder, version, buffersBytes, address, port } = this.#place
    const own = join(folder, 'instance')
    mkdirSync(own, { recursive: true, mode: 0o755 })
    const validity = { nowMs: Date.now(), days: 1 }
    const authority = createAuthority('Borealis bench', validity)
    const settings = join(own, 'settings.json')
    writeSettings(settings, {
      name: 'bench-1',
      cluster: 'bench',
      run: 0,
      role: 'writer',
      folder: own,
      home: engineHome,
      registry: join(folder, 'registry.sqlite'),
      volume,
      version,
      address,
      port,
      memoryMib: Math.ceil(buffersBytes / BUFFERS_SHARE / MIB),
      serverMemoryMib: SERVER_MEMORY_MIB,
      ...issueServer(authority, [address], validity),
      authorityCertificate: authority.certificate,
      master: { name: 'postgres', password: generatePassword() },
      replicationPassword: generatePassword(),
      primary: null,
      parameters: {},
      control: null,
    })
    const args = [PROGRAM, '--settings', settings]
    const log = openSync(join(folder, 'instance.log'), 'a')
    const child = endWithUs(spawn(process.execPath, args, { stdio: ['pipe', 'pipe', log], cwd: folder }))
    createInterface({ input: child.stdout! }).on('line', (line) => {
      this.#report = parseReport(line) ?? this.#report
      this.#changed()
    })
    child.once('exit', () => this.#changed())
    return child
  }

  async #available(): Promise<void> {
    while (this.#report?.state !== 'available') {
      if (this.#instance.exitCode !== null) {
        const log = readFileSync(join(this.#place.folder, 'instance.log'), 'utf8')
        throw new Error(`the instance ended: ${this.#report?.reason ?? log.trim().split('\n').at(-1)}`)
      }
      await new Promise<void>((resolve) => {
        this.#changed = resolve
      })
    }
  }

  get reach(): Reach {
    return { socketFolder: join(this.#place.folder, 'instance', 'run'), port: this.#place.port, user: SUPERUSER }
  }

  get enginePid(): number {
    return this.#report?.enginePid ?? 0
  }

  get instancePid(): number {
    return this.#instance.pid ?? 0
  }

  get zonePids(): readonly number[] {
    return this.#hosts.hosts.map(({ process }) => process.pid ?? 0)
  }

  /** How long the log is: what every copy was sent, without the messages' headers. */
  async counters(): Promise<Counters> {
    const { address } = this.#hosts.hosts[0]!.nodes[0]!
    const { value } = await this.#fleet.context.client.call(address, 'status', {}, STATUS_MS_MAX)
    const log = value.volumes.flatMap(({ segments }) => segments.map(({ scl }) => scl as number))
    return { 'log bytes': Math.max(0, ...log) }
  }

  async stop(): Promise<void> {
    if (this.#instance.exitCode === null && this.#instance.signalCode === null) {
      const exit = once(this.#instance, 'exit')
      this.#instance.kill('SIGTERM')
      await exit
    }
    this.#fleet.close()
    await this.#hosts.stop()
    this.#registry.close()
  }
}
