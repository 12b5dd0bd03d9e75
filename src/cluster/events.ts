/** What happened, for fourteen days: a table of the control plane's database. */
import type { DatabaseSync } from 'node:sqlite'
import { EVENTS, type EventKind, type EventSource, eventText } from './event-catalog.ts'

/** RDS's. */
const KEEP_MS = 14 * 86_400_000

export interface EventRecord {
  readonly number: number
  readonly atMs: number
  /** `RDS-EVENT-0071` */
  readonly id: string
  readonly sourceType: EventSource
  readonly source: string
  readonly arn: string
  readonly categories: readonly string[]
  readonly message: string
}

export function migrateEvents(database: DatabaseSync): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS event (
      number INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
      source TEXT NOT NULL, arn TEXT NOT NULL, message TEXT NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS event_by_time ON event (at_ms);
  `)
}

/** @param details what the text of this kind leaves open, such as `{ instance: 'demo-2' }` */
export function recordEvent(
  database: DatabaseSync,
  nowMs: number,
  kind: EventKind,
  { name, arn }: { readonly name: string; readonly arn: string },
  details: Readonly<Record<string, string>> = {},
): void {
  database.prepare('DELETE FROM event WHERE at_ms < ?').run(nowMs - KEEP_MS)
  database
    .prepare('INSERT INTO event (at_ms, kind, source, arn, message) VALUES (?, ?, ?, ?, ?)')
    .run(nowMs, kind, name, arn, eventText(kind, details))
}

/** From the first millisecond up to the last, oldest first. */
export function eventsBetween(database: DatabaseSync, fromMs: number, toMs: number): EventRecord[] {
  const rows = database
    .prepare('SELECT number, at_ms, kind, source, arn, message FROM event WHERE at_ms BETWEEN ? AND ? ORDER BY number')
    .all(fromMs, toMs)
  return rows.flatMap(({ number, at_ms, kind, source, arn, message }) => {
    // Of a version that knew more kinds.
    if (!Object.hasOwn(EVENTS, String(kind))) return []
    const { id, source: sourceType, categories } = EVENTS[kind as EventKind]
    const text = { source: String(source), arn: String(arn), message: String(message) }
    return [{ number: Number(number), atMs: Number(at_ms), id, sourceType, categories, ...text }]
  })
}
