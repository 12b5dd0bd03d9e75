/**
 * The control plane's database: SQLite, in one file that one process has open. Records are kept in memory as well, so
 * that reading them costs nothing; a transaction that fails puts back both.
 */
import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { VolumeError } from '../protocol/errors.ts'
import type { ClusterRecord, EndpointRecord, InstanceRecord } from './cluster-records.ts'

const SCHEMA_VERSION = 1

const SCHEMA = `
  CREATE TABLE cluster (name TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE instance (
    name TEXT PRIMARY KEY, cluster TEXT NOT NULL REFERENCES cluster ON UPDATE CASCADE, record TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE endpoint (
    name TEXT PRIMARY KEY, cluster TEXT NOT NULL REFERENCES cluster ON UPDATE CASCADE, record TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  PRAGMA user_version = ${SCHEMA_VERSION};
`

type Table = 'cluster' | 'instance' | 'endpoint'

interface Rows {
  readonly cluster: Map<string, ClusterRecord>
  readonly instance: Map<string, InstanceRecord>
  readonly endpoint: Map<string, EndpointRecord>
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : 1)

export class ControlStore {
  readonly database: DatabaseSync
  #rows: Rows
  #depth = 0

  private constructor(database: DatabaseSync) {
    this.database = database
    this.#rows = this.#read()
  }

  /**
   * Makes the file when it is not there, for its owner only: passwords are in it.
   * @throws VolumeError `UnsupportedFormat` for a file of a newer version
   */
  static open(path: string): ControlStore {
    if (path !== ':memory:' && !existsSync(path)) writeFileSync(path, '', { mode: 0o600 })
    const database = new DatabaseSync(path)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON')
    if (path !== ':memory:') chmodSync(path, 0o600)
    const version = Number(database.prepare('PRAGMA user_version').get()?.user_version)
    if (version > SCHEMA_VERSION) {
      database.close()
      throw new VolumeError('UnsupportedFormat', `${path} is of a newer version (${version}) of Borealis`)
    }
    if (version === 0) database.exec(`BEGIN; ${SCHEMA} COMMIT`)
    return new ControlStore(database)
  }

  #read(): Rows {
    const all = <T>(table: Table): Map<string, T> =>
      new Map(
        this.database
          .prepare(`SELECT name, record FROM ${table} ORDER BY name`)
          .all()
          .map(({ name, record }) => [String(name), JSON.parse(String(record)) as T]),
      )
    return { cluster: all('cluster'), instance: all('instance'), endpoint: all('endpoint') }
  }

  /** All or nothing, durable when it returns. Within another one it is part of that. */
  transaction<T>(body: () => T): T {
    if (this.#depth > 0) return body()
    this.database.exec('BEGIN IMMEDIATE')
    this.#depth++
    try {
      const result = body()
      this.database.exec('COMMIT')
      return result
    } catch (error) {
      this.database.exec('ROLLBACK')
      this.#rows = this.#read()
      throw error
    } finally {
      this.#depth--
    }
  }

  // -------------------------------------------------------------- reading

  clusters(): ClusterRecord[] {
    return [...this.#rows.cluster.values()].sort(byName)
  }

  cluster(name: string): ClusterRecord | undefined {
    return this.#rows.cluster.get(name)
  }

  instances(): InstanceRecord[] {
    return [...this.#rows.instance.values()].sort(byName)
  }

  instancesOf(cluster: string): InstanceRecord[] {
    return this.instances().filter((each) => each.cluster === cluster)
  }

  instance(name: string): InstanceRecord | undefined {
    return this.#rows.instance.get(name)
  }

  endpoints(): EndpointRecord[] {
    return [...this.#rows.endpoint.values()].sort(byName)
  }

  endpointsOf(cluster: string): EndpointRecord[] {
    return this.endpoints().filter((each) => each.cluster === cluster)
  }

  endpoint(name: string): EndpointRecord | undefined {
    return this.#rows.endpoint.get(name)
  }

  /** Loopback addresses that are somebody's, who may be down just now. */
  addresses(): Set<string> {
    return new Set([
      ...this.clusters().map(({ readerAddress }) => readerAddress),
      ...this.instances().map(({ address }) => address),
      ...this.endpoints().map(({ address }) => address),
    ])
  }

  // -------------------------------------------------------------- changing

  putCluster(record: ClusterRecord): ClusterRecord {
    const sql = 'INSERT INTO cluster VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET record = ?2'
    return this.transaction(() => {
      this.database.prepare(sql).run(record.name, JSON.stringify(record))
      this.#rows.cluster.set(record.name, record)
      return record
    })
  }

  putInstance(record: InstanceRecord): InstanceRecord {
    return this.#putMember('instance', this.#rows.instance, record)
  }

  putEndpoint(record: EndpointRecord): EndpointRecord {
    return this.#putMember('endpoint', this.#rows.endpoint, record)
  }

  #putMember<R extends { readonly name: string; readonly cluster: string }>(
    table: Table,
    rows: Map<string, R>,
    record: R,
  ): R {
    const sql = `INSERT INTO ${table} VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET cluster = ?2, record = ?3`
    return this.transaction(() => {
      this.database.prepare(sql).run(record.name, record.cluster, JSON.stringify(record))
      rows.set(record.name, record)
      return record
    })
  }

  removeCluster(name: string): void {
    this.transaction(() => {
      for (const endpoint of this.endpointsOf(name)) this.removeEndpoint(endpoint.name)
      this.#remove('cluster', name)
    })
  }

  removeInstance(name: string): void {
    this.transaction(() => this.#remove('instance', name))
  }

  removeEndpoint(name: string): void {
    this.transaction(() => this.#remove('endpoint', name))
  }

  #remove(table: Table, name: string): void {
    this.database.prepare(`DELETE FROM ${table} WHERE name = ?`).run(name)
    this.#rows[table].delete(name)
  }

  /** With its instances and endpoints. */
  renameCluster(name: string, newName: string): void {
    this.transaction(() => {
      this.database
        .prepare(`UPDATE cluster SET name = ?2, record = json_set(record, '$.name', ?2) WHERE name = ?1`)
        .run(name, newName)
      for (const table of ['instance', 'endpoint'])
        this.database
          .prepare(`UPDATE ${table} SET record = json_set(record, '$.cluster', ?1) WHERE cluster = ?1`)
          .run(newName)
      this.#rows = this.#read()
    })
  }

  close(): void {
    this.database.close()
  }
}
