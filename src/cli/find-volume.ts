/** The volume of a cluster, also while no region runs. */
import { existsSync } from 'node:fs'
import { ControlStore } from '../cluster/control-store.ts'
import type { Home } from '../cluster/host/home.ts'
import { PlainError } from '../cluster/plain-error.ts'
import { parseVolumeName, type VolumeId } from '../protocol/lsn.ts'

/** @param name of a cluster, or of a volume @throws PlainError when there is no such cluster */
export function findVolume(home: Home, name: string): VolumeId {
  const given = parseVolumeName(name)
  if (given !== undefined) return given
  const store = existsSync(home.control) ? ControlStore.open(home.control) : undefined
  try {
    const volume = store?.cluster(name)?.volume
    if (volume === undefined) throw new PlainError(`there is no cluster ${name}: see borealis cluster list`)
    return volume
  } finally {
    store?.close()
  }
}
