/** Instances of one cluster on a fleet: each a process of its own, reached by its control socket. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { issueServer } from '../src/engine/certificates.ts'
import { generatePassword } from '../src/engine/postgres/passwords.ts'
import { clearMounts } from '../src/fuse/real-mount.ts'
import type { InstanceCommand } from '../src/instance/instance-command.ts'
import { mountPlace, runFolder } from '../src/instance/instance-folder.ts'
import { type InstanceReport, readReport } from '../src/instance/instance-report.ts'
import { type InstanceSettingsFile, SERVER_MEMORY_MIB, writeSettings } from '../src/instance/settings-file.ts'
import { endWithUs } from './child-processes.ts'
import { authority, connectAsSuperuser, engineHome, MASTER } from './postgres-instance.ts'
import type { ProcessFleet } from './process-fleet.ts'
import { pause } from './waiting.ts'

const PROGRAM = join(import.meta.dirname, '..', 'src', 'instance', 'instance-main.ts')
const PORT = 15_433
const validity = { nowMs: Date.now(), days: 1 }
let addresses = 0

/** A machine that has other work to do. */
const WAIT_MS_MAX = 90_000

export interface ClusterPlace {
  readonly fleet: ProcessFleet
  readonly volume: string
  readonly version: string
}

export class InstanceProcess {
  readonly settings: InstanceSettingsFile
  /** The last thing that was heard of the present process. */
  report: InstanceReport | undefined
  /** How often it was heard. */
  reports = 0
  #child: ChildProcess | undefined
  #socket: Socket | undefined

  constructor({ fleet, volume, version }: ClusterPlace, name: string, secrets: ClusterSecrets) {
    const address = `127.${64 + (process.pid % 64)}.${(process.pid >> 6) % 256}.${200 + ++addresses}`
    const folder = join(fleet.home, name)
    mkdirSync(folder, { recursive: true, mode: 0o755 })
    this.settings = {
      name,
      cluster: 'test',
      run: 0,
      role: 'writer',
      folder,
      home: engineHome,
      registry: fleet.registryPath,
      volume,
      version,
      address,
      port: PORT,
      memoryMib: 128,
      serverMemoryMib: SERVER_MEMORY_MIB,
      overlayMib: 256,
      ...issueServer(authority, [address], validity),
      authorityCertificate: authority.certificate,
      master: { name: MASTER, password: secrets.master },
      replicationPassword: secrets.replication,
      primary: null,
      parameters: {},
      control: join(folder, 'control'),
    }
  }

  get address(): { readonly host: string; readonly port: number } {
    return { host: this.settings.address, port: this.settings.port }
  }

  /** Another start of it, as what is wanted of it now. */
  async start(wanted: Partial<InstanceSettingsFile>): Promise<void> {
    assert(this.#child === undefined, `${this.settings.name} runs`)
    Object.assign(this.settings, { run: this.settings.run + 1, ...wanted })
    const path = join(this.settings.folder, 'settings.json')
    writeSettings(path, this.settings)
    this.report = undefined
    const child = endWithUs(
      spawn(process.execPath, [PROGRAM, '--settings', path], {
        stdio: ['ignore', 'ignore', 'inherit'],
        detached: true,
      }),
    )
    this.#child = child
    child.once('exit', () => {
      if (this.#child === child) this.#child = undefined
    })
    await this.#connect()
  }

  async #connect(): Promise<void> {
    for (const end = performance.now() + WAIT_MS_MAX; performance.now() < end; await pause(20)) {
      const socket = createConnection(this.settings.control ?? '')
      const isConnected = await once(socket, 'connect').then(
        () => true,
        () => false,
      )
      socket.on('error', () => {})
      if (!isConnected) continue
      createInterface({ input: socket }).on('line', (line) => {
        this.report = readReport(JSON.parse(line))
        this.reports++
      })
      this.#socket = socket
      return
    }
    throw new Error(`${this.settings.name} cannot be reached`)
  }

  get pid(): number {
    assert(this.#child?.pid !== undefined, `${this.settings.name} does not run`)
    return this.#child.pid
  }

  get isUp(): boolean {
    return this.#child !== undefined
  }

  ask(command: InstanceCommand | object): void {
    this.#socket?.write(`${JSON.stringify(command)}\n`)
  }

  /** @returns the report in which something has become true */
  async until(what: string, holds: (report: InstanceReport) => boolean, msMax = WAIT_MS_MAX): Promise<InstanceReport> {
    for (const end = performance.now() + msMax; performance.now() < end; await pause(5)) {
      const { report } = this
      if (report !== undefined && holds(report)) return report
    }
    throw new Error(`${this.settings.name} was not ${what}: ${JSON.stringify(this.report)}`)
  }

  available(): Promise<InstanceReport> {
    return this.until('available', ({ state, pid }) => state === 'available' && pid === this.#child?.pid)
  }

  /** @returns its status; null for a signal */
  async ended(): Promise<number | null> {
    const child = this.#child
    if (child === undefined) return null
    const [status] = await once(child, 'exit')
    return status as number | null
  }

  async stop(): Promise<number | null> {
    if (this.#child === undefined) return null
    const ended = this.ended()
    this.#child.kill('SIGTERM')
    return ended
  }

  /** The engine with it, as with a power cut of its machine. */
  async kill(): Promise<void> {
    if (this.#child === undefined) return
    const ended = this.ended()
    this.ask({ do: 'crash', what: 'node' })
    const late = setTimeout(() => this.#child?.kill('SIGKILL'), 5000)
    await ended
    clearTimeout(late)
  }

  async connect(): Promise<pg.Client> {
    const { address, port, master } = this.settings
    const client = new pg.Client({
      host: address,
      port,
      user: master.name,
      password: master.password,
      database: 'postgres',
      ssl: { ca: authority.certificate, host: address },
    })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  async query(statement: string, values?: unknown[]): Promise<readonly Record<string, unknown>[]> {
    const client = await this.connect()
    try {
      return (await client.query(statement, values)).rows
    } finally {
      client.end().catch(() => {})
    }
  }

  superuser(): Promise<pg.Client> {
    return connectAsSuperuser(runFolder(this.settings.folder), this.settings.port)
  }

  /** Its engine's log. */
  log(): string {
    return readFileSync(join(this.settings.folder, 'logs', 'startup.log'), 'utf8')
  }

  async remove(): Promise<void> {
    await this.kill()
    await clearMounts(mountPlace(this.settings.folder))
  }
}

export interface ClusterSecrets {
  readonly master: string
  readonly replication: string
}

export const newSecrets = (): ClusterSecrets => ({ master: generatePassword(), replication: generatePassword() })
