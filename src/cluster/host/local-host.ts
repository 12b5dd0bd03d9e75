/** The instances of this machine: processes that outlive us, each known by its folder, and adopted when we come back. */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { engineAccount, openFolders } from '../../engine/account.ts'
import { installPostgres } from '../../engine/postgres/binaries.ts'
import { preparedTemplate } from '../../engine/postgres/template.ts'
import { selectVersion } from '../../engine/postgres/versions.ts'
import { clearMounts, placeOf } from '../../fuse/real-mount.ts'
import type { InstanceCommand } from '../../instance/instance-command.ts'
import { type InstanceReport, readReport } from '../../instance/instance-report.ts'
import { endProcessesIn, killProcessesIn } from '../../instance/left-processes.ts'
import { SERVER_MEMORY_MIB, writeSettings } from '../../instance/settings-file.ts'
import type { Ending } from '../cluster-records.ts'
import { type HostAgent, type HostLogFile, type InstanceOrder, PLACE_TAKEN, type SeenInstance } from '../host-agent.ts'
import { Daemon, type DaemonPlace } from './daemon.ts'
import { isFree } from './free-address.ts'
import { type Home, instanceFolder, instanceSocket, logFile, mountFolder } from './home.ts'
import type { MountingCommand } from './mount-check.ts'
import { endAll, isAlive } from './process-identity.ts'
import type { ListedProcess, ProcessList } from './process-list.ts'
import { endUnlisted } from './unlisted-instance.ts'

export interface LocalHostOptions {
  readonly home: Home
  readonly list: ProcessList
  readonly mounting: MountingCommand
  /** Of each engine whose class does not say; by the machine's when it is not given. */
  readonly memoryMib: number | undefined
  /** What people may want to know. */
  readonly say: (line: string) => void
}

/** Another program listens where an instance is to. */
export class PlaceTaken extends Error {
  // By which it is known again when it comes from another machine.
  override readonly name = PLACE_TAKEN
}

const PROGRAM = join(import.meta.dirname, '..', '..', 'instance', 'instance-main.ts')
/** Longer than an instance gives itself. */
const STOP_MS_MAX = 100_000
/** Nothing waits for a killed process but the kernel. */
const KILL_MS_MAX = 10_000
const MIB = 1 << 20

/** A sixteenth: several of them, six storage nodes and whatever else runs here share the machine. */
function defaultMemoryMib(): number {
  const limit = process.constrainedMemory()
  const memory = limit > 0 ? Math.min(totalmem(), limit) : totalmem()
  return Math.min(Math.max(Math.floor(memory / 16 / MIB), 256), 2048)
}

const engineLogs = (home: Home, name: string): string => join(instanceFolder(home, name), 'logs')

/** Whether somebody who watches should look: figures change all the time. */
function isNews(before: InstanceReport | null, now: InstanceReport): boolean {
  return (
    before === null ||
    before.run !== now.run ||
    before.state !== now.state ||
    before.storage !== now.storage ||
    before.rebuild !== now.rebuild ||
    before.primary?.host !== now.primary?.host ||
    before.enginePid !== now.enginePid ||
    before.serverPid !== now.serverPid ||
    before.replacements.count !== now.replacements.count
  )
}

export class LocalHost implements HostAgent {
  readonly #options: LocalHostOptions
  readonly #seen = new Map<string, SeenInstance>()
  readonly #daemons = new Map<string, Daemon>()
  readonly #listeners: ((name: string) => void)[] = []
  readonly #engines = new Map<string, Promise<unknown>>()

  constructor(options: LocalHostOptions) {
    this.#options = options
  }

  /** Takes over what the last one left running. Resolves when each has said how it is, or is silent. */
  async adopt(left: readonly ListedProcess[]): Promise<number> {
    const mine = left.filter((each) => each.kind === 'instance' && isAlive(each))
    for (const process of mine) {
      this.#see(process.name, { run: null, phase: 'running', report: null, reason: null })
      this.#daemons.set(process.name, Daemon.adopt(process, this.#placeOf(process.name)))
      this.#options.list.add('instance', process.name, process.pid, process.ports)
    }
    for (const { kind, name, pid, ports } of left) if (kind === 'server') this.#options.list.add(kind, name, pid, ports)
    for (const end = performance.now() + ADOPT_MS_MAX; performance.now() < end; await pause(10)) {
      if (mine.every(({ name }) => this.#seen.get(name)?.report !== null)) break
    }
    return mine.length
  }

  seen(): ReadonlyMap<string, SeenInstance> {
    return this.#seen
  }

  onChange(listener: (name: string) => void): void {
    this.#listeners.push(listener)
  }

  #changed(name: string): void {
    for (const listener of this.#listeners) listener(name)
  }

  #see(name: string, now: Pick<SeenInstance, 'run' | 'phase' | 'report' | 'reason'>): void {
    const before = this.#seen.get(name)
    const nowMs = performance.now()
    const isSame = before?.run === now.run
    const since = (was: number | null | undefined, holds: boolean): number | null =>
      holds ? ((isSame ? was : null) ?? nowMs) : null
    this.#seen.set(name, {
      name,
      ...now,
      heardMs: nowMs,
      waitingSinceMs: since(before?.waitingSinceMs, now.report?.storage === 'waiting'),
      availableSinceMs: since(before?.availableSinceMs, now.phase === 'running' && now.report?.state === 'available'),
    })
  }

  // -------------------------------------------------------------- starting

  /** @throws PlaceTaken; Error when it cannot be started */
  async start(order: InstanceOrder): Promise<void> {
    const { home, list, mounting } = this.#options
    const { name, run } = order
    try {
      await endUnlisted(instanceSocket(home, name), KILL_MS_MAX)
      await this.#clear(name)
      await this.#prepareEngine(order.version)
      const folder = instanceFolder(home, name)
      mkdirSync(folder, { recursive: true, mode: 0o755 })
      for (const opened of await openFolders(folder, engineAccount()))
        this.#options.say(`the engine's user may pass through ${opened} now (chmod o+x), and no more`)
      if (!(await isFree(order.address, order.port)))
        throw new PlaceTaken(`${order.address}:${order.port} is in use by another program`)
      const file = join(folder, 'settings.json')
      const { memoryMib, ...rest } = order
      writeSettings(file, {
        ...rest,
        folder,
        home: home.root,
        registry: home.registry,
        memoryMib: memoryMib ?? this.#options.memoryMib ?? defaultMemoryMib(),
        serverMemoryMib: SERVER_MEMORY_MIB,
        control: instanceSocket(home, name),
      })
      this.#see(name, { run, phase: 'running', report: null, reason: null })
      const command = mounting([process.execPath, PROGRAM, '--settings', file])
      const daemon = await Daemon.start(command, logFile(home, name), this.#placeOf(name))
      this.#daemons.set(name, daemon)
      list.add('instance', name, daemon.identity.pid, [order.port])
    } catch (error) {
      this.#see(name, { run, phase: 'gone', report: null, reason: messageOf(error) })
      throw error
    } finally {
      this.#changed(name)
    }
  }

  /** Binaries and template, once for a version. */
  #prepareEngine(version: string): Promise<unknown> {
    const known = this.#engines.get(version)
    if (known !== undefined) return known
    const { home } = this.#options
    const prepared = installPostgres(home.root, selectVersion(version), engineAccount()).then(preparedTemplate)
    this.#engines.set(version, prepared)
    // To be tried again.
    prepared.catch(() => this.#engines.delete(version))
    return prepared
  }

  #placeOf(name: string): DaemonPlace {
    return {
      socket: instanceSocket(this.#options.home, name),
      onMessage: (message) => this.#heard(name, message),
      onGone: (why) => this.#gone(name, why),
    }
  }

  #heard(name: string, message: unknown): void {
    const report = readReport(message)
    const before = this.#seen.get(name)
    if (report === undefined || before === undefined || before.phase === 'gone') return
    this.#see(name, { run: report.run, phase: 'running', report, reason: null })
    if (report.serverPid !== null && report.serverPid !== before.report?.serverPid)
      this.#options.list.add('server', name, report.serverPid, [])
    this.#tellPeople(name, before.report, report)
    if (isNews(before.report, report)) this.#changed(name)
  }

  #tellPeople(name: string, before: InstanceReport | null, now: InstanceReport): void {
    const { say } = this.#options
    if (before?.storage !== 'waiting' && now.storage === 'waiting')
      say(`instance ${name}: the storage quorum does not answer, operations wait`)
    if (before?.storage === 'waiting' && now.storage === 'ok') say(`instance ${name}: the storage quorum answers again`)
    if (now.state === 'recovering' && before?.state !== 'recovering')
      say(`instance ${name}: the engine ended (${now.reason}); it is started again`)
  }

  #gone(name: string, why: string): void {
    const before = this.#seen.get(name)
    this.#daemons.delete(name)
    this.#options.list.remove('instance', name)
    if (before === undefined) return
    const said = before.report?.state === 'fenced' ? 'another has opened its volume' : before.report?.reason
    this.#see(name, { run: before.run, phase: 'gone', report: before.report, reason: said ?? why })
    this.#changed(name)
  }

  // -------------------------------------------------------------- ending

  async end(name: string, how: Ending): Promise<void> {
    const daemon = this.#daemons.get(name)
    if (daemon !== undefined) {
      if (how === 'stop') {
        daemon.signal('SIGTERM')
        const late = pause(STOP_MS_MAX, undefined, { ref: false })
        await Promise.race([daemon.gone, late])
      }
      // First who would start others again.
      daemon.signal('SIGKILL')
    }
    await this.#clear(name)
    await daemon?.gone
  }

  /** What an instance leaves that did not end in order: its engine, the server of its files, the mount. */
  async #clear(name: string): Promise<void> {
    const { home, list } = this.#options
    // The place itself is not looked at: it may be a dead mount.
    const folder = instanceFolder(home, name)
    if (!existsSync(folder) || !readdirSync(folder).includes(basename(mountFolder(home, name)))) return
    const place = placeOf(mountFolder(home, name))
    killProcessesIn(place)
    const server = list.get('server', name)
    if (server !== undefined && isAlive(server)) {
      process.kill(server.pid, 'SIGKILL')
      await endAll([server], KILL_MS_MAX)
    }
    list.remove('server', name)
    await endProcessesIn(place)
    await clearMounts(place)
  }

  async remove(name: string): Promise<void> {
    await this.end(name, 'stop')
    rmSync(instanceFolder(this.#options.home, name), { recursive: true, force: true })
    rmSync(logFile(this.#options.home, name), { force: true })
    this.#seen.delete(name)
    this.#changed(name)
  }

  tell(name: string, command: InstanceCommand): void {
    this.#daemons.get(name)?.send(command)
  }

  /** Nothing more is heard of them; they go on. */
  leave(): void {
    for (const daemon of this.#daemons.values()) daemon.leave()
  }

  // -------------------------------------------------------------- logs

  async logFiles(name: string): Promise<readonly HostLogFile[]> {
    const folder = engineLogs(this.#options.home, name)
    const names = await readdir(folder).catch(() => [])
    const files = await Promise.all(
      names.map(async (file) => {
        const { size, mtimeMs } = await stat(join(folder, file))
        return { name: file, bytes: size, writtenMs: mtimeMs }
      }),
    )
    return files.sort((a, b) => a.writtenMs - b.writtenMs)
  }

  async readLogFile(name: string, file: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    // Nothing but a name gets us out of the folder.
    if (basename(file) !== file || file.startsWith('.')) return undefined
    const handle = await open(join(engineLogs(this.#options.home, name), file)).catch(() => undefined)
    if (handle === undefined) return undefined
    try {
      const { bytesRead, buffer } = await handle.read(Buffer.alloc(length), 0, length, offset)
      return buffer.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  }
}

/** An instance speaks twice a second. */
const ADOPT_MS_MAX = 2000

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
