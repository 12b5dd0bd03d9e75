/** Tags of resources, by their ARNs: a table of the control plane's database. */
import type { DatabaseSync } from 'node:sqlite'

export interface Tag {
  readonly key: string
  readonly value: string
}

export function migrateTags(database: DatabaseSync): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS tag (
      arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key)
    ) STRICT, WITHOUT ROWID;
  `)
}

/** By key. */
export const tagsOf = (database: DatabaseSync, arn: string): Tag[] =>
  database
    .prepare('SELECT key, value FROM tag WHERE arn = ? ORDER BY key')
    .all(arn)
    .map(({ key, value }) => ({ key: String(key), value: String(value) }))

/** Of all resources, in one question. */
export function allTags(database: DatabaseSync): ReadonlyMap<string, readonly Tag[]> {
  const all = new Map<string, Tag[]>()
  for (const { arn, key, value } of database.prepare('SELECT arn, key, value FROM tag ORDER BY arn, key').all()) {
    const tags = all.get(String(arn)) ?? []
    tags.push({ key: String(key), value: String(value) })
    all.set(String(arn), tags)
  }
  return all
}

export function putTags(database: DatabaseSync, arn: string, tags: Iterable<Tag>): void {
  const put = database.prepare('INSERT OR REPLACE INTO tag VALUES (?, ?, ?)')
  for (const { key, value } of tags) put.run(arn, key, value)
}

export function removeTags(database: DatabaseSync, arn: string, keys: Iterable<string>): void {
  const remove = database.prepare('DELETE FROM tag WHERE arn = ? AND key = ?')
  for (const key of keys) remove.run(arn, key)
}

/** Those of a resource that is made now: what one of the same name had before is gone. */
export function replaceTags(database: DatabaseSync, arn: string, tags: Iterable<Tag>): void {
  database.prepare('DELETE FROM tag WHERE arn = ?').run(arn)
  putTags(database, arn, tags)
}

/** A resource was renamed. */
export function moveTags(database: DatabaseSync, from: string, to: string): void {
  database.prepare('DELETE FROM tag WHERE arn = ?').run(to)
  database.prepare('UPDATE tag SET arn = ? WHERE arn = ?').run(to, from)
}
