/**
 * An engine that answers queries: it is watched, takes requests that come by SQL, and as a reader it is helped to the log
 * when its writer does not give it.
 */
import { type EngineFigures, EngineWatch, NO_FIGURES } from './engine-watch.ts'
import type { Crash } from './instance-command.ts'
import type { InstanceEngine } from './instance-engine.ts'
import { runFolder } from './instance-folder.ts'
import type { ServerAsked, ServerReport } from './server-report.ts'
import type { InstanceSettingsFile } from './settings-file.ts'
import { SqlSurface } from './sql-surface.ts'
import { NO_SEARCH, type Search, searchOf } from './wal-fallback.ts'

export interface EngineSurroundings {
  /** Something that the report should say at once. */
  changed(): void
  tellServer(asked: ServerAsked): void
  crash(what: Crash): void
  complain(what: string, error: unknown): void
}

export class RunningEngine {
  readonly #settings: InstanceSettingsFile
  readonly #engine: InstanceEngine
  readonly #surroundings: EngineSurroundings
  readonly #watch: EngineWatch
  #figures: EngineFigures = NO_FIGURES
  #oldestWal: string | null = null
  #search: Search = NO_SEARCH
  #sql: SqlSurface | undefined
  #state: 'running' | 'over' = 'running'

  constructor(settings: InstanceSettingsFile, engine: InstanceEngine, surroundings: EngineSurroundings) {
    this.#settings = settings
    this.#engine = engine
    this.#surroundings = surroundings
    const place = { folder: runFolder(settings.folder), port: settings.port }
    this.#watch = new EngineWatch(place, settings.role === 'reader', (figures) => this.#answered(figures))
    this.#watch.start()
    void this.#openSql()
  }

  get figures(): EngineFigures {
    return this.#figures
  }

  /** When all that is asked was last answered; undefined: never yet. */
  get answeredAtMs(): number | undefined {
    return this.#watch.answeredAtMs
  }

  /** Why a reader is to begin anew. */
  get hopeless(): string | null {
    return this.#search.hopeless
  }

  get requests(): SqlSurface['requests'] {
    return this.#sql?.requests ?? []
  }

  taken(...args: Parameters<SqlSurface['taken']>): ReturnType<SqlSurface['taken']> | undefined {
    return this.#sql?.taken(...args)
  }

  serverTold({ oldestWal }: ServerReport): void {
    this.#oldestWal = oldestWal ?? null
  }

  /** It ends, or has ended. */
  stop(): void {
    this.#state = 'over'
    this.#watch.stop()
    this.#sql?.close()
  }

  #answered(figures: EngineFigures): void {
    const isNews = figures.streaming !== this.#figures.streaming
    this.#figures = figures
    if (this.#settings.role === 'reader') this.#searchLog()
    if (isNews) this.#surroundings.changed()
  }

  /** A reader whose writer does not give it the log finds it in the volume. */
  #searchLog(): void {
    const { streaming, walFile } = this.#figures
    const { from, hopeless } = this.#search
    this.#search = searchOf(this.#search, { streaming, walFile, oldestInVolume: this.#oldestWal }, performance.now())
    const { tellServer, changed, complain } = this.#surroundings
    // Again and again: the server may be another one by now.
    if (this.#search.from !== undefined || from !== undefined) tellServer({ walFrom: this.#search.from ?? null })
    const taken = this.#engine.takeWalFromFolder(this.#search.from !== undefined)
    taken.catch((error: unknown) => complain('to look for the log', error))
    if (this.#search.hopeless !== hopeless) changed()
  }

  /** Without it clients do without Aurora's functions. */
  async #openSql(): Promise<void> {
    const { folder, port, role } = this.#settings
    const { crash, changed, complain } = this.#surroundings
    try {
      const sql = await SqlSurface.open({ folder: runFolder(folder), port }, role, crash, changed, complain)
      if (this.#state === 'running') this.#sql = sql
      else sql.close()
    } catch (error) {
      complain('what SQL may ask for', error)
    }
  }
}
