/**
 * Parameter groups, of clusters and of instances: named sets of values that differ from a family's defaults. The default
 * group of a family is always there, and has none. Tables of the control plane's database.
 */
import type { DatabaseSync } from 'node:sqlite'

export type GroupKind = 'cluster' | 'instance'

export interface ParameterGroup {
  readonly kind: GroupKind
  readonly name: string
  /** `aurora-postgresql17` */
  readonly family: string
  readonly description: string
}

export interface ParameterValue {
  readonly name: string
  readonly value: string
  readonly applyMethod: 'immediate' | 'pending-reboot'
}

export function migrateParameterGroups(database: DatabaseSync): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS parameter_group (
      kind TEXT NOT NULL, name TEXT NOT NULL, family TEXT NOT NULL, description TEXT NOT NULL, PRIMARY KEY (kind, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS parameter_value (
      kind TEXT NOT NULL, group_name TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, apply_method TEXT NOT NULL,
      PRIMARY KEY (kind, group_name, name)
    ) STRICT, WITHOUT ROWID;
  `)
}

export const DEFAULT_GROUP = 'default.'

export const defaultGroupName = (family: string): string => `${DEFAULT_GROUP}${family}`

const defaultGroup = (kind: GroupKind, family: string): ParameterGroup => ({
  kind,
  name: defaultGroupName(family),
  family,
  description:
    kind === 'cluster' ? `Default cluster parameter group for ${family}` : `Default parameter group for ${family}`,
})

type Row = Record<string, unknown>

const groupOf = ({ kind, name, family, description }: Row): ParameterGroup => ({
  kind: kind as GroupKind,
  name: String(name),
  family: String(family),
  description: String(description),
})

/** By name, with the default groups of `families`. */
export function parameterGroups(
  database: DatabaseSync,
  kind: GroupKind,
  families: readonly string[],
): ParameterGroup[] {
  const stored = database.prepare('SELECT * FROM parameter_group WHERE kind = ?').all(kind).map(groupOf)
  return [...families.map((family) => defaultGroup(kind, family)), ...stored].sort((a, b) => (a.name < b.name ? -1 : 1))
}

export function parameterGroup(
  database: DatabaseSync,
  kind: GroupKind,
  name: string,
  families: readonly string[],
): ParameterGroup | undefined {
  const family = families.find((each) => defaultGroupName(each) === name)
  if (family !== undefined) return defaultGroup(kind, family)
  const row = database.prepare('SELECT * FROM parameter_group WHERE kind = ? AND name = ?').get(kind, name)
  return row === undefined ? undefined : groupOf(row)
}

export function createParameterGroup(
  database: DatabaseSync,
  { kind, name, family, description }: ParameterGroup,
): void {
  database.prepare('INSERT INTO parameter_group VALUES (?, ?, ?, ?)').run(kind, name, family, description)
}

/** Whether nothing uses it is the caller's to know. */
export function deleteParameterGroup(database: DatabaseSync, kind: GroupKind, name: string): void {
  database.prepare('DELETE FROM parameter_value WHERE kind = ? AND group_name = ?').run(kind, name)
  database.prepare('DELETE FROM parameter_group WHERE kind = ? AND name = ?').run(kind, name)
}

/** What was set in a group, by name. */
export const parameterValues = (
  database: DatabaseSync,
  kind: GroupKind,
  group: string,
): ReadonlyMap<string, ParameterValue> =>
  new Map(
    database
      .prepare('SELECT name, value, apply_method FROM parameter_value WHERE kind = ? AND group_name = ? ORDER BY name')
      .all(kind, group)
      .map(({ name, value, apply_method }) => [
        String(name),
        { name: String(name), value: String(value), applyMethod: apply_method as ParameterValue['applyMethod'] },
      ]),
  )

export function setParameters(
  database: DatabaseSync,
  kind: GroupKind,
  group: string,
  values: Iterable<ParameterValue>,
): void {
  const put = database.prepare('INSERT OR REPLACE INTO parameter_value VALUES (?, ?, ?, ?, ?)')
  for (const { name, value, applyMethod } of values) put.run(kind, group, name, value, applyMethod)
}

export function resetParameters(database: DatabaseSync, kind: GroupKind, group: string, names: Iterable<string>): void {
  const remove = database.prepare('DELETE FROM parameter_value WHERE kind = ? AND group_name = ? AND name = ?')
  for (const name of names) remove.run(kind, group, name)
}
