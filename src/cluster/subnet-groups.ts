/**
 * Subnet groups: which zones a cluster may be in. One machine has no network of its own to divide, so a subnet is a name
 * that a caller gives; it stands for one of the region's zones. Tables of the control plane's database.
 */
import type { DatabaseSync } from 'node:sqlite'

export interface SubnetGroup {
  readonly name: string
  readonly description: string
  readonly subnets: readonly string[]
}

export const DEFAULT_SUBNET_GROUP = 'default'

export function migrateSubnetGroups(database: DatabaseSync): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS subnet_group (
      name TEXT PRIMARY KEY, description TEXT NOT NULL, subnets TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
  `)
}

/** The zones that the subnets of a group stand for: those that their names end with, the others in turn. */
export function zonesOfSubnets(subnets: readonly string[], zones: readonly string[]): string[] {
  let turn = 0
  return subnets.map((subnet) => zones.find((zone) => subnet.endsWith(zone)) ?? zones[turn++ % zones.length] ?? '')
}

const defaultGroup = (zones: readonly string[]): SubnetGroup => ({
  name: DEFAULT_SUBNET_GROUP,
  description: 'default',
  subnets: zones.map((zone) => `subnet-${zone}`),
})

const groupOf = ({ name, description, subnets }: Record<string, unknown>): SubnetGroup => ({
  name: String(name),
  description: String(description),
  subnets: JSON.parse(String(subnets)) as string[],
})

/** By name, with the default one, which has a subnet in each zone. */
export const subnetGroups = (database: DatabaseSync, zones: readonly string[]): SubnetGroup[] =>
  [defaultGroup(zones), ...database.prepare('SELECT * FROM subnet_group').all().map(groupOf)].sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )

export const subnetGroup = (database: DatabaseSync, name: string, zones: readonly string[]): SubnetGroup | undefined =>
  subnetGroups(database, zones).find((group) => group.name === name)

/** Made, or changed. */
export function putSubnetGroup(database: DatabaseSync, { name, description, subnets }: SubnetGroup): void {
  database
    .prepare('INSERT OR REPLACE INTO subnet_group VALUES (?, ?, ?)')
    .run(name, description, JSON.stringify(subnets))
}

export function deleteSubnetGroup(database: DatabaseSync, name: string): void {
  database.prepare('DELETE FROM subnet_group WHERE name = ?').run(name)
}
