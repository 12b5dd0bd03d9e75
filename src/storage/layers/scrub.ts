/** Verifies every byte of the layers against their checksums, a slice at a time, so that rot is found before it is read. */
import { VolumeError } from '../../protocol/errors.ts'
import type { LayerSet } from './layer-set.ts'
import { SLICE_BYTES } from './layer-writer.ts'

export interface Damage {
  readonly layer: number
  /** What `VolumeError` said: layer, block and place. */
  readonly message: string
}

export interface ScrubReport {
  readonly layers: number
  readonly groups: number
  readonly bytes: number
  /** At most one per layer: the rest of a damaged layer is not looked at. Not empty: rebuild the segment from a peer. */
  readonly damages: readonly Damage[]
}

/**
 * Goes once through all layers that are there at the beginning; those that compaction removes meanwhile are passed
 * over. Checks header, footer and index of each, and each group against the checksum beside it and the one in the
 * index. Yields after each read of at most 256 KiB (or one group).
 */
export function* scrub(layers: LayerSet): Generator<void, ScrubReport> {
  const report = { layers: 0, groups: 0, bytes: 0, damages: [] as Damage[] }
  const present = (id: number): boolean => layers.refs.some((ref) => ref.id === id)
  const once = new Map(layers.refs.map((ref) => [ref.id, ref]))
  for (const ref of once.values()) {
    if (!present(ref.id)) continue
    try {
      const reader = layers.reader(ref)
      // Headers and index are read from disk again: what is in memory may be older than the damage.
      reader.close()
      const { index } = reader
      for (let g = 0; g < index.groups; ) {
        if (!present(ref.id)) break
        const from = g
        const start = index.offset[from]!
        while (g < index.groups && (g === from || index.offset[g + 1]! - start <= SLICE_BYTES)) g++
        const bytes = reader.readGroups(from, g)
        for (let i = from; i < g; i++) {
          reader.check(i, bytes.subarray(index.offset[i]! - start, index.offset[i + 1]! - start))
        }
        report.groups += g - from
        report.bytes += bytes.length
        yield
      }
    } catch (error) {
      if (!(error instanceof VolumeError) || error.code !== 'Corrupt') throw error
      report.damages.push({ layer: ref.id, message: error.message })
    }
    report.layers++
    yield
  }
  return report
}
