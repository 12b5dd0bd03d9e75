/**
 * Reads one version of one block. Hot path: a read of a block whose layers' indexes are in memory costs one disk read
 * per layer that has entries above the block's last base (figures in `README.md`).
 */
import { invariant } from '../../protocol/errors.ts'
import { CONTROL_BLOCK, type Lsn } from '../../protocol/lsn.ts'
import { type BlockVersion, Chain } from './chain.ts'
import { damageOf } from './layer-damage.ts'
import type { LayerSet } from './layer-set.ts'
import type { Memtable } from './memtable.ts'

/**
 * The version that a branch's parent has of a block, at `readPoint` or at the LSN where the branch began, whichever is
 * lower. Hands on what `readBlock` of the parent answers, `collectedTo` included. undefined: never written.
 */
export type ParentRead = (block: number, readPoint: Lsn) => BlockVersion | undefined

/** Everything that one segment knows of its blocks. */
export interface BlockSource {
  /** Newest first. */
  readonly memtables: readonly Memtable[]
  readonly layers: LayerSet
  readonly parentRead?: ParentRead | undefined
}

export interface BlockRead extends BlockVersion {
  /** Layers whose data were read, without those of the parent. */
  readonly layers: number
  /** Deltas applied, without those of the parent. */
  readonly deltas: number
}

const shared = new Chain()
let busy = false

function read(source: BlockSource, block: number, bound: Lsn, byLsn: boolean): BlockRead {
  // A parent's read runs inside the child's: it gets a chain of its own.
  const chain = busy ? new Chain() : shared
  const outer = busy
  busy = true
  try {
    const { memtables, layers, parentRead } = source
    for (let i = 0; i < memtables.length && !chain.based; i++) memtables[i]!.collect(block, bound, byLsn, chain)
    if (!chain.based) layers.collect(block, bound, byLsn, chain)
    const below = chain.based ? undefined : parentRead?.(block, bound)
    const version = chain.resolve(block, layers.setting.blockBytes, below, layers.collectedTo)
    return { ...version, layers: chain.layers, deltas: chain.deltas }
  } catch (error) {
    throw damageOf(block, error)
  } finally {
    chain.clear()
    busy = outer
  }
}

/**
 * The newest version of `block` (its number in the group) that is visible at `readPoint`.
 * Whether that point may be read (cutoff, completeness) is for the caller to know.
 * @param memtables newest first.
 * @returns the bytes belong to the caller (they may be a part of a larger buffer, where they start at a multiple of four); undefined: the block is zeros, because of the trim `lsn` or (0) because it
 *   was never written, or trimmed so long ago that the trim was collected.
 * @throws LayerDamage when bytes do not match their checksums, or a delta does not apply to the version
 *   below it.
 */
export function readBlock(
  block: number,
  readPoint: Lsn,
  memtables: readonly Memtable[],
  layers: LayerSet,
  parentRead?: ParentRead,
): BlockRead {
  invariant(block !== CONTROL_BLOCK, 'control records are not a block')
  return read({ memtables, layers, parentRead }, block, readPoint, false)
}

/** As `readBlock`, up to and with the record `version`, whether or not its mini-transaction is complete there. */
export function readVersion(source: BlockSource, block: number, version: Lsn): BlockRead {
  return read(source, block, version, true)
}
