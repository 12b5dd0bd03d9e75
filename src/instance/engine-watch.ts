/**
 * Looks after an engine that runs: whether it answers, and how far it is. Asks twice a second in one session that it
 * keeps, and every other time whether the engine's first process still takes connections.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { KeptSession, knock, type Row, type SessionPlace } from '../engine/postgres/session.ts'
import { SUPERUSER } from '../engine/postgres/template.ts'
import { lagOf, type Progress } from './reader-lag.ts'
import { parseWalLsn, walFileAt } from './wal-position.ts'

/** What an engine said of itself. */
export interface EngineFigures {
  readonly walLsn: string | null
  /** The file of the log that a reader's replay is in. */
  readonly walFile: string | null
  readonly timeline: number | null
  readonly connections: number | null
  readonly streaming: boolean | null
  readonly lagMs: number | null
}

export const NO_FIGURES: EngineFigures = {
  walLsn: null,
  walFile: null,
  timeline: null,
  connections: null,
  streaming: null,
  lagMs: null,
}

const ASK_MS = 500
const ANSWER_MS_MAX = 2000
/** A knock costs the engine a process. */
const ASKS_PER_KNOCK = 2

/** The superuser is we: nobody else gets in as that. */
const CONNECTIONS = `(
  SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend' AND usename <> '${SUPERUSER}')`

/** Nothing here reads a file: an engine that only waits for its files does answer, and those have a watch of their own. */
const WRITER = `
  SELECT pg_current_wal_flush_lsn()::text AS lsn,
    ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int AS timeline,
    ${CONNECTIONS} AS connections`

const READER = `
  SELECT pg_last_wal_replay_lsn()::text AS lsn, received.timeline,
    pg_size_bytes(current_setting('wal_segment_size'))::int AS "fileBytes",
    coalesce(received.streaming, false) AS streaming,
    received.lsn::text AS received,
    coalesce(pg_last_wal_replay_lsn() >= received.lsn, false) AS "upToDate",
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 * 1000 AS "ageMs",
    ${CONNECTIONS} AS connections
  FROM (VALUES (1)) AS one
    LEFT JOIN (
      SELECT status = 'streaming' AS streaming, received_tli AS timeline, flushed_lsn AS lsn FROM pg_stat_wal_receiver
    ) AS received ON true`

const numberOrNull = (value: unknown): number | null => (typeof value === 'number' ? value : null)
const textOrNull = (value: unknown): string | null => (typeof value === 'string' ? value : null)

export class EngineWatch {
  readonly #place: SessionPlace
  readonly #isReader: boolean
  readonly #onFigures: (figures: EngineFigures) => void
  readonly #session: KeptSession
  readonly #end = new AbortController()
  #answeredAtMs: number | undefined
  #tookConnectionAtMs: number | undefined
  #asks = 0
  #progress: Progress | undefined
  #timeline: number | null = null

  /** @param onFigures is told each answer */
  constructor(place: SessionPlace, isReader: boolean, onFigures: (figures: EngineFigures) => void) {
    this.#place = place
    this.#isReader = isReader
    this.#onFigures = onFigures
    this.#session = new KeptSession(place)
  }

  /** When all that is asked was last answered, as `performance.now()` has it. */
  get answeredAtMs(): number | undefined {
    if (this.#answeredAtMs === undefined || this.#tookConnectionAtMs === undefined) return undefined
    // A knock that is not due yet is no sign of anything.
    return Math.min(this.#answeredAtMs, this.#tookConnectionAtMs + (ASKS_PER_KNOCK - 1) * ASK_MS)
  }

  start(): void {
    void this.#ask()
  }

  /** The engine ends, or has ended. */
  stop(): void {
    this.#end.abort()
    this.#session.close()
  }

  async #ask(): Promise<void> {
    const { signal } = this.#end
    for (let nextMs = performance.now(); !signal.aborted; ) {
      const asks = [this.#question()]
      if (this.#asks++ % ASKS_PER_KNOCK === 0) asks.push(this.#knock())
      // What does not answer shows as time that passes.
      await Promise.allSettled(asks)
      nextMs = Math.max(nextMs + ASK_MS, performance.now())
      await pause(Math.max(0, nextMs - performance.now()), undefined, { signal }).catch(() => {})
    }
  }

  async #knock(): Promise<void> {
    await knock(this.#place, ANSWER_MS_MAX)
    this.#tookConnectionAtMs = performance.now()
  }

  async #question(): Promise<void> {
    const [row] = await this.#session.ask(this.#isReader ? READER : WRITER, ANSWER_MS_MAX)
    if (this.#end.signal.aborted || row === undefined) return
    this.#answeredAtMs = performance.now()
    this.#onFigures(this.#figures(row, this.#answeredAtMs))
  }

  #figures(row: Row, nowMs: number): EngineFigures {
    const walLsn = textOrNull(row.lsn)
    const connections = numberOrNull(row.connections)
    this.#timeline = numberOrNull(row.timeline) ?? this.#timeline
    const timeline = this.#timeline
    if (!this.#isReader) return { ...NO_FIGURES, walLsn, timeline, connections }
    const streaming = row.streaming === true
    const { lagMs, progress } = lagOf(this.#progress, {
      nowMs,
      streaming,
      replayed: walLsn,
      received: textOrNull(row.received),
      upToDate: row.upToDate === true,
      ageMs: numberOrNull(row.ageMs),
    })
    this.#progress = progress
    const walFile = walLsn === null ? null : walFileAt(parseWalLsn(walLsn), Number(row.fileBytes))
    return { walLsn, walFile, timeline, connections, streaming, lagMs }
  }
}
