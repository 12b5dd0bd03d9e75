/**
 * The pages of each engine version arrive whole on the mount: none is ever cut, whatever writes it. That is what
 * `full_page_writes=off` rests on, and why a crash in the middle of it all leaves a database without a damaged page.
 */
import assert from 'node:assert/strict'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { EngineError } from '../../src/engine/engine-error.ts'
import type { Parameters } from '../../src/engine/postgres/parameters.ts'
import { availableVersions, DEFAULT_MAJOR, type Major } from '../../src/engine/postgres/versions.ts'
import { Place, startServer, whyNoMount } from '../fuse-mounts.ts'
import { installed, PostgresInstance } from '../postgres-instance.ts'
import { until } from '../waiting.ts'

const skip = whyNoMount() ?? false

const ROWS = 5_000
const WRITERS = 3
/** On a busy machine with 2 cores; alone it takes some seconds. */
const LOAD_MS_MAX = 280_000
const timeout = 2 * LOAD_MS_MAX

/** Small, so that sessions have to write pages too, besides the checkpointer and the background writer. */
const BUFFERS: Parameters = { shared_buffers: '4MB', bgwriter_delay: '20ms', maintenance_work_mem: '1MB' }

/** What comes in the same files by other ways: extension in bulk, indexes of every kind, tables written anew. */
const maintenance = (file: string): readonly string[] => [
  `COPY (SELECT i, i % 1000, repeat(md5(i::text), 8) FROM generate_series(1, ${ROWS}) i) TO '${file}'`,
  'CREATE TABLE loaded (id int, filler int, body text)',
  `COPY loaded FROM '${file}'`,
  'CHECKPOINT',
  'CREATE INDEX ON loaded (id)',
  'CREATE INDEX ON loaded USING hash (filler)',
  'CREATE INDEX ON loaded USING brin (id)',
  `CREATE INDEX ON loaded USING gin (to_tsvector('simple', body))`,
  'CREATE INDEX ON loaded USING gist (point(id, filler))',
  'CREATE INDEX ON loaded USING spgist (body)',
  'CREATE INDEX CONCURRENTLY ON accounts (balance)',
  'DELETE FROM loaded WHERE id % 3 = 0',
  'VACUUM (FREEZE, ANALYZE) loaded',
  `INSERT INTO loaded SELECT i, i, md5(i::text) FROM generate_series(1, ${ROWS / 4}) i`,
  'REINDEX TABLE accounts',
  'VACUUM FULL loaded',
  'CLUSTER loaded USING loaded_id_idx',
  'CHECKPOINT',
  'CREATE UNLOGGED TABLE unlogged AS SELECT * FROM loaded',
  'TRUNCATE unlogged',
  'CREATE TEMPORARY TABLE private AS SELECT * FROM loaded',
  'CREATE DATABASE copied TEMPLATE template0',
  'DROP DATABASE copied',
  'VACUUM accounts',
]

const SETUP = [
  'CREATE EXTENSION amcheck',
  'CREATE TABLE accounts (id int PRIMARY KEY, balance int, filler text)',
  `INSERT INTO accounts SELECT i, 0, repeat('x', 100) FROM generate_series(1, ${ROWS}) i`,
]

/** Every page of every table and index is read, with its checksum, and what it says is compared. */
const VERIFICATION = [
  `SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_am a ON a.oid = c.relam
     WHERE c.relkind = 'i' AND a.amname = 'btree' AND c.relpersistence = 'p'`,
  `SELECT v.* FROM pg_class c, LATERAL verify_heapam(c.oid) v WHERE c.relkind IN ('r', 't', 'm') AND c.relpersistence = 'p'`,
]

/** Sessions that change rows all over the table, until the engine is gone or they are told to stop. */
class Writers {
  changes = 0
  readonly #done: Promise<unknown>
  #stopped = false

  constructor(instance: PostgresInstance) {
    this.#done = Promise.all(Array.from({ length: WRITERS }, () => this.#write(instance)))
  }

  async #write({ engine }: PostgresInstance): Promise<void> {
    await engine
      .session(async (query) => {
        while (!this.#stopped) {
          await query(`UPDATE accounts SET balance = balance + 1, filler = repeat(md5(random()::text), 4)
            WHERE id = 1 + floor(random() * ${ROWS})::int`)
          this.changes++
        }
      }, LOAD_MS_MAX)
      .catch((error: unknown) => {
        if (engine.state.name === 'running') throw error
      })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  /** Resolves when the engine that they work with was killed. */
  ended(): Promise<unknown> {
    return this.#done
  }
}

async function run({ engine }: PostgresInstance, statements: readonly string[]): Promise<readonly unknown[]> {
  return engine.session(async (query) => {
    const answers: unknown[] = []
    for (const statement of statements) answers.push(...(await query(statement)))
    return answers
  }, LOAD_MS_MAX)
}

/** Load with everything that writes pages; killed in the middle of more, and verified after its recovery. */
async function loadAndKill(instance: PostgresInstance, parameters: Parameters, file: string): Promise<void> {
  const configuration = { ...instance.configuration, parameters: { ...BUFFERS, ...parameters } }
  await instance.engine.start(configuration)
  await run(instance, ['DROP TABLE IF EXISTS accounts, loaded, unlogged', 'DROP EXTENSION IF EXISTS amcheck', ...SETUP])
  const writers = new Writers(instance)
  await run(instance, maintenance(file))
  await writers.stop()
  const more = new Writers(instance)
  const copying = run(instance, [`COPY loaded FROM '${file}'`, 'CHECKPOINT']).catch(() => [])
  await until('changes in the middle of which it is killed', () => more.changes > 100, LOAD_MS_MAX)
  await instance.engine.kill()
  await Promise.all([more.ended(), copying])
  await instance.engine.start(configuration)
  const answers = await run(instance, VERIFICATION)
  assert.deepEqual(
    answers.filter((answer) => JSON.stringify(answer) !== '{"bt_index_check":""}'),
    [],
  )
  await instance.engine.stop('fast', LOAD_MS_MAX)
}

/** What the engine may do differently with files. */
const variants = (major: Major): readonly Parameters[] =>
  major >= 18 ? [{ io_method: 'worker' }, { io_method: 'sync', wal_level: 'logical' }] : [{ wal_level: 'logical' }]

describe('the pages of PostgreSQL', { skip }, () => {
  for (const { major } of availableVersions()) {
    it(`${major} arrive whole, and it recovers without full-page writes`, { timeout }, async (t) => {
      const binaries = await installed(`${major}`).catch((error: unknown) => {
        if (major !== DEFAULT_MAJOR && error instanceof EngineError && error.code === 'NotInstalled') return undefined
        throw error
      })
      if (binaries === undefined) return t.skip('it is not installed, and the package registry is not within reach')
      using place = new Place()
      await using server = await startServer(place.path, '--relations')
      const instance = await PostgresInstance.empty(`pages-${major}`, binaries)
      try {
        mkdirSync(join(place.path, 'data'))
        symlinkSync(join(place.path, 'data'), instance.place.dataDirectory)
        await instance.create()
        for (const parameters of variants(major))
          await loadAndKill(instance, parameters, join(instance.place.folders.logs, 'rows'))
      } finally {
        await instance.remove()
      }
      const { counts } = await server.end()
      const { toPages, fragments, shortened, refused, fromCache } = counts ?? {}
      t.diagnostic(`${binaries.version.name}: ${String(toPages)} writes to files of pages, ${String(fragments)} cut`)
      assert.equal(typeof toPages === 'number' && toPages > 2000, true, `${String(toPages)} writes are too few`)
      assert.deepEqual(
        { fragments, shortened, refused, fromCache },
        { fragments: 0, shortened: 0, refused: 0, fromCache: 0 },
      )
    })
  }
})
