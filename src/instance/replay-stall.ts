/** Fault injection: a reader that does not follow its writer, for a time. It goes on answering with what it has. */
import { setTimeout as pause } from 'node:timers/promises'
import type { PostgresEngine } from '../engine/postgres/engine.ts'

/** Of each such time the reader stands still for a share. */
const PERIOD_MS = 1000

export interface Stall {
  /** Of the time. */
  readonly percent: number
  readonly seconds: number
}

/** Ends with replay going on, whatever happens: as long as the engine runs it is asked to. An engine that starts anew replays. */
export async function stallReplay(engine: PostgresEngine, { percent, seconds }: Stall): Promise<void> {
  const stillMs = (PERIOD_MS * percent) / 100
  const ask = (statement: string) => engine.session((query) => query(statement))
  try {
    for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; ) {
      if (stillMs > 0) await ask('SELECT pg_wal_replay_pause()')
      await pause(Math.min(stillMs, endMs - performance.now()))
      if (stillMs === PERIOD_MS) continue
      await ask('SELECT pg_wal_replay_resume()')
      await pause(Math.max(0, Math.min(PERIOD_MS - stillMs, endMs - performance.now())))
    }
  } finally {
    if (engine.state.name === 'running') await ask('SELECT pg_wal_replay_resume()')
  }
}
