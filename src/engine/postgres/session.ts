/** Sessions of the instance with its engine, over the local socket, as the superuser and without a password. */
import { once } from 'node:events'
import { createConnection, Socket } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { EngineError } from '../engine-error.ts'
import { SUPERUSER } from './template.ts'

/** What `pg_stat_activity` shows of ours. */
const APPLICATION = 'borealis'

export interface SessionPlace {
  /** The folder of the socket. */
  readonly folder: string
  readonly port: number
  /** `postgres` when it is not given. */
  readonly database?: string
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

function newClient({ folder, port, database = 'postgres' }: SessionPlace): {
  readonly client: pg.Client
  readonly stream: Socket
} {
  const stream = new Socket()
  const client = new pg.Client({
    host: folder,
    port,
    user: SUPERUSER,
    database,
    stream: () => stream,
    application_name: APPLICATION,
  })
  // A connection that breaks also fails what is waiting for it.
  client.on('error', () => {})
  return { client, stream }
}

/** Cuts a connection off, whatever it does, unless `work` is done in time. @throws EngineError `TimedOut` */
async function inTime<T>(stream: Socket, deadlineMs: number, work: () => Promise<T>): Promise<T> {
  let late = false
  const deadline = setTimeout(() => {
    late = true
    stream.destroy(new Error('deadline'))
  }, deadlineMs)
  try {
    return await work()
  } catch (error) {
    if (late) throw new EngineError('TimedOut', `no answer within ${deadlineMs} ms`, { cause: error })
    throw error
  } finally {
    clearTimeout(deadline)
  }
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
  const { client, stream } = newClient(place)
  try {
    return await inTime(stream, deadlineMs, async () => {
      await client.connect()
      return use(async (statement, values) => (await client.query(statement, values && [...values])).rows)
    })
  } finally {
    // The good-bye is sent; whether it arrives is of no interest.
    client.end().catch(() => {})
    stream.destroySoon()
  }
}

/** One session for one question that is asked again and again; a new one after each failure. */
export class KeptSession {
  readonly #place: SessionPlace
  #kept: { readonly client: pg.Client; readonly stream: Socket } | undefined

  constructor(place: SessionPlace) {
    this.#place = place
  }

  /** One at a time. */
  async ask(statement: string, deadlineMs: number): Promise<readonly Row[]> {
    const isNew = this.#kept === undefined
    this.#kept ??= newClient(this.#place)
    const { client, stream } = this.#kept
    try {
      return await inTime(stream, deadlineMs, async () => {
        if (isNew) await client.connect()
        return (await client.query(statement)).rows
      })
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    const kept = this.#kept
    this.#kept = undefined
    kept?.client.end().catch(() => {})
    kept?.stream.destroySoon()
  }
}

/** SSLRequest of the protocol: a length, and a number that is no version. */
const WHETHER_TLS = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/**
 * Whether the engine's first process takes connections: it starts a process for each, which says whether it would speak
 * TLS. Leaves no line in the log. @throws EngineError `TimedOut`; or an error of the connection
 */
export async function knock(place: SessionPlace, deadlineMs: number): Promise<void> {
  const socket = createConnection(join(place.folder, `.s.PGSQL.${place.port}`))
  try {
    await inTime(socket, deadlineMs, async () => {
      socket.write(WHETHER_TLS)
      await once(socket, 'data')
    })
  } finally {
    socket.destroy()
  }
}
