/**
 * Layers that a peer is copying: their files stay open, and so readable, though merging may have removed them from the
 * folder in the meantime. A hold ends when nothing was read for a while.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { Disk, DiskFile } from './disk.ts'
import { LayerDamage } from './layers/layer-damage.ts'
import type { LayerRef } from './layers/layer-ref.ts'
import type { Segment } from './segment.ts'

interface Hold {
  readonly files: ReadonlyMap<number, DiskFile>
  untilMs: number
}

const HOLD_MS = 30_000

export class LayerHolds {
  readonly #disk: Disk
  readonly #now: () => number
  readonly #holds = new Map<Segment, Hold>()

  constructor(disk: Disk, now: () => number) {
    this.#disk = disk
    this.#now = now
  }

  /** Holds the present layers of a segment, in place of those held before. @throws LayerDamage when a file is gone */
  hold(segment: Segment): void {
    this.#release(segment)
    const files = new Map<number, DiskFile>()
    for (const ref of segment.layers.refs) {
      if (!files.has(ref.id)) files.set(ref.id, this.#open(segment, ref))
    }
    this.#holds.set(segment, { files, untilMs: this.#now() + HOLD_MS })
  }

  #open({ folder }: Segment, { id, file }: LayerRef): DiskFile {
    try {
      return this.#disk.open(`${folder}/${file}`)
    } catch (cause) {
      if (!(cause instanceof VolumeError) || cause.code !== 'NotFound') throw cause
      throw new LayerDamage({ layer: id }, `layer ${id}: file is missing`, { cause })
    }
  }

  /** @throws VolumeError `NotFound` when the layer is not held (any more) */
  read(segment: Segment, layer: number, offset: number, length: number): Uint8Array {
    const hold = this.#holds.get(segment)
    const file = hold?.files.get(layer)
    if (hold === undefined || file === undefined) throw new VolumeError('NotFound', `layer ${layer} is not held`)
    hold.untilMs = this.#now() + HOLD_MS
    return file.read(offset, length)
  }

  #release(segment: Segment): void {
    for (const file of this.#holds.get(segment)?.files.values() ?? []) file.close()
    this.#holds.delete(segment)
  }

  expire(): void {
    const now = this.#now()
    for (const [segment, hold] of this.#holds) if (hold.untilMs <= now) this.#release(segment)
  }
}
