/** The members of the instance's cluster, in a file that its engine may read: what SQL functions tell of them. */
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from '../engine/account.ts'
import { record, text } from '../volume/json-fields.ts'
import type { Role } from './settings-file.ts'

export interface TopologyMember {
  readonly name: string
  readonly role: Role
  readonly state: string
  readonly run: number
  /** How far a reader is behind. */
  readonly lagMs: number | null
  readonly walLsn: string | null
  /** ISO 8601 */
  readonly updatedAt: string
  /** Percent of its machine. */
  readonly cpu: number | null
  readonly endpoint: string
  readonly zone: string
}

/** Only the name is looked at here: the rest is between who sends it and who reads the file. @throws VolumeError `Corrupt` */
export function parseMember(raw: unknown, path: string): TopologyMember {
  text(record(raw, path).name, `${path}.name`)
  return raw as TopologyMember
}

export const topologyFile = (runFolder: string): string => join(runFolder, 'topology.json')

/** A reader of the file finds the old list or the new one, whole. */
export async function writeTopology(
  runFolder: string,
  members: readonly TopologyMember[],
  account: Account | undefined,
): Promise<void> {
  const path = topologyFile(runFolder)
  const temporary = `${path}.new`
  const file = await open(temporary, 'w', 0o600)
  try {
    await file.writeFile(JSON.stringify(members))
    if (account !== undefined) await file.chown(account.uid, account.gid)
  } finally {
    await file.close()
  }
  await rename(temporary, path)
}
