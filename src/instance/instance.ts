/**
 * One DB instance, as its supervisor sees it: the mount of its files, the process that serves them (`file-server.ts`),
 * and the engine that works there. Whoever starts it decides that it is the writer; that nobody else writes meanwhile is
 * seen to by the volume's epochs.
 *
 * The supervisor knows nothing of volumes. It keeps what outlives a server: the descriptor of the mount, the scratch
 * file, and the engine, which is its child. A server that leaves in order is followed by another, and the engine only
 * waits. One that dies may have lost what the engine believes to have written: then the engine ends at once, and so does
 * the instance; who started it starts it again.
 *
 * Nothing here touches a path in the mount with a blocking call: the supervisor has to stay free to start its server.
 */
import { closeSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { engineAccount } from '../engine/account.ts'
import type { Certified } from '../engine/certificates.ts'
import { EngineError } from '../engine/engine-error.ts'
import { installPostgres } from '../engine/postgres/binaries.ts'
import type { Configuration } from '../engine/postgres/configuration.ts'
import { checkDataDirectory, createDataDirectory } from '../engine/postgres/data-directory.ts'
import { PostgresEngine } from '../engine/postgres/engine.ts'
import { ensureMaster, type Login } from '../engine/postgres/roles.ts'
import { preparedTemplate } from '../engine/postgres/template.ts'
import { selectVersion } from '../engine/postgres/versions.ts'
import { type Death, DescriptorKeeper } from '../fuse/descriptor-keeper.ts'
import { clearMounts } from '../fuse/real-mount.ts'
import { type VolumeId, volumeName } from '../protocol/lsn.ts'
import type { FolderLock } from '../storage/real-lock.ts'
import { CrashBudget } from './crash-budget.ts'
import { dataDirectoryOf, lockInstance, mountPlace, openScratchFile } from './instance-folder.ts'
import { type InstanceReport, NO_REPLACEMENTS, type Replacements, reportOf } from './instance-report.ts'
import { type InstanceState, isOver, mayBecome } from './instance-state.ts'
import { endProcessesIn } from './left-processes.ts'
import { type ServerReport, type ServerTold, STATUS_FENCED } from './server-report.ts'

export interface InstanceSettings {
  readonly name: string
  /** The instance's own, on the local disk: its mount, configuration, logs and scratch file. */
  readonly folder: string
  /** Where engines are installed. */
  readonly home: string
  readonly registryPath: string
  readonly volume: VolumeId
  readonly version: string
  readonly address: string
  readonly port: number
  /** What the engine may use. */
  readonly memoryBytes: number
  /** Of blocks, to make deltas against. */
  readonly cacheBytes: number
  readonly certificate: Certified
  readonly master: Login
}

const SERVER = join(import.meta.dirname, 'server-main.ts')
/**
 * The collector marks all of a heap of 10 MiB for each few that were allocated unless it is told where to begin (MiB):
 * that was a fifth of the server's time in a bulk load.
 */
const SERVER_HEAP = '--initial-old-space-size=64'
const MIB = 1 << 20

/** While it stops, the storage is looked at this often. */
const LOOK_MS = 250
/** A checkpoint of all buffers to six copies. */
const ENGINE_STOP_MS = 30_000
/** How long what was begun may take to notice that it is not wanted any more. */
const SETTLE_MS = 15_000
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The state has changed under what was going on: it ends without a word. */
class NotWanted extends Error {}

export class Instance {
  /** Resolves when nothing of it runs any more: with a state that is over. */
  readonly ended: Promise<InstanceState>
  readonly #settings: InstanceSettings
  readonly #report: (report: InstanceReport) => void
  readonly #complain: (what: string, error: unknown) => void
  readonly #end: (state: InstanceState) => void
  #state: InstanceState = { name: 'opening' }
  /** It ends out of order, which takes a moment. */
  #isEnding = false
  #files: ServerReport = { storage: 'ok', figures: null }
  #replacements: Replacements = NO_REPLACEMENTS
  /** What the server said of its own end. */
  #serverTrouble: string | undefined
  #hasServed = false
  #reported = ''
  #work: Promise<void> = Promise.resolve()
  #lock: FolderLock | undefined
  #keeper: DescriptorKeeper | undefined
  #engine: PostgresEngine | undefined
  #engineEnded: (reason: string) => void = () => {}

  /**
   * @param report is told each change, and the volume's figures now and then
   * @param complain what went wrong without ending anything, for the log
   */
  constructor(
    settings: InstanceSettings,
    report: (report: InstanceReport) => void,
    complain: (what: string, error: unknown) => void,
  ) {
    this.#settings = settings
    this.#report = report
    this.#complain = complain
    const { promise, resolve } = Promise.withResolvers<InstanceState>()
    this.ended = promise
    this.#end = resolve
  }

  // -------------------------------------------------------------- states

  /** The one place where the state changes. @returns false when that is not the way things go from here */
  #become(next: InstanceState): boolean {
    if (!mayBecome(this.#state.name, next.name)) return false
    this.#state = next
    this.#tell()
    if (isOver(next.name)) this.#end(next)
    return true
  }

  #proceed(next: InstanceState): void {
    if (this.#isEnding || !this.#become(next)) throw new NotWanted(`not from ${this.#state.name}`)
  }

  #tell(): void {
    const serverPid = this.#keeper?.server.pid ?? null
    const report = reportOf(this.#state, { ...this.#files, serverPid, replacements: this.#replacements })
    const text = JSON.stringify(report)
    if (text === this.#reported) return
    this.#reported = text
    this.#report(report)
  }

  // -------------------------------------------------------------- starting

  start(): void {
    this.#tell()
    this.#work = this.#live().catch(async (error: unknown) => {
      if (this.#state.name !== 'stopping' && !(error instanceof NotWanted)) await this.#fail(error)
    })
  }

  async #live(): Promise<void> {
    await this.#serveFiles()
    this.#proceed({ name: 'preparing' })
    const engine = await this.#prepareEngine()
    await this.#keepRunning(engine)
  }

  async #serveFiles(): Promise<void> {
    const { folder } = this.#settings
    const place = mountPlace(folder)
    await mkdir(folder, { recursive: true, mode: 0o755 })
    this.#lock = await lockInstance(folder)
    // Whoever is there now was left by a supervisor that was killed.
    await endProcessesIn(place)
    await clearMounts(place)
    await mkdir(place, { recursive: true, mode: 0o755 })
    const scratch = openScratchFile(folder)
    const keeper = await DescriptorKeeper.start({
      path: place,
      command: this.#serverCommand(scratch.bytesMax),
      descriptors: [scratch.fd, this.#lock.fd],
      onTurn: () => this.#tell(),
      onTold: (told) => this.#heard(told as ServerTold),
      onDeath: (death) => this.#serverDied(death),
    })
    this.#keeper = keeper
    void keeper.ended.then(() => {
      closeSync(scratch.fd)
      const why = this.#serverTrouble ?? 'it was unmounted'
      if (this.#state.name !== 'stopping') void this.#fail(new Error(`nobody serves its files any more: ${why}`))
    })
    this.#tell()
    if (this.#isEnding || this.#state.name !== 'opening') await keeper.abort()
    await keeper.server.serving
    this.#hasServed = true
  }

  #serverCommand(scratchBytesMax: number): [string, ...string[]] {
    const { registryPath, volume, cacheBytes } = this.#settings
    const settings = {
      registry: registryPath,
      volume: volumeName(volume),
      'cache-mib': cacheBytes / MIB,
      'scratch-bytes': scratchBytesMax,
    }
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`])
    // It does not outlive us, also where a thread of ours is held up in its files and keeps everything open.
    return ['setpriv', '--pdeathsig', 'TERM', '--', process.execPath, SERVER_HEAP, SERVER, ...args]
  }

  async #prepareEngine(): Promise<PostgresEngine> {
    const { folder, home, version } = this.#settings
    const account = engineAccount()
    const binaries = await installPostgres(home, selectVersion(version), account)
    const dataDirectory = dataDirectoryOf(folder)
    try {
      await checkDataDirectory(dataDirectory, binaries.version)
    } catch (error) {
      if (!(error instanceof EngineError) || error.code !== 'NotADataDirectory') throw error
      await createDataDirectory(await preparedTemplate(binaries), dataDirectory, account)
    }
    const folders = { run: join(folder, 'run'), logs: join(folder, 'logs') }
    this.#engine = new PostgresEngine({ binaries, dataDirectory, folders, account }, (state) => {
      if (state.name === 'failed') this.#engineEnded(state.reason)
      if (state.name === 'stopped') this.#engineEnded('it was stopped')
    })
    return this.#engine
  }

  /** Starts the engine, and again whenever it ended by itself, until that is not wanted any more. */
  async #keepRunning(engine: PostgresEngine): Promise<void> {
    const budget = new CrashBudget()
    for (;;) {
      this.#proceed({ name: 'starting' })
      const reason = await this.#runOnce(engine)
      this.#proceed({ name: 'recovering', reason })
      this.#complain('the engine ended', reason)
      const pauseMs = budget.crashed(performance.now())
      if (pauseMs === undefined) throw new Error(`the engine ends again and again: ${reason}`)
      await pause(pauseMs)
    }
  }

  /** @returns why it ended */
  async #runOnce(engine: PostgresEngine): Promise<string> {
    const ended = new Promise<string>((resolve) => {
      this.#engineEnded = resolve
    })
    try {
      await engine.start(this.#configuration())
      await this.#ensureMaster(engine)
    } catch (error) {
      if (engine.state.name === 'running') await engine.kill()
      return messageOf(error)
    }
    const { state } = engine
    if (state.name === 'running') this.#proceed({ name: 'available', enginePid: state.pid })
    return ended
  }

  #configuration(): Configuration {
    const { name, address, port, memoryBytes, certificate } = this.#settings
    return { name, address, port, memoryBytes, certificate, parameters: {}, tlsOnly: true }
  }

  /** Once: a password that its owner has changed since stays. */
  #ensureMaster(engine: PostgresEngine): Promise<void> {
    const { master } = this.#settings
    return engine.session(async (query) => {
      const done = await query(
        `SELECT FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba WHERE d.datname = 'postgres' AND r.rolname = $1`,
        [master.name],
      )
      if (done.length === 0) await ensureMaster(query, master)
    })
  }

  // -------------------------------------------------------------- the server

  #heard(told: ServerTold): void {
    if ('fenced' in told) void this.#over({ name: 'fenced' })
    else if ('failed' in told) this.#serverTrouble = told.failed
    else {
      this.#files = told.report
      this.#tell()
    }
  }

  /** @returns whether another goes on where it was: nothing that it answered is lost, and there is something to go on with */
  #serverDied({ inOrder, served, status, signal }: Death): boolean {
    if (inOrder || (!served && this.#hasServed)) return true
    if (status === STATUS_FENCED) void this.#over({ name: 'fenced' })
    else {
      const how = signal === null ? `it ended with status ${status}` : `it was ended by ${signal}`
      void this.#fail(new Error(this.#serverTrouble ?? `the server of its files: ${how}`))
    }
    return false
  }

  /** By a new process, of the code as it is now. How it went is in the report. */
  async replaceServer(): Promise<void> {
    const { state, count } = { state: this.#state, count: this.#replacements.count + 1 }
    const note = (pauseMs: number | null, problem: string | null): void => {
      this.#replacements = { count, pauseMs, problem }
      if (this.#state.name === 'replacing') this.#become({ ...this.#state, name: 'available' })
      else this.#tell()
    }
    try {
      if (state.name !== 'available' || this.#keeper === undefined) throw new Error(`the instance is ${state.name}`)
      if (this.#files.storage !== 'ok') throw new Error('the storage quorum does not answer')
      let leavingMs = 0
      await this.#keeper.replaceServer(() => {
        leavingMs = performance.now()
        if (this.#state.name === 'available') this.#become({ ...this.#state, name: 'replacing' })
      })
      note(performance.now() - leavingMs, null)
    } catch (error) {
      note(null, messageOf(error))
    }
  }

  // -------------------------------------------------------------- ending

  /** In order: the engine writes its checkpoint, everything is durable, nothing stays mounted. */
  async stop(): Promise<void> {
    if (this.#isEnding || !this.#become({ name: 'stopping' })) return
    try {
      // Nothing was written yet, and opening may take as long as the storage likes.
      if (!this.#hasServed) await this.#keeper?.abort()
      const inOrder = await this.#stopEngine()
      // What was begun notices that it is not wanted; an engine that was about to start has started by then.
      await Promise.race([this.#work, pause(SETTLE_MS, undefined, { ref: false })])
      const stillInOrder = (await this.#stopEngine()) && inOrder
      await this.#release(stillInOrder)
      this.#become({ name: 'stopped' })
    } catch (error) {
      await this.#fail(error)
    }
  }

  /** @returns false when it had to be cut off: what it had acknowledged is durable, and its next start recovers */
  async #stopEngine(): Promise<boolean> {
    const engine = this.#engine
    if (engine === undefined) return true
    if (engine.state.name === 'preparing') return true
    const lateMs = performance.now() + ENGINE_STOP_MS
    const stopped = engine.stop('fast', 2 * ENGINE_STOP_MS).then(() => true)
    stopped.catch(() => {})
    for (;;) {
      if (await Promise.race([stopped, pause(LOOK_MS, false)])) return true
      // Without a quorum no checkpoint comes to an end.
      if (this.#files.storage === 'ok' && performance.now() < lateMs) continue
      await this.#cutOff()
      return false
    }
  }

  /** At once, whatever anybody is waiting for. */
  async #cutOff(): Promise<void> {
    const killed = this.#engine?.kill()
    // Those who wait for an answer of the file system end only now.
    await this.#keeper?.abort()
    await killed
  }

  async #release(inOrder: boolean): Promise<void> {
    if (inOrder && this.#files.storage === 'ok') await this.#keeper?.stop()
    else await this.#keeper?.abort()
    this.#lock?.release()
  }

  async #fail(error: unknown): Promise<void> {
    if (this.#isEnding) return
    this.#complain('the instance ends', error)
    return this.#over({ name: 'failed', reason: messageOf(error).split('\n', 1)[0] ?? '' })
  }

  /** Fenced: epochs keep this instance from writing, and this keeps it from answering. Or failed. */
  async #over(state: InstanceState): Promise<void> {
    if (this.#isEnding || isOver(this.#state.name)) return
    this.#isEnding = true
    try {
      await this.#cutOff()
      await this.#release(false)
    } catch (error) {
      this.#complain('its end', error)
    }
    this.#become(state)
  }
}
