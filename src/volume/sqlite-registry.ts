/**
 * The registry of one machine: a SQLite file that any number of processes open. Every change is on disk when its
 * promise resolves (WAL with `synchronous=FULL`).
 *
 * Calls block their thread, for microseconds, and a change for one flush of the disk.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { type ErrorCode, VolumeError } from '../protocol/errors.ts'
import type { Cell, Registry } from './registry.ts'

const SCHEMA_VERSION = 1
/** Changes are short; who waits longer than this for another process meets one that hangs. */
const BUSY_TIMEOUT_MS = 5000

const SCHEMA = `
  CREATE TABLE cell (key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE counter (only INTEGER PRIMARY KEY CHECK (only = 1), version INTEGER NOT NULL) STRICT;
  INSERT INTO counter VALUES (1, 0);
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** SQLite's primary result codes that mean something to a caller (sqlite.org/rescode.html). */
const CODES: Readonly<Record<number, ErrorCode>> = {
  5: 'TimedOut',
  6: 'TimedOut',
  11: 'Corrupt',
  13: 'DiskFull',
  26: 'Corrupt',
}

export class SqliteRegistry implements Registry {
  readonly #database: DatabaseSync
  readonly #get: StatementSync
  readonly #list: StatementSync
  readonly #nextVersion: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync

  private constructor(database: DatabaseSync) {
    this.#database = database
    this.#get = database.prepare('SELECT value, version FROM cell WHERE key = ?')
    this.#list = database.prepare(
      'SELECT key FROM cell WHERE key >= ?1 AND substr(key, 1, length(?1)) = ?1 ORDER BY key',
    )
    this.#nextVersion = database.prepare('UPDATE counter SET version = version + 1 RETURNING version')
    this.#put = database.prepare('INSERT OR REPLACE INTO cell (key, value, version) VALUES (?, ?, ?)')
    this.#remove = database.prepare('DELETE FROM cell WHERE key = ?')
  }

  /**
   * Makes the file when it is not there.
   * @throws VolumeError `UnsupportedFormat` for a file of a newer version, `Corrupt`, `TimedOut`, `DiskFull`
   */
  static open(path: string): SqliteRegistry {
    return translated(path, () => {
      const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS })
      try {
        database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
        inTransaction(database, () => checkSchema(database, path))
        return new SqliteRegistry(database)
      } catch (error) {
        database.close()
        throw error
      }
    })
  }

  async get(key: string): Promise<Cell | undefined> {
    return this.#call(() => this.#cell(key))
  }

  async cas(key: string, expected: number, value: string | null): Promise<boolean> {
    return this.#call(() =>
      inTransaction(this.#database, () => {
        if ((this.#cell(key)?.version ?? 0) !== expected) return false
        if (value === null) this.#remove.run(key)
        else this.#put.run(key, value, Number(this.#nextVersion.get()?.version))
        return true
      }),
    )
  }

  async list(prefix: string): Promise<string[]> {
    return this.#call(() => this.#list.all(prefix).map(({ key }) => String(key)))
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }

  #cell(key: string): Cell | undefined {
    const row = this.#get.get(key)
    return row === undefined ? undefined : { value: String(row.value), version: Number(row.version) }
  }

  #call<T>(body: () => T): T {
    if (!this.#database.isOpen) throw new VolumeError('Closed', 'the registry is closed')
    return translated('registry', body)
  }
}

function checkSchema(database: DatabaseSync, path: string): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version)
  if (version === 0) database.exec(SCHEMA)
  else if (version !== SCHEMA_VERSION) {
    throw new VolumeError('UnsupportedFormat', `${path} has schema ${version}; this version reads ${SCHEMA_VERSION}`)
  }
}

/** IMMEDIATE: a transaction that reads first and then finds somebody else writing could not wait for them. */
function inTransaction<T>(database: DatabaseSync, body: () => T): T {
  database.exec('BEGIN IMMEDIATE')
  try {
    const result = body()
    database.exec('COMMIT')
    return result
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

/** Gives SQLite's errors one of our codes. */
function translated<T>(what: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    const number = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
    const code = CODES[number]
    throw code === undefined ? error : new VolumeError(code, `${what}: ${(error as Error).message}`, { cause: error })
  }
}
