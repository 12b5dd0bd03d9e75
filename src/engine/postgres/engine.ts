/** One PostgreSQL on one data directory: started, watched, asked and stopped. */
import { realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Account, openFolders } from '../account.ts'
import { EngineError } from '../engine-error.ts'
import type { PostgresBinaries } from './binaries.ts'
import {
  type Configuration,
  configurationFile,
  type InstanceFolders,
  type Primary,
  socketFile,
  writeConfiguration,
} from './configuration.ts'
import {
  checkDataDirectory,
  clearStalePid,
  mayRecoverByPromotion,
  postmasterStatus,
  setStandby,
} from './data-directory.ts'
import { type EngineState, mayBecome, type StopMode } from './engine-state.ts'
import { pruneLogs } from './log.ts'
import { Postmaster } from './postmaster.ts'
import { Promotion } from './promotion.ts'
import { isNotAccepting, type Query, withSession } from './session.ts'

export interface EnginePlace {
  readonly binaries: PostgresBinaries
  readonly dataDirectory: string
  readonly folders: InstanceFolders
  readonly account: Account | undefined
}

export interface Lag {
  /** Whether WAL comes in; a standby that is cut off may still be replaying what it has. */
  readonly streaming: boolean
  readonly receivedLsn: string | null
  readonly replayedLsn: string | null
  /** How old the last transaction is that was replayed; 0 when all that came is replayed and more may come. */
  readonly lagMs: number
}

/** A recovery begins from its start when it is interrupted, so patience is better than another try. */
const START_DEADLINE_MS = 600_000
/** A look at a file of 100 bytes. */
const READY_POLL_MS = 15
/** One try; a server that is just starting may take a moment to say so. */
const READY_TRY_MS = 2_000
const QUESTION_DEADLINE_MS = 5_000
const CHECKPOINT_DEADLINE_MS = 120_000
const PROMOTION_DEADLINE_MS = 60_000

/** How it is asked to stop, and what comes next when it does not. */
const STOPPING = {
  // Waits for clients to leave.
  smart: { signal: 'SIGTERM', harder: 'fast' },
  // Ends sessions, writes a checkpoint: the next start has nothing to recover.
  fast: { signal: 'SIGINT', harder: 'immediate' },
  // Writes nothing: the next start recovers.
  immediate: { signal: 'SIGQUIT', harder: 'kill' },
} as const satisfies Record<Exclude<StopMode, 'kill'>, { signal: NodeJS.Signals; harder: StopMode }>

const STOPPED_MEANWHILE = 'PostgreSQL was stopped before it had started'

export class PostgresEngine {
  readonly #place: EnginePlace
  readonly #onState: (state: EngineState) => void
  #state: EngineState = { name: 'stopped' }
  #postmaster: Postmaster | undefined
  #configuration: Configuration | undefined
  /** A standby may refuse what a recovery does not, such as a slot of logical replication: then the next try is one. */
  #mayPromote = true

  /** @param onState is told each change, such as a crash; it must not throw */
  constructor(place: EnginePlace, onState: (state: EngineState) => void = () => {}) {
    this.#place = place
    this.#onState = onState
  }

  get state(): EngineState {
    return this.#state
  }

  /** The one place where the state changes. */
  #become(next: EngineState): void {
    if (!mayBecome(this.#state.name, next.name)) {
      throw new EngineError('WrongState', `PostgreSQL is ${this.#state.name}, and cannot be ${next.name} from there`)
    }
    this.#state = next
    this.#onState(next)
  }

  /** Resolves when it accepts connections: at once after a clean stop, else after recovery. */
  async start(configuration: Configuration, deadlineMs = START_DEADLINE_MS): Promise<void> {
    const preparing = { name: 'preparing' } as const
    this.#become(preparing)
    let postmaster: Postmaster
    let promotion: Promotion | undefined
    try {
      ;({ postmaster, promotion } = await this.#prepare(configuration))
    } catch (error) {
      if (this.#state === preparing) this.#become({ name: 'stopped' })
      throw error
    }
    if (this.#state !== preparing) {
      postmaster.kill()
      await postmaster.ended
      throw new EngineError('StartFailed', STOPPED_MEANWHILE)
    }
    this.#configuration = configuration
    this.#postmaster = postmaster
    this.#become({ name: 'starting', pid: postmaster.pid })
    void postmaster.ended.then((reason) => this.#hasEnded(postmaster, reason))
    this.#mayPromote = promotion === undefined
    await this.#untilReady(postmaster, promotion, deadlineMs)
    this.#mayPromote = true
    this.#become({ name: 'running', pid: postmaster.pid })
  }

  async #prepare(
    configuration: Configuration,
  ): Promise<{ readonly postmaster: Postmaster; readonly promotion: Promotion | undefined }> {
    const { binaries, folders, account } = this.#place
    await checkDataDirectory(this.#place.dataDirectory, binaries.version)
    const dataDirectory = await realpath(this.#place.dataDirectory)
    await clearStalePid(dataDirectory)
    const { version } = binaries
    await writeConfiguration(configuration, { ...configuration, major: version.major }, folders, account)
    const isStandby = configuration.primary !== undefined
    const isPromoted = !isStandby && this.#mayPromote && (await mayRecoverByPromotion(dataDirectory))
    await setStandby(dataDirectory, isStandby || isPromoted, account)
    // Nobody listens there: whoever did, would work in the data directory.
    const socket = socketFile(folders, configuration.port)
    for (const path of [socket, `${socket}.lock`]) await rm(path, { force: true })
    for (const path of [binaries.postgres, dataDirectory, join(folders.run, '.'), folders.logs]) {
      await openFolders(path, account)
    }
    await pruneLogs(folders.logs, Date.now())
    const postmaster = await Postmaster.start({
      program: binaries.postgres,
      configurationFile: configurationFile(folders),
      dataDirectory,
      logFolder: folders.logs,
      account,
      // Nobody gets in before it is promoted, to be told that he may only read; nor has it to be as large as who wrote the log.
      settings: isPromoted ? { hot_standby: 'off' } : {},
    })
    return { postmaster, promotion: isPromoted ? new Promotion(dataDirectory, postmaster) : undefined }
  }

  async #untilReady(postmaster: Postmaster, promotion: Promotion | undefined, deadlineMs: number): Promise<void> {
    for (const end = performance.now() + deadlineMs; performance.now() < end; await pause(READY_POLL_MS)) {
      const { state } = this
      if (state.name === 'failed') throw new EngineError('StartFailed', `PostgreSQL did not start: ${state.reason}`)
      if (state.name !== 'starting') throw new EngineError('StartFailed', STOPPED_MEANWHILE)
      await promotion?.push()
      if (await this.#isReady(postmaster)) return
    }
    await this.kill()
    throw new EngineError('TimedOut', `PostgreSQL did not accept connections within ${deadlineMs / 1000} s`)
  }

  async #isReady({ pid }: Postmaster): Promise<boolean> {
    try {
      if ((await postmasterStatus(this.#place.dataDirectory, pid)) !== 'ready') return false
      await this.#ask((query) => query('SELECT 1'), READY_TRY_MS)
      return this.#state.name === 'starting'
    } catch (error) {
      // It may be ending: its log, which comes with the state, is more telling than what it says meanwhile.
      if (this.#state.name !== 'starting' || isNotAccepting(error)) return false
      if (error instanceof EngineError && error.code === 'TimedOut') return false
      await this.kill()
      const message = error instanceof Error ? error.message : String(error)
      throw new EngineError('StartFailed', `PostgreSQL refused us: ${message}`, { cause: error })
    }
  }

  #hasEnded(postmaster: Postmaster, reason: string): void {
    if (this.#postmaster !== postmaster) return
    this.#postmaster = undefined
    this.#become(this.#state.name === 'stopping' ? { name: 'stopped' } : { name: 'failed', reason })
  }

  /**
   * Stops in the way that was asked for; each time `deadlineMs` is over, in the next harder one. Resolves when all of its
   * processes are gone.
   * @returns the way in which it stopped in the end
   */
  async stop(mode: StopMode, deadlineMs: number): Promise<StopMode> {
    const postmaster = this.#postmaster
    if (postmaster === undefined) {
      if (this.#state.name !== 'stopped') this.#become({ name: 'stopped' })
      return mode
    }
    let now = mode
    for (;;) {
      this.#become({ name: 'stopping', pid: postmaster.pid, mode: now })
      if (now === 'kill') {
        postmaster.kill()
        await postmaster.ended
        return now
      }
      const { signal, harder } = STOPPING[now]
      postmaster.signal(signal)
      const patience = new AbortController()
      const late = pause(deadlineMs, true, { signal: patience.signal }).catch(() => false)
      const isLate = await Promise.race([late, postmaster.ended.then(() => false)])
      patience.abort()
      if (!isLate) return now
      now = harder
    }
  }

  /** Ends it at once with all its processes. They are gone from the processors when this returns, from the tables when it resolves. */
  async kill(): Promise<void> {
    await this.stop('kill', 0)
  }

  #ask<T>(use: (query: Query) => Promise<T>, deadlineMs: number): Promise<T> {
    const configuration = this.#configuration
    if (configuration === undefined) throw new EngineError('WrongState', 'PostgreSQL was not started')
    return withSession({ folder: this.#place.folders.run, port: configuration.port }, deadlineMs, use)
  }

  /** A session of the superuser, for as long as `use` takes. */
  async session<T>(use: (query: Query) => Promise<T>, deadlineMs = QUESTION_DEADLINE_MS): Promise<T> {
    if (this.#state.name !== 'running') throw new EngineError('WrongState', `PostgreSQL is ${this.#state.name}`)
    try {
      return await this.#ask(use, deadlineMs)
    } catch (error) {
      if (error instanceof EngineError) throw error
      const message = error instanceof Error ? error.message : String(error)
      throw new EngineError('OperationFailed', `PostgreSQL: ${message}`, { cause: error })
    }
  }

  /** @returns how long a session and an answer took; throws `TimedOut` or `OperationFailed` when there is none */
  async probe(deadlineMs: number): Promise<number> {
    const startedMs = performance.now()
    await this.session((query) => query('SELECT 1'), deadlineMs)
    return performance.now() - startedMs
  }

  /** As the server tells it, `17.10`. */
  async version(): Promise<string> {
    const [row] = await this.session((query) => query('SHOW server_version'))
    return `${row?.server_version}`
  }

  async checkpoint(deadlineMs = CHECKPOINT_DEADLINE_MS): Promise<void> {
    await this.session((query) => query('CHECKPOINT'), deadlineMs)
  }

  /** Makes a standby a primary: it replays what it has, and then takes writes on a timeline of its own. */
  async promote(deadlineMs = PROMOTION_DEADLINE_MS): Promise<void> {
    const seconds = Math.ceil(deadlineMs / 1000)
    const [row] = await this.session((query) => query('SELECT pg_promote(true, $1) AS done', [seconds]), deadlineMs)
    if (row?.done !== true) throw new EngineError('TimedOut', `PostgreSQL was not promoted within ${seconds} s`)
    const { primary: _, ...configuration } = this.#configuration!
    await this.reconfigure(configuration)
  }

  /** Lets a standby follow another primary, or nobody, without a restart. */
  async follow(primary: Primary | null): Promise<void> {
    await this.reconfigure({ ...this.#configuration!, primary })
  }

  /** Writes a new configuration and has it read. What can only be set at start takes effect at the next. */
  async reconfigure(configuration: Configuration): Promise<void> {
    const { folders, account, binaries } = this.#place
    const postmaster = this.#postmaster
    if (postmaster === undefined) throw new EngineError('WrongState', `PostgreSQL is ${this.#state.name}`)
    const shape = { ...configuration, major: binaries.version.major }
    await writeConfiguration(configuration, shape, folders, account)
    this.#configuration = configuration
    postmaster.signal('SIGHUP')
  }

  /** How far a standby is behind; throws `WrongState` on a primary. */
  async lag(): Promise<Lag> {
    const [row] = await this.session((query) =>
      query(`
        SELECT pg_is_in_recovery() AS standby,
          pg_last_wal_receive_lsn()::text AS received,
          pg_last_wal_replay_lsn()::text AS replayed,
          coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()) * 1000, 0)::float8 AS age,
          EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') AS streaming`),
    )
    if (row?.standby !== true) throw new EngineError('WrongState', 'PostgreSQL is a primary: it follows nobody')
    const streaming = row.streaming === true
    const receivedLsn = row.received as string | null
    const replayedLsn = row.replayed as string | null
    const upToDate = streaming && receivedLsn === replayedLsn
    return { streaming, receivedLsn, replayedLsn, lagMs: upToDate ? 0 : Math.max(0, Number(row.age)) }
  }
}
