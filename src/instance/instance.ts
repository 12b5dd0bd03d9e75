/**
 * One DB instance, as its supervisor sees it: the mount of its files, the process that serves them (`file-server.ts`),
 * and the engine that works there. Whoever starts it decides whether it is the writer, for as long as it runs; that nobody
 * else writes meanwhile is seen to by the volume's epochs.
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
import { setTimeout as pause } from 'node:timers/promises'
import { engineAccount } from '../engine/account.ts'
import { ensureMaster } from '../engine/postgres/roles.ts'
import { type Death, DescriptorKeeper } from '../fuse/descriptor-keeper.ts'
import { clearMounts } from '../fuse/real-mount.ts'
import type { FolderLock } from '../storage/real-lock.ts'
import { CrashBudget } from './crash-budget.ts'
import { NO_FIGURES } from './engine-watch.ts'
import type { Crash, InstanceCommand } from './instance-command.ts'
import { InstanceEngine } from './instance-engine.ts'
import { lockInstance, mountPlace, openScratchFile, runFolder } from './instance-folder.ts'
import { type InstanceReport, NO_REPLACEMENTS, type Replacements, reportOf } from './instance-report.ts'
import { type InstanceState, isOver, mayBecome } from './instance-state.ts'
import { endProcessesIn } from './left-processes.ts'
import { stallReplay } from './replay-stall.ts'
import { RunningEngine } from './running-engine.ts'
import { serverCommand } from './server-command.ts'
import { OPENING, type ServerReport, type ServerTold, STATUS_FENCED } from './server-report.ts'
import type { InstanceSettingsFile } from './settings-file.ts'
import { type TopologyMember, writeTopology } from './topology.ts'

const MIB = 1 << 20

/** It is heard at least so often: who hears nothing for longer knows that something is wrong. */
const HEARTBEAT_MS = 500
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
  readonly #settings: InstanceSettingsFile
  readonly #onReport: (report: InstanceReport) => void
  readonly #complain: (what: string, error: unknown) => void
  readonly #end: (state: InstanceState) => void
  #state: InstanceState = { name: 'opening' }
  /** It ends out of order, which takes a moment. */
  #isEnding = false
  #files: ServerReport = OPENING
  /** When the server of its files was last heard. */
  #heardAtMs: number | undefined
  #replacements: Replacements = NO_REPLACEMENTS
  /** What the server said of its own end. */
  #serverTrouble: string | undefined
  #hasServed = false
  #heartbeat: NodeJS.Timeout | undefined
  #work: Promise<void> = Promise.resolve()
  #lock: FolderLock | undefined
  #keeper: DescriptorKeeper | undefined
  #engine: InstanceEngine | undefined
  #engineEnded: (reason: string) => void = () => {}
  /** While it answers queries. */
  #running: RunningEngine | undefined
  #topology: Promise<void> = Promise.resolve()

  /**
   * @param onReport is told each change, and twice a second how it is
   * @param complain what went wrong without ending anything, for the log
   */
  constructor(
    settings: InstanceSettingsFile,
    onReport: (report: InstanceReport) => void,
    complain: (what: string, error: unknown) => void,
  ) {
    this.#settings = settings
    this.#onReport = onReport
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
      clearInterval(this.#heartbeat)
      this.#end(next)
    }
    return true
  }

  #proceed(next: InstanceState): void {
    if (this.#isEnding || !this.#become(next)) throw new NotWanted(`not from ${this.#state.name}`)
  }

  #tell(): void {
    this.#onReport(this.report)
  }

  /** How it is now. */
  get report(): InstanceReport {
    return reportOf(this.#state, {
      settings: this.#settings,
      server: this.#files,
      serverPid: this.#keeper?.server.pid ?? null,
      replacements: this.#replacements,
      engine: this.#running?.figures ?? NO_FIGURES,
      primary: this.#engine === undefined ? this.#settings.primary : this.#engine.primary,
      answeredMsAgo: this.#answeredMsAgo,
      rebuild: this.#running?.hopeless ?? null,
      requests: this.#running?.requests ?? [],
    })
  }

  get #answeredMsAgo(): number | null {
    const answeredAtMs = this.#running?.answeredAtMs
    if (answeredAtMs === undefined || this.#heardAtMs === undefined) return null
    return Math.round(performance.now() - Math.min(answeredAtMs, this.#heardAtMs))
  }

  // -------------------------------------------------------------- starting

  start(): void {
    this.#tell()
    this.#heartbeat = setInterval(() => this.#tell(), HEARTBEAT_MS)
    this.#work = this.#live().catch(async (error: unknown) => {
      if (this.#state.name !== 'stopping' && !(error instanceof NotWanted)) await this.#fail(error)
    })
  }

  async #live(): Promise<void> {
    await this.#serveFiles()
    this.#proceed({ name: 'preparing' })
    this.#engine = await InstanceEngine.prepare(this.#settings, (reason) => this.#engineEnded(reason))
    await this.#keepRunning(this.#engine)
  }

  async #serveFiles(): Promise<void> {
    const { folder, role, overlayMib } = this.#settings
    const place = mountPlace(folder)
    await mkdir(folder, { recursive: true, mode: 0o755 })
    this.#lock = await lockInstance(folder)
    // Whoever is there now was left by a supervisor that was killed.
    await endProcessesIn(place)
    await clearMounts(place)
    await mkdir(place, { recursive: true, mode: 0o755 })
    const scratch = openScratchFile(
      folder,
      role === 'reader' && overlayMib !== undefined ? overlayMib * MIB : undefined,
    )
    const keeper = await DescriptorKeeper.start({
      path: place,
      command: serverCommand(this.#settings, scratch.bytesMax),
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

  /** Starts the engine, and again whenever it ended by itself, until that is not wanted any more. */
  async #keepRunning(engine: InstanceEngine): Promise<void> {
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
  async #runOnce(engine: InstanceEngine): Promise<string> {
    const ended = new Promise<string>((resolve) => {
      this.#engineEnded = resolve
    })
    try {
      await engine.start()
    } catch (error) {
      if (engine.postgres.state.name === 'running') await engine.postgres.kill()
      return messageOf(error)
    }
    const { state } = engine.postgres
    if (state.name !== 'running') return ended
    this.#proceed({ name: 'available', enginePid: state.pid })
    this.#running = new RunningEngine(this.#settings, engine, {
      changed: () => this.#tell(),
      tellServer: (asked) => this.#keeper?.server.tell(asked),
      crash: (what) => this.#crash(what),
      complain: this.#complain,
    })
    try {
      return await ended
    } finally {
      this.#running.stop()
      this.#running = undefined
    }
  }

  // -------------------------------------------------------------- the server

  #heard(told: ServerTold): void {
    if ('fenced' in told) void this.#over({ name: 'fenced' })
    else if ('failed' in told) this.#serverTrouble = told.failed
    else {
      const { storage, rebuild } = this.#files
      this.#heardAtMs = performance.now()
      this.#running?.serverTold(told.report)
      // A server of an earlier version says less.
      this.#files = { ...OPENING, ...told.report }
      if (this.#files.storage !== storage || this.#files.rebuild !== rebuild) this.#tell()
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

  // -------------------------------------------------------------- commands

  /** What is asked of it. What cannot be is a complaint, and seen by its report. */
  async command(command: InstanceCommand): Promise<void> {
    try {
      await this.#obey(command)
    } catch (error) {
      this.#complain(`to ${command.do}`, error)
    }
  }

  async #obey(command: InstanceCommand): Promise<void> {
    switch (command.do) {
      case 'stop':
        return this.stop()
      case 'replace':
        return this.replaceServer()
      case 'follow':
        await this.#engine?.follow(command.primary)
        return this.#tell()
      case 'configure': {
        const { do: _, ...changes } = command
        return this.#engine?.configure(changes)
      }
      case 'login':
        return this.#engine?.postgres.session((query) => ensureMaster(query, command))
      case 'topology':
        return this.#writeTopology(command.members)
      case 'crash':
        return this.#crash(command.what)
      case 'stall':
        if (this.#engine === undefined || this.#settings.role === 'writer') return
        return stallReplay(this.#engine.postgres, command)
      case 'taken':
        return this.#running?.taken(command.id, command.problem)
    }
  }

  /** One after the other: the last that was told stays. */
  #writeTopology(members: readonly TopologyMember[]): Promise<void> {
    const write = async (): Promise<void> => {
      if (this.#engine !== undefined) await writeTopology(runFolder(this.#settings.folder), members, engineAccount())
    }
    this.#topology = this.#topology.then(write, write)
    return this.#topology
  }

  /** Fault injection: whatever it takes to go on is done by those who notice. */
  #crash(what: Crash): void {
    if (what !== 'dispatcher') void this.#engine?.postgres.kill()
    if (what !== 'instance') this.#keeper?.server.kill()
    if (what === 'node') process.kill(process.pid, 'SIGKILL')
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
    const engine = this.#engine?.postgres
    if (engine === undefined) return true
    if (engine.state.name === 'preparing') return true
    const lateMs = performance.now() + ENGINE_STOP_MS
    // What a reader has written is of no use to anybody.
    const mode = this.#settings.role === 'writer' ? 'fast' : 'immediate'
    const stopped = engine.stop(mode, 2 * ENGINE_STOP_MS).then(() => true)
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
    const killed = this.#engine?.postgres.kill()
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
