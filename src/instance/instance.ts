/**
 * One DB instance: a volume, the file system in it, its mount, and the engine that works there. Whoever starts it decides
 * that it is the writer; that nobody else writes meanwhile is seen to by the volume's epochs.
 *
 * The mount is served by this very process, so nothing here touches a path in it with a blocking call.
 */
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
import type { FileOperations } from '../filesystem/file-operations.ts'
import { type FuseMount, mountFiles } from '../fuse/fuse-mount.ts'
import { removeDeadMounts, unmount } from '../fuse/real-mount.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import { RealDisk } from '../storage/real-disk.ts'
import { SqliteRegistry } from '../volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../volume/tcp-fleet.ts'
import type { VolumeWriter } from '../volume/writer.ts'
import { CrashBudget } from './crash-budget.ts'
import { type InstanceReport, NO_FIGURES, reportOf, type VolumeFigures } from './instance-report.ts'
import { type InstanceState, isOver, mayBecome, type StorageState } from './instance-state.ts'
import { endProcessesIn } from './left-processes.ts'
import { RelationFiles } from './relation-files.ts'
import { StorageWatch } from './storage-watch.ts'
import { attachFiles, DATA_FOLDER, openVolume } from './volume-files.ts'

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

/** The storage is looked at this often. */
const LOOK_MS = 250
/** Figures change all the time; nobody needs them more often. */
const FIGURES_MS = 1000
/** A checkpoint of all buffers to six copies. */
const ENGINE_STOP_MS = 30_000
/** How long what was begun may take to notice that it is not wanted any more. */
const SETTLE_MS = 15_000
/** Of the free disk, what sorts may take. */
const SCRATCH_SHARE = 0.5

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The state has changed under what was going on: it ends without a word. */
class NotWanted extends Error {}

export class Instance {
  /** Resolves when nothing of it runs any more: with a state that is over. */
  readonly ended: Promise<InstanceState>
  readonly #settings: InstanceSettings
  readonly #report: (report: InstanceReport) => void
  readonly #complain: (what: string, error: unknown) => void
  readonly #watch = new StorageWatch(performance.now())
  readonly #end: (state: InstanceState) => void
  #state: InstanceState = { name: 'opening' }
  /** It ends out of order, which takes a moment. */
  #isEnding = false
  #storage: StorageState = 'ok'
  #reported = ''
  #toldAtMs = 0
  #work: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #scratch: RealDisk | undefined
  #registry: SqliteRegistry | undefined
  #fleet: Fleet | undefined
  #writer: VolumeWriter | undefined
  #files: FileOperations | undefined
  #mount: FuseMount | undefined
  #engine: PostgresEngine | undefined
  #engineEnded: (reason: string) => void = () => {}

  /**
   * @param report is told each change, and figures now and then
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
    if (isOver(next.name)) {
      clearInterval(this.#timer)
      this.#end(next)
    }
    return true
  }

  #proceed(next: InstanceState): void {
    if (this.#isEnding || !this.#become(next)) throw new NotWanted(`not from ${this.#state.name}`)
  }

  #figures(): VolumeFigures {
    if (this.#writer === undefined || this.#files === undefined) return NO_FIGURES
    const { blockBytes, blocks, blocksFree } = this.#files.statfs()
    return {
      epoch: this.#writer.volume.epoch,
      vdl: this.#writer.vdl,
      bytesUsed: (blocks - blocksFree) * blockBytes,
    }
  }

  #tell(): void {
    const report = reportOf(this.#state, this.#storage, this.#figures())
    const text = JSON.stringify(report)
    if (text === this.#reported) return
    this.#reported = text
    this.#toldAtMs = performance.now()
    this.#report(report)
  }

  #look(): void {
    const now = performance.now()
    const storage = this.#watch.look(this.#writer, now)
    const isNews = storage !== this.#storage || now - this.#toldAtMs >= FIGURES_MS
    this.#storage = storage
    if (isNews) this.#tell()
  }

  // -------------------------------------------------------------- starting

  start(): void {
    this.#tell()
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
    this.#work = this.#live().catch(async (error: unknown) => {
      if (this.#state.name !== 'stopping' && !(error instanceof NotWanted)) await this.#fail(error)
    })
  }

  async #live(): Promise<void> {
    await this.#open()
    this.#proceed({ name: 'mounting' })
    await this.#mountFiles()
    this.#proceed({ name: 'preparing' })
    const engine = await this.#prepareEngine()
    await this.#keepRunning(engine)
  }

  async #open(): Promise<void> {
    const { folder, registryPath, volume, cacheBytes } = this.#settings
    const mount = join(folder, 'mount')
    await mkdir(folder, { recursive: true, mode: 0o755 })
    // Locked for as long as this process lives: two of them would unmount each other.
    this.#scratch = RealDisk.open(join(folder, 'scratch'))
    await endProcessesIn(mount)
    this.#registry = SqliteRegistry.open(registryPath)
    this.#fleet = openFleet(this.#registry)
    const isWanted = () => this.#state.name === 'opening' && !this.#isEnding
    const writer = await openVolume(this.#fleet, volume, { cacheBytes }, isWanted)
    this.#writer = writer
    writer.onFenced(() => void this.#over({ name: 'fenced' }))
  }

  async #mountFiles(): Promise<void> {
    const scratch = this.#scratch!
    const file = scratch.create('blocks')
    // It goes with the last process that has it open.
    scratch.remove('blocks')
    const bytesMax = Math.floor(scratch.freeBytes() * SCRATCH_SHARE)
    const relations = new RelationFiles(await attachFiles(this.#writer!, { file, bytesMax }))
    this.#files = relations
    const place = join(this.#settings.folder, 'mount')
    await removeDeadMounts(place)
    await mkdir(place, { recursive: true, mode: 0o755 })
    this.#mount = await mountFiles(place, relations, {
      pageBytesOf: (inode) => relations.pageBytesOf(inode),
      onFailure: this.#complain,
    })
    void this.#mount.ended.then(() => {
      if (this.#state.name !== 'stopping') void this.#fail(new Error('its files were unmounted by somebody else'))
    })
  }

  async #prepareEngine(): Promise<PostgresEngine> {
    const { folder, home, version } = this.#settings
    const account = engineAccount()
    const binaries = await installPostgres(home, selectVersion(version), account)
    const dataDirectory = join(folder, 'mount', DATA_FOLDER)
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

  // -------------------------------------------------------------- ending

  /** In order: the engine writes its checkpoint, everything is durable, nothing stays mounted. */
  async stop(): Promise<void> {
    if (this.#isEnding || !this.#become({ name: 'stopping' })) return
    try {
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
      if (this.#storage === 'ok' && performance.now() < lateMs) continue
      await this.#cutOff()
      return false
    }
  }

  /** At once, whatever anybody is waiting for. */
  async #cutOff(): Promise<void> {
    const killed = this.#engine?.kill()
    // Those who wait for an answer of the file system end only now.
    this.#mount?.abort()
    await killed
  }

  async #release(inOrder: boolean): Promise<void> {
    if (inOrder && this.#storage === 'ok' && this.#writer?.state === 'open') await this.#writer.sync()
    if (this.#mount !== undefined) {
      if (inOrder) await this.#mount.unmount()
      else await unmount(this.#mount.path)
    }
    this.#writer?.close()
    this.#fleet?.close()
    this.#registry?.close()
    this.#scratch?.close()
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
