/** What a segment holds at a read point, block by block: for comparing copies (`volume check`). */
import { crc32 } from 'node:zlib'
import { CONTROL_BLOCK, type Lsn } from '../../protocol/lsn.ts'
import type { BlockSource } from './read-block.ts'
import { readBlock } from './read-block.ts'

export interface BlockDigest {
  readonly block: number
  readonly lsn: Lsn
  /** crc32 of the whole block. */
  readonly crc: number
}

/**
 * The numbers of the blocks in [from, to) that have entries in memtables or layers, at any LSN, ascending. Blocks that
 * are there only through the parent are not among them. Reads indexes, but no data.
 */
export function blocksOf(source: BlockSource, from: number, to: number): Uint32Array {
  const found = new Set<number>()
  for (const ref of source.layers.refs) {
    const start = Math.max(from, ref.fromBlock)
    const end = Math.min(to, ref.toBlock)
    if (start >= end) continue
    const { index } = source.layers.reader(ref)
    for (let g = index.lowerBound(start); g < index.groups && index.block[g]! < end; g++) found.add(index.block[g]!)
  }
  for (const memtable of source.memtables) {
    for (const block of memtable.blockNumbers()) if (block >= from && block < to) found.add(block)
  }
  found.delete(CONTROL_BLOCK)
  return Uint32Array.from(found).sort()
}

/**
 * Digests the blocks in [from, to) that are not zeros at `readPoint`, ascending, one per step. Blocks of zeros are left
 * out, whatever made them: copies may have collected a trim or not, and are still equal.
 *
 * The fields of `source` are read anew at each step: where flushes may happen between steps they must be getters, so
 * that a memtable is not read beside the layer that was made of it. As long as `readPoint` is retained, flushes and
 * compaction in between then change nothing. One step costs one read per block that it looks at.
 * @param parentBlocks of a branch: the numbers of the blocks that its ancestors may have (`blocksOf` each of them).
 * @throws VolumeError `Corrupt`
 */
export function* digest(
  source: BlockSource,
  readPoint: Lsn,
  from: number,
  to: number,
  parentBlocks: Iterable<number> = [],
): Generator<BlockDigest, void> {
  const own = blocksOf(source, from, to)
  const inherited = [...parentBlocks].filter((block) => block >= from && block < to)
  const blocks = inherited.length === 0 ? own : Uint32Array.from(new Set([...own, ...inherited])).sort()
  for (const block of blocks) {
    const { lsn, bytes } = readBlock(block, readPoint, source.memtables, source.layers, source.parentRead)
    if (bytes !== undefined) yield { block, lsn, crc: crc32(bytes) }
  }
}
