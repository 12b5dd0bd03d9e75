/** Folds long runs of deltas in a memtable into images, so that no read has more than 16 of them to apply there. */
import type { Memtable } from './memtable.ts'
import { type BlockSource, readVersion } from './read-block.ts'

/**
 * Puts an image behind the sixteenth delta of the next block in `memtable`'s queue. About as much work as one read.
 * @param source holds `memtable` among its memtables; the base may lie in the layers.
 * @returns the bytes that the memtable grew by; 0 when the queue is empty.
 */
export function coalesceOne(memtable: Memtable, source: BlockSource): number {
  const next = memtable.nextToCoalesce()
  if (next === undefined) return 0
  const { bytes } = readVersion(source, next.block, next.lsn)
  const before = memtable.bytes
  memtable.insertImage(bytes ?? new Uint8Array(source.layers.setting.blockBytes))
  return memtable.bytes - before
}
