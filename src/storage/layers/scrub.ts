/** Verifies every byte of the layers against their checksums, a slice at a time, so that rot is found before it is read. */
import { damagedBlocks, LayerDamage } from './layer-damage.ts'
import type { LayerReader } from './layer-reader.ts'
import type { LayerRef } from './layer-ref.ts'
import type { LayerSet } from './layer-set.ts'
import { SLICE_BYTES } from './layer-writer.ts'

export interface ScrubReport {
  readonly layers: number
  readonly groups: number
  readonly bytes: number
  /** One for each damaged block of a layer that is visible there; one for a layer whose index or file is damaged. */
  readonly damages: readonly LayerDamage[]
}

/** What one read came to. */
export interface ScrubStep {
  readonly bytes: number
  readonly damages: readonly LayerDamage[]
}

/**
 * Goes once through all layers that are there at the beginning, or through one; those that compaction removes meanwhile
 * are passed over. Checks header, footer and index of each, and each group against the checksum beside it and the one
 * in the index. Yields after each read of at most 256 KiB (or one group).
 */
export function* scrub(layers: LayerSet, layer?: number): Generator<ScrubStep, ScrubReport> {
  const report = { layers: 0, groups: 0, bytes: 0, damages: [] as LayerDamage[] }
  const refsOf = (id: number): LayerRef[] => layers.refs.filter((ref) => ref.id === id)
  const once = new Map(layers.refs.map((ref) => [ref.id, ref]))
  for (const ref of once.values()) {
    if ((layer !== undefined && ref.id !== layer) || refsOf(ref.id).length === 0) continue
    try {
      const reader = layers.reader(ref)
      // Headers and index are read from disk again: what is in memory may be older than the damage.
      reader.close()
      const { index } = reader
      yield { bytes: index.bytes, damages: [] }
      for (let g = 0; g < index.groups; ) {
        const visible = refsOf(ref.id)
        if (visible.length === 0) break
        const from = g
        const start = index.offset[from]!
        while (g < index.groups && (g === from || index.offset[g + 1]! - start <= SLICE_BYTES)) g++
        const known = report.damages.length
        for (const damage of damagesIn(reader, from, g)) {
          // What is hidden is read by nobody, and goes with the file.
          const isVisible = damagedBlocks(visible, damage).length > 0
          const last = report.damages.at(-1)
          if (isVisible && (last?.layer !== ref.id || last.block !== damage.block)) report.damages.push(damage)
        }
        report.groups += g - from
        const bytes = index.offset[g]! - start
        report.bytes += bytes
        yield { bytes, damages: report.damages.slice(known) }
      }
    } catch (error) {
      if (!(error instanceof LayerDamage)) throw error
      report.damages.push(error)
      yield { bytes: 0, damages: [error] }
    }
    report.layers++
  }
  return report
}

/** What is damaged in the groups [from, to). */
function damagesIn(reader: LayerReader, from: number, to: number): LayerDamage[] {
  const { index } = reader
  const start = index.offset[from]!
  // Where the disk cannot read some of it, the rest is looked at group by group.
  const bytes = unlessDamaged(() => reader.readGroups(from, to))
  const damages: LayerDamage[] = []
  for (let g = from; g < to; g++) {
    try {
      if (bytes === undefined) reader.readGroup(g)
      else reader.check(g, bytes.subarray(index.offset[g]! - start, index.offset[g + 1]! - start))
    } catch (error) {
      if (!(error instanceof LayerDamage)) throw error
      damages.push(error)
    }
  }
  return damages
}

function unlessDamaged<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof LayerDamage) return undefined
    throw error
  }
}
