/** The process of a cluster's writer: started, heard, started again, stopped. */
import { mkdirSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { type InstanceReport, parseReport } from '../instance/instance-report.ts'
import { volumeName } from '../protocol/lsn.ts'
import type { ClusterRecord } from './cluster-record.ts'
import { type Home, instanceFolder, logFile, passwordFile } from './home.ts'
import type { MountingCommand } from './mount-check.ts'
import type { ProcessList } from './process-list.ts'
import { writeServerCertificate } from './region-authority.ts'
import type { ClusterStatus, EndpointStatus, InstanceStatus } from './region-status.ts'
import { SupervisedProcess } from './supervised-process.ts'

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

/** Usage was wrong, or somebody else has the volume: it would be so again. */
const NOT_AGAIN: readonly (number | null)[] = [2, 3]

interface WriterPlace {
  readonly home: Home
  readonly list: ProcessList
  readonly memoryMib: number | undefined
  readonly mounting: MountingCommand
  readonly say: (line: string) => void
}

export class WriterInstance {
  readonly cluster: ClusterRecord
  readonly #place: WriterPlace
  readonly #process: SupervisedProcess
  #report: InstanceReport | undefined
  #waiting: (() => void)[] = []

  constructor(cluster: ClusterRecord, place: WriterPlace) {
    this.cluster = cluster
    this.#place = place
    const { name, port } = cluster.writer
    const { home, list, say } = place
    this.#process = new SupervisedProcess({
      command: async () => this.#command(),
      log: logFile(home, name),
      onLine: (line) => this.#heard(line),
      onStart: (pid) => {
        // What the one before said last is not true of this one.
        this.#report = undefined
        list.add('instance', name, pid, [port])
      },
      onEnd: (status) => {
        list.remove('instance', name)
        return !NOT_AGAIN.includes(status)
      },
      onTrouble: (what) => {
        const why = this.#report?.reason ?? what
        say(`instance ${name}: ${why}${this.#process.state === 'given-up' ? '' : '; it is started again'}`)
        this.#wake()
      },
    })
  }

  #command(): readonly [string, ...string[]] {
    const {
      cluster,
      cluster: { writer },
    } = this
    const { home, memoryMib, mounting } = this.#place
    const folder = instanceFolder(home, writer.name)
    mkdirSync(folder, { recursive: true, mode: 0o755 })
    const { certificate, key } = writeServerCertificate(home, folder, writer.address)
    const settings = {
      name: writer.name,
      folder,
      home: home.root,
      registry: home.registry,
      volume: cluster.volume === null ? '' : volumeName(cluster.volume),
      version: cluster.engineVersion,
      address: writer.address,
      port: `${writer.port}`,
      'memory-mib': `${memoryMib ?? defaultMemoryMib()}`,
      certificate,
      key,
      master: cluster.master,
      'password-file': passwordFile(home, cluster.name),
    }
    const args = Object.entries(settings).flatMap(([option, value]) => [`--${option}`, value])
    return mounting([process.execPath, PROGRAM, ...args])
  }

  #heard(line: string): void {
    const report = parseReport(line)
    if (report === undefined) return
    const before = this.#report
    this.#report = report
    if (report.state === 'available') this.#process.ready()
    if (before?.storage !== report.storage && report.storage === 'waiting')
      this.#place.say(`instance ${this.cluster.writer.name}: the storage quorum does not answer, operations wait`)
    if (before?.storage === 'waiting' && report.storage === 'ok')
      this.#place.say(`instance ${this.cluster.writer.name}: the storage quorum answers again`)
    if (report.state === 'recovering' && before?.state !== 'recovering')
      this.#place.say(`instance ${this.cluster.writer.name}: the engine ended (${report.reason}); it is started again`)
    if (before?.state !== report.state) this.#wake()
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

  start(): void {
    this.#process.start()
  }

  async stop(): Promise<void> {
    await this.#process.stop(STOP_MS_MAX)
    this.#wake()
  }

  get #stateName(): string {
    const { state } = this.#process
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
      reason: this.isAvailable ? null : (this.#report?.reason ?? null),
      pid: this.#process.pid ?? null,
      enginePid: this.isAvailable ? (this.#report?.enginePid ?? null) : null,
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

  endpoints(): EndpointStatus[] {
    const { name, address, port } = this.cluster.writer
    const place = { cluster: this.cluster.name, host: address, port }
    return [
      { name: this.cluster.name, type: 'writer', ...place },
      { name, type: 'instance', ...place },
    ]
  }
}
