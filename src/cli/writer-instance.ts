/** The process of a cluster's writer: started, heard, started again, stopped. */
import { mkdirSync, readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { generatePassword } from '../engine/postgres/passwords.ts'
import { clearMounts, placeOf } from '../fuse/real-mount.ts'
import type { Endpoint } from '../gateway/endpoint.ts'
import { type EndpointType, endpointName } from '../gateway/endpoint-name.ts'
import type { PublishedNames } from '../gateway/published-names.ts'
import { type InstanceReport, NO_REPLACEMENTS, parseReport } from '../instance/instance-report.ts'
import { STATUS_FENCED } from '../instance/server-report.ts'
import { SERVER_MEMORY_MIB, writeSettings } from '../instance/settings-file.ts'
import { volumeName } from '../protocol/lsn.ts'
import { PlainError } from '../cluster/plain-error.ts'
import type { ClusterRecord } from './cluster-record.ts'
import { type Home, instanceFolder, logFile, mountFolder, passwordFile } from '../cluster/host/home.ts'
import type { MountingCommand } from '../cluster/host/mount-check.ts'
import { endAll } from '../cluster/host/process-identity.ts'
import type { ProcessList } from '../cluster/host/process-list.ts'
import { writeServerCertificate } from '../cluster/authority.ts'
import type { ClusterStatus, EndpointStatus, InstanceStatus } from './region-status.ts'
import { type NextStart, SupervisedProcess } from '../cluster/host/supervised-process.ts'

const PROGRAM = join(import.meta.dirname, '..', 'instance', 'instance-main.ts')
/** Longer than an instance gives itself. */
const STOP_MS_MAX = 100_000

const MIB = 1 << 20

/** A sixteenth: several of them, six storage nodes and whatever else runs here share the machine. */
function defaultMemoryMib(): number {
  const limit = process.constrainedMemory()
  const memory = limit > 0 ? Math.min(totalmem(), limit) : totalmem()
  return Math.min(Math.max(Math.floor(memory / 16 / MIB), 256), 2048)
}

/** Usage was wrong: it would be so again. */
const STATUS_USAGE = 2
/**
 * Somebody else has opened the volume. That this instance is the cluster's writer is the region's to say, so it takes the
 * volume back; not at once, so that two who both believe so can be seen by people, and do little harm.
 */
const FENCED_PAUSE_MS = 5000
/** To unmount, after the supervisor was killed. */
const SERVER_END_MS_MAX = 5000

function nextStart(status: number | null): NextStart {
  if (status === STATUS_FENCED) return FENCED_PAUSE_MS
  return status === STATUS_USAGE ? 'never' : 'later'
}

interface WriterPlace {
  readonly home: Home
  readonly list: ProcessList
  readonly memoryMib: number | undefined
  readonly mounting: MountingCommand
  readonly names: PublishedNames
  readonly say: (line: string) => void
}

export class WriterInstance {
  readonly cluster: ClusterRecord
  readonly #place: WriterPlace
  readonly #process: SupervisedProcess
  #report: InstanceReport | undefined
  #waiting: (() => void)[] = []
  /** One after the other. */
  #replacing: Promise<void> = Promise.resolve()

  constructor(cluster: ClusterRecord, place: WriterPlace) {
    this.cluster = cluster
    this.#place = place
    const { name, port } = cluster.writer
    const { home, list, say } = place
    this.#process = new SupervisedProcess({
      command: async () => {
        await this.#endServer()
        return this.#command()
      },
      log: logFile(home, name),
      onLine: (line) => this.#heard(line),
      onStart: (pid) => {
        // What the one before said last is not true of this one.
        this.#report = undefined
        list.add('instance', name, pid, [port])
      },
      onEnd: (status) => {
        list.remove('instance', name)
        return nextStart(status)
      },
      onTrouble: (what) => {
        const why = this.#reason ?? what
        say(`instance ${name}: ${why}${this.#process.state === 'given-up' ? '' : '; it is started again'}`)
        this.#wake()
      },
    })
  }

  /** One that stands still does not notice that its supervisor was killed. */
  async #endServer(): Promise<void> {
    const { list } = this.#place
    const { name } = this.cluster.writer
    const server = list.get('server', name)
    if (server !== undefined) await endAll([server], SERVER_END_MS_MAX)
    list.remove('server', name)
  }

  get #reason(): string | null {
    if (this.#report?.state === 'fenced') return `another has opened its volume; it is taken back in a few seconds`
    return this.#report?.reason ?? null
  }

  #command(): readonly [string, ...string[]] {
    const {
      cluster,
      cluster: { writer },
    } = this
    const { home, memoryMib, mounting } = this.#place
    const folder = instanceFolder(home, writer.name)
    mkdirSync(folder, { recursive: true, mode: 0o755 })
    const files = writeServerCertificate(home, folder, [
      writer.address,
      ...this.endpoints().map(({ dnsName }) => dnsName),
    ])
    const settings = join(folder, 'settings.json')
    writeSettings(settings, {
      name: writer.name,
      cluster: cluster.name,
      run: 0,
      role: 'writer',
      folder,
      home: home.root,
      registry: home.registry,
      volume: cluster.volume === null ? '' : volumeName(cluster.volume),
      version: cluster.engineVersion,
      address: writer.address,
      port: writer.port,
      memoryMib: memoryMib ?? defaultMemoryMib(),
      serverMemoryMib: SERVER_MEMORY_MIB,
      certificate: readFileSync(files.certificate, 'utf8'),
      key: readFileSync(files.key, 'utf8'),
      authorityCertificate: readFileSync(home.authorityCertificate, 'utf8'),
      master: { name: cluster.master, password: readFileSync(passwordFile(home, cluster.name), 'utf8').trim() },
      // No reader follows it.
      replicationPassword: generatePassword(),
      primary: null,
      parameters: {},
      control: null,
    })
    return mounting([process.execPath, PROGRAM, '--settings', settings])
  }

  #heard(line: string): void {
    const report = parseReport(line)
    if (report === undefined) return
    const before = this.#report
    this.#report = report
    if (report.state === 'available') this.#process.ready()
    if (report.serverPid !== null && report.serverPid !== before?.serverPid)
      this.#place.list.add('server', this.cluster.writer.name, report.serverPid, [])
    if (before?.storage !== report.storage && report.storage === 'waiting')
      this.#place.say(`instance ${this.cluster.writer.name}: the storage quorum does not answer, operations wait`)
    if (before?.storage === 'waiting' && report.storage === 'ok')
      this.#place.say(`instance ${this.cluster.writer.name}: the storage quorum answers again`)
    if (report.state === 'recovering' && before?.state !== 'recovering')
      this.#place.say(`instance ${this.cluster.writer.name}: the engine ended (${report.reason}); it is started again`)
    const { count } = report.replacements
    if (before?.state !== report.state || before.replacements.count !== count) this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  get isAvailable(): boolean {
    return this.#process.pid !== undefined && this.#report?.state === 'available'
  }

  /** @returns why it is not available after its first try, or undefined when it is */
  async untilAvailable(): Promise<string | undefined> {
    for (;;) {
      if (this.isAvailable) return undefined
      const { state } = this.#process
      if (state === 'restarting' || state === 'given-up') return this.#report?.reason ?? 'it does not stay up'
      if (state === 'stopped') return 'it was stopped'
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /**
   * Replaces the server of its files under the engine, by the code as it is now.
   * @returns for how long clients had to wait
   * @throws PlainError when it goes on with the old one, or the instance ended
   */
  replaceServer(): Promise<number> {
    const replaced = this.#replacing.then(() => this.#replaceServer())
    this.#replacing = replaced.then(
      () => {},
      () => {},
    )
    return replaced
  }

  async #replaceServer(): Promise<number> {
    const { name } = this.cluster.writer
    if (!this.isAvailable) throw new PlainError(`instance ${name} is ${this.#stateName}: try again when it is available`)
    const { pid } = this.#process
    const before = this.#report?.replacements.count ?? 0
    this.#process.signal('SIGUSR2')
    for (;;) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
      if (this.#process.pid !== pid) throw new PlainError(`instance ${name} ended meanwhile: see borealis status`)
      const { count, problem, pauseMs } = this.#report?.replacements ?? NO_REPLACEMENTS
      if (count === before) continue
      if (problem !== null) throw new PlainError(`instance ${name} goes on as it was: ${problem}`)
      return pauseMs ?? 0
    }
  }

  start(): void {
    this.#process.start()
  }

  async stop(): Promise<void> {
    await this.#process.stop(STOP_MS_MAX)
    // Nothing is left of an instance that stopped in order; of one that had to be killed there may be.
    await this.#endServer()
    await clearMounts(placeOf(mountFolder(this.#place.home, this.cluster.writer.name)))
    this.#wake()
  }

  get #stateName(): string {
    const { state } = this.#process
    if (state === 'restarting' && this.#report?.state === 'fenced') return 'fenced'
    if (state === 'restarting' || state === 'stopped') return state
    if (state === 'given-up') return this.#report?.state ?? state
    return this.#process.pid === undefined ? 'starting' : (this.#report?.state ?? 'starting')
  }

  instanceStatus(): InstanceStatus {
    const { name, zone, address, port } = this.cluster.writer
    return {
      name,
      cluster: this.cluster.name,
      role: 'writer',
      zone,
      state: this.#stateName,
      reason: this.isAvailable ? null : this.#reason,
      pid: this.#process.pid ?? null,
      serverPid: this.#process.pid === undefined ? null : (this.#report?.serverPid ?? null),
      enginePid: this.#process.pid === undefined ? null : (this.#report?.enginePid ?? null),
      host: address,
      port,
      lagMs: 0,
    }
  }

  clusterStatus(): ClusterStatus {
    const { name, engine, engineVersion, volume, master, branchOf } = this.cluster
    const { epoch = null, vdl = null, bytesUsed = null, storage = 'ok' } = this.#report ?? {}
    return {
      name,
      engine,
      engineVersion,
      status: this.isAvailable ? 'available' : this.#stateName,
      volume: { id: volume === null ? null : volumeName(volume), epoch, vdl, bytesUsed },
      storage,
      master,
      branchOf: branchOf && { ...branchOf, volume: volumeName(branchOf.volume) },
    }
  }

  endpoints(): Endpoint[] {
    const { address, port, name: instance } = this.cluster.writer
    const { space } = this.#place.names
    const endpoint = (type: EndpointType, name: string): Endpoint => ({
      dnsName: endpointName(type, name, space),
      type,
      port,
      addresses: [address],
      balancer: null,
    })
    return [endpoint('writer', this.cluster.name), endpoint('instance', instance)]
  }

  endpointStatus(): EndpointStatus[] {
    const {
      name: cluster,
      writer: { name: instance, address },
    } = this.cluster
    return this.endpoints().map((endpoint) => {
      const { dnsName, type, port } = endpoint
      const name = type === 'writer' ? cluster : instance
      return { name, cluster, type, host: this.#place.names.hostOf(endpoint), port, dnsName, address }
    })
  }
}
