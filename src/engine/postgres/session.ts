/** Short sessions of the instance with its engine, over the local socket, as the superuser and without a password. */
import { Socket } from 'node:net'
import pg from 'pg'
import { EngineError } from '../engine-error.ts'
import { SUPERUSER } from './template.ts'

export interface SessionPlace {
  /** The folder of the socket. */
  readonly folder: string
  readonly port: number
}

export type Row = Readonly<Record<string, unknown>>

/** Runs one statement; values of `$1` and on are sent apart from it. */
export type Query = (statement: string, values?: readonly unknown[]) => Promise<readonly Row[]>

/** The server is there and says: not yet, or not any more. */
const NOT_ACCEPTING = ['57P03', '57P01', '57P02', '57P05']
const NOBODY_THERE = ['ECONNREFUSED', 'ENOENT', 'ECONNRESET', 'EPIPE']

/** Whether the engine does not accept sessions, as opposed to refusing what was asked of it. */
export const isNotAccepting = (error: unknown): boolean => {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return code !== undefined && (NOT_ACCEPTING.includes(code) || NOBODY_THERE.includes(code))
}

/**
 * A session of its own for each purpose: none waits behind another's statement, and a check of the engine's health goes
 * the way of a client's. Costs a fork of the engine, 2 to 5 ms. After `deadlineMs` it is cut off, whatever it does.
 */
export async function withSession<T>(
  place: SessionPlace,
  deadlineMs: number,
  use: (query: Query) => Promise<T>,
): Promise<T> {
  const stream = new Socket()
  const client = new pg.Client({
    host: place.folder,
    port: place.port,
    user: SUPERUSER,
    database: 'postgres',
    stream: () => stream,
    application_name: 'borealis',
  })
  // A connection that breaks also fails what is waiting for it.
  client.on('error', () => {})
  let late = false
  const deadline = setTimeout(() => {
    late = true
    stream.destroy(new Error('deadline'))
  }, deadlineMs)
  try {
    await client.connect()
    return await use(async (statement, values) => (await client.query(statement, values && [...values])).rows)
  } catch (error) {
    if (late) throw new EngineError('TimedOut', `no answer within ${deadlineMs} ms`, { cause: error })
    throw error
  } finally {
    clearTimeout(deadline)
    // The good-bye is sent; whether it arrives is of no interest.
    client.end().catch(() => {})
    stream.destroySoon()
  }
}
