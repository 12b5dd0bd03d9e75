/**
 * Pins of branches that are not there: a program died between pinning the parent and making the branch, or between
 * letting a branch go and removing its pin. They would keep the past for ever.
 */
import { VolumeError } from '../protocol/errors.ts'
import { parseVolumeName, type VolumeId, volumeName } from '../protocol/lsn.ts'
import { changeVolume, listVolumes, readVolume } from './registry-cells.ts'
import type { VolumeContext } from './volume-context.ts'
import type { VolumeRecord } from './volume-record.ts'
import { removePin } from './volume-retention.ts'

/** Much longer than making a branch takes. */
const ORPHAN_MS = 60_000

export class OrphanPins {
  readonly #context: VolumeContext
  /** When a pin was first seen without its branch, by volume and pin. */
  readonly #missingSinceMs = new Map<string, number>()

  constructor(context: VolumeContext) {
    this.#context = context
  }

  /** Removes those that have been without a branch for a minute of looking. @returns how many */
  async remove(): Promise<number> {
    const records = await this.#records()
    const now = this.#context.clock.now()
    const missing = new Set<string>()
    let removed = 0
    for (const record of records.values()) {
      for (const pin of record.pins) {
        const branch = pin.kind === 'branch' ? parseVolumeName(pin.id) : undefined
        if (branch === undefined || records.get(branch)?.parent?.volume === record.id) continue
        const key = `${volumeName(record.id)} ${pin.id}`
        missing.add(key)
        const since = this.#missingSinceMs.get(key) ?? now
        this.#missingSinceMs.set(key, since)
        if (now - since < ORPHAN_MS) continue
        await changeVolume(this.#context.registry, record.id, (volume) => removePin(volume, pin.id))
        removed++
      }
    }
    for (const key of this.#missingSinceMs.keys()) if (!missing.has(key)) this.#missingSinceMs.delete(key)
    return removed
  }

  async #records(): Promise<Map<VolumeId, VolumeRecord>> {
    const records = new Map<VolumeId, VolumeRecord>()
    for (const id of await listVolumes(this.#context.registry)) {
      try {
        records.set(id, (await readVolume(this.#context.registry, id)).record)
      } catch (error) {
        // Deleted since the list was made.
        if (!(error instanceof VolumeError) || error.code !== 'NotFound') throw error
      }
    }
    return records
  }
}
