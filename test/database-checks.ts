/** Whether a database hangs together: indexes and tables by PostgreSQL's own checkers, and what the load promises. */
import type pg from 'pg'
import { checkUpkeep } from './cluster-upkeep.ts'
import { checkBalances } from './tpcb.ts'

/** Names of relations of other sessions' temporary tables, which nobody else can read, are left out. */
const INDEXES = `
  SELECT c.oid::int AS oid, c.oid::regclass::text AS name, i.indexrelid >= 16384 AS ours
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
  WHERE a.amname = 'btree' AND i.indisvalid AND i.indisready AND c.relpersistence <> 't' AND c.relkind = 'i'`
const TABLES = `
  SELECT c.oid::int AS oid, c.oid::regclass::text AS name
  FROM pg_class c JOIN pg_am a ON a.oid = c.relam
  WHERE a.amname = 'heap' AND c.relkind IN ('r', 't', 'm') AND c.relpersistence <> 't'`

interface Relation {
  readonly oid: number
  readonly name: string
  readonly ours?: boolean
}

async function checkIndex(client: pg.Client, { oid, name, ours }: Relation): Promise<string[]> {
  try {
    // Ours also level by level, and every entry of the table searched for from the root.
    if (ours === true) await client.query(`SELECT bt_index_parent_check(${oid}, true, true)`)
    else await client.query(`SELECT bt_index_check(${oid}, true)`)
    return []
  } catch (error) {
    return [`index ${name}: ${error instanceof Error ? error.message : error}`]
  }
}

async function checkTable(client: pg.Client, { oid, name }: Relation): Promise<string[]> {
  try {
    const { rows } = await client.query(`SELECT * FROM verify_heapam(${oid}, check_toast => true)`)
    return rows.map(({ blkno, offnum, msg }) => `table ${name}, block ${blkno}, item ${offnum}: ${msg}`)
  } catch (error) {
    return [`table ${name}: ${error instanceof Error ? error.message : error}`]
  }
}

export interface DatabaseReport {
  readonly indexes: number
  readonly tables: number
  readonly problems: readonly string[]
}

/** @param client of the superuser; nobody changes the database meanwhile */
export async function checkDatabase(client: pg.Client): Promise<DatabaseReport> {
  const { problems, ...counts } = await checkRelations(client)
  return { ...counts, problems: [...problems, ...(await checkBalances(client)), ...(await checkUpkeep(client))] }
}

/** Tables and indexes, whatever is in them. @param client of the superuser; nobody changes the database meanwhile */
export async function checkRelations(client: pg.Client): Promise<DatabaseReport> {
  await client.query('CREATE EXTENSION IF NOT EXISTS amcheck')
  const problems: string[] = []
  const indexes = (await client.query(INDEXES)).rows as Relation[]
  for (const index of indexes) problems.push(...(await checkIndex(client, index)))
  const tables = (await client.query(TABLES)).rows as Relation[]
  for (const table of tables) problems.push(...(await checkTable(client, table)))
  const { rows } = await client.query('SELECT sum(checksum_failures)::int AS failures FROM pg_stat_database')
  if (rows[0]?.failures > 0) problems.push(`${rows[0].failures} pages had a wrong checksum`)
  return { indexes: indexes.length, tables: tables.length, problems }
}
