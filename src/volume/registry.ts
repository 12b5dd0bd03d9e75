/**
 * Where a fleet keeps what all must agree on: cells that are changed by compare-and-set. One SQLite file on one
 * machine (`sqlite-registry.ts`); in tests memory, in the simulator a cell store that delays and loses replies.
 *
 * A version is never used twice in a registry, not even when a cell was deleted and made again, and a later change of
 * any cell has a higher one. A call that throws may have taken effect.
 */
import { VolumeError } from '../protocol/errors.ts'
import { type GroupIndex, type VolumeId, volumeName } from '../protocol/lsn.ts'

export interface Cell {
  readonly value: string
  readonly version: number
}

export interface Registry {
  get(key: string): Promise<Cell | undefined>
  /**
   * Sets a cell whose version is `expected`; 0: that does not exist. `null` deletes it.
   * @returns false, and nothing is changed, when the version is another
   */
  cas(key: string, expected: number, value: string | null): Promise<boolean>
  /** The keys that begin with `prefix`, sorted. */
  list(prefix: string): Promise<string[]>
}

export const volumeKey = (id: VolumeId): string => `volume/${volumeName(id)}`
/** Branches share the groups' places with the volume they come from, so that their segments lie side by side. */
export const groupKey = (placement: VolumeId, group: GroupIndex): string => `group/${volumeName(placement)}/${group}`
export const nodeKey = (node: string): string => `node/${node}`

/** Each lost race means that somebody else's change went through, so this many in a row is a storm. */
export const UPDATE_TRIES_MAX = 64

/**
 * Changes a cell, as often as it takes to be the one who did. `change` may be called several times; what it throws
 * goes to the caller, and a value that it leaves as it was is not written.
 * @param change takes undefined for a cell that is not there, and answers null to delete it
 * @returns a version for the new value that is above those of all values before it and not above any later one's: fit
 *   for saying which of two is newer, not for `cas`
 * @throws VolumeError `Conflict` after too many tries
 */
export async function update(
  registry: Registry,
  key: string,
  change: (value: string | undefined) => string | null,
): Promise<number> {
  for (let tries = 0; tries < UPDATE_TRIES_MAX; tries++) {
    const cell = await registry.get(key)
    const version = cell?.version ?? 0
    const next = change(cell?.value)
    if (next === (cell?.value ?? null)) return version
    if (await registry.cas(key, version, next)) return version + 1
  }
  throw new VolumeError('Conflict', `${key} was changed by others ${UPDATE_TRIES_MAX} times in a row`)
}
