/**
 * What goes on in a database besides its transactions: tables made, rewritten and dropped, indexes built, vacuum,
 * checkpoints, sorts that spill. A table that is kept is noted in another in the same transaction, with what it holds.
 */
import type pg from 'pg'
import { Random } from '../sim/random.ts'
import { pause } from './waiting.ts'

const SCHEMA = `
  CREATE TABLE kept_tables (name text PRIMARY KEY, count int NOT NULL, total bigint NOT NULL);
  CREATE TABLE rewritten (id int PRIMARY KEY, filling text NOT NULL);
  CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY, filling text);
  CREATE SEQUENCE table_names;`

export async function createUpkeep(client: pg.Client): Promise<void> {
  await client.query(SCHEMA)
}

type Task = (client: pg.Client, random: Random) => Promise<unknown>

async function keepTable(client: pg.Client, random: Random): Promise<void> {
  const count = random.magnitude(10, 20_000)
  const name = `kept_${(await client.query(`SELECT nextval('table_names') AS n`)).rows[0]?.n}`
  await client.query(`BEGIN;
    CREATE TABLE ${name} AS SELECT n AS id, md5(n::text) AS text, n * 7 AS value FROM generate_series(1, ${count}) n;
    CREATE INDEX ON ${name} (text); ALTER TABLE ${name} ADD PRIMARY KEY (id);
    INSERT INTO kept_tables SELECT '${name}', count(*), sum(value) FROM ${name}; COMMIT`)
}

async function dropTable(client: pg.Client): Promise<void> {
  const { rows } = await client.query('SELECT name FROM kept_tables ORDER BY random() LIMIT 1')
  const name = rows[0]?.name
  if (name !== undefined)
    await client.query(`BEGIN; DELETE FROM kept_tables WHERE name = '${name}'; DROP TABLE ${name}; COMMIT`)
}

async function changeTable(client: pg.Client, random: Random): Promise<void> {
  const { rows } = await client.query('SELECT name FROM kept_tables ORDER BY random() LIMIT 1')
  const name = rows[0]?.name
  if (name === undefined) return
  const change = random.pick([
    `DELETE FROM ${name} WHERE id % ${random.between(2, 9)} = 0`,
    `UPDATE ${name} SET value = value + 1 WHERE id % ${random.between(2, 9)} = 0`,
    `ALTER TABLE ${name} ALTER value TYPE ${random.pick(['int', 'bigint', 'numeric'])}`,
    `TRUNCATE ${name}; INSERT INTO ${name} VALUES (1, 'again', 1)`,
  ])
  await client.query(`BEGIN; ${change};
    UPDATE kept_tables SET (count, total) = (SELECT count(*), coalesce(sum(value), 0) FROM ${name})
      WHERE name = '${name}'; COMMIT`)
}

/** Values of several sizes, also such that go to the toast table, compressed or not. */
const rewrite: Task = (client, random) =>
  client.query(`
    INSERT INTO rewritten
    SELECT n, (SELECT string_agg(md5((n * i)::text), '') FROM generate_series(1, ${random.magnitude(1, 600)}) i)
    FROM generate_series(${random.between(1, 40)}, 40) n
    ON CONFLICT (id) DO UPDATE SET filling = excluded.filling`)

const TASKS: Readonly<Record<string, Task>> = {
  keepTable,
  dropTable,
  changeTable,
  rewrite,
  vacuum: (client, random) =>
    client.query(random.pick(['VACUUM', 'VACUUM FREEZE accounts', 'VACUUM FULL history', 'VACUUM FULL rewritten'])),
  index: (client, random) =>
    client.query(
      random.pick([
        'DROP INDEX IF EXISTS deltas; CREATE INDEX deltas ON history (delta)',
        'REINDEX TABLE accounts',
        'REINDEX SYSTEM',
      ]),
    ),
  indexConcurrently: (client) => client.query('REINDEX INDEX CONCURRENTLY accounts_pkey'),
  checkpoint: (client) => client.query('CHECKPOINT'),
  switchWal: (client) => client.query('SELECT pg_switch_wal()'),
  unlogged: (client) =>
    client.query(`INSERT INTO unlogged SELECT n, 'x' FROM generate_series(1, 500) n ON CONFLICT DO NOTHING`),
  spill: (client) =>
    client.query(`BEGIN; SET LOCAL work_mem = '64kB';
      CREATE TEMP TABLE spilled ON COMMIT DROP AS SELECT a.* FROM accounts a ORDER BY md5(a.aid::text); COMMIT`),
}

const WEIGHTS = {
  keepTable: 4,
  dropTable: 3,
  changeTable: 3,
  rewrite: 3,
  vacuum: 2,
  index: 2,
  indexConcurrently: 1,
  checkpoint: 3,
  switchWal: 1,
  unlogged: 1,
  spill: 2,
} as const satisfies Record<keyof typeof TASKS, number>

const PAUSE_MS = 30
const RECONNECT_MS = 100

/** The end of its server, or having been in the way of others. */
const isExpected = (error: unknown): boolean => {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return code === undefined || /^(57|08|58|XX|E[A-Z]+$|40P01|55P03)/.test(code)
}

export class ClusterUpkeep {
  readonly #connect: () => Promise<pg.Client>
  readonly #random: Random
  #stopped = true
  #running: Promise<void> = Promise.resolve()
  readonly counts: Record<string, number> = {}
  readonly problems: string[] = []

  /** @param connect as the superuser */
  constructor(connect: () => Promise<pg.Client>, seed: number) {
    this.#connect = connect
    this.#random = new Random(seed)
  }

  start(): void {
    this.#stopped = false
    this.#running = this.#run()
  }

  stop(): Promise<void> {
    this.#stopped = true
    return this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      // While there is no server, all that fails is to connect.
      const client = await this.#connect().catch(() => undefined)
      if (client === undefined) {
        await pause(RECONNECT_MS)
        continue
      }
      try {
        while (!this.#stopped) {
          const name = this.#random.weighted(WEIGHTS)
          await (TASKS[name] as Task)(client, this.#random)
          this.counts[name] = (this.counts[name] ?? 0) + 1
          await pause(PAUSE_MS)
        }
      } catch (error) {
        if (!isExpected(error)) this.problems.push(`upkeep: ${error}`)
      } finally {
        client.end().catch(() => {})
      }
    }
  }
}

/** Every table that is noted is there with what it is said to hold, and no other is. @returns what is wrong */
export async function checkUpkeep(client: pg.Client): Promise<string[]> {
  const problems: string[] = []
  const noted = (await client.query('SELECT name, count, total::text FROM kept_tables')).rows
  const { rows } = await client.query(`SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'kept\\_%'`)
  const there = new Set(rows.map(({ relname }) => relname as string))
  there.delete('kept_tables')
  for (const { name, count, total } of noted) {
    if (!there.delete(name)) {
      problems.push(`table ${name} is not there`)
      continue
    }
    const [found] = (
      await client.query(`SELECT count(*)::int AS count, coalesce(sum(value), 0)::text AS total FROM ${name}`)
    ).rows
    if (found?.count !== count || found?.total !== total)
      problems.push(`table ${name} has ${found?.count} rows of ${found?.total}, not ${count} of ${total}`)
  }
  for (const name of there) problems.push(`table ${name} is there and was not made`)
  const [wrong] = (
    await client.query(`SELECT count(*)::int AS count FROM rewritten WHERE left(filling, 32) <> md5(id::text)`)
  ).rows
  if (wrong?.count !== 0) problems.push(`${wrong?.count} rows were rewritten to something else`)
  return problems
}
