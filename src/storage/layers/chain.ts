/**
 * The entries that make up one version of one block, gathered newest first from memtables and layers, and the
 * version made of them. Hot path: one chain is used over and over, so that a read makes no object per entry.
 */
import { type Lsn, lsn } from '../../protocol/lsn.ts'
import { RecordKind } from '../../protocol/record.ts'
import { applyEntry, entryKind, entryLsn, entryPrevBlock, plainContent } from './entry.ts'
import { LayerDamage } from './layer-damage.ts'

/** A version of a block. */
export interface BlockVersion {
  /** The record that made it; 0: there is none. */
  readonly lsn: Lsn
  /** The whole block; undefined: zeros (never written, or trimmed). */
  readonly bytes: Uint8Array | undefined
  /**
   * Where `lsn` is 0: a delta may apply to any version up to here, as it may have been a trim. Garbage collection
   * drops trims that hide nothing.
   */
  readonly collectedTo?: number
}

export class Chain {
  /** The entry i is at `at[i]` of `bytes[i]`; the newest is first. */
  readonly bytes: Uint8Array[] = []
  readonly views: DataView[] = []
  readonly at: number[] = []
  length = 0
  /** A version was reached that needs nothing below it. */
  based = false
  /** The base is a version of zeros, made by this trim; 0: it is the last entry. */
  zeroLsn = 0
  /** The base lies in a buffer that nothing else uses, so that the version may be made in it. */
  baseOwned = false
  /** Layers whose data were read. */
  layers = 0

  clear(): void {
    this.bytes.length = 0
    this.views.length = 0
    this.at.length = 0
    this.length = 0
    this.based = false
    this.zeroLsn = 0
    this.baseOwned = false
    this.layers = 0
  }

  push(bytes: Uint8Array, view: DataView, at: number): void {
    this.bytes.push(bytes)
    this.views.push(view)
    this.at.push(at)
    this.length++
  }

  endInZeros(at: number): void {
    this.based = true
    this.zeroLsn = at
  }

  /** Deltas on top of the base. */
  get deltas(): number {
    return this.based && this.zeroLsn === 0 ? this.length - 1 : this.length
  }

  /**
   * The version that the gathered entries make.
   * The bytes may be a part of a larger buffer; they start at a multiple of four.
   * @param below the version under them, used when no base was reached. Its bytes are not changed.
   * @param collectedTo the cutoff of the last garbage collection here; see `BlockVersion.collectedTo`.
   * @throws LayerDamage when a delta applies to another version than the one below it.
   */
  resolve(block: number, blockBytes: number, below: BlockVersion | undefined, collectedTo: number): BlockVersion {
    let next = this.length - 1
    if (next < 0) {
      if (this.based) return { lsn: lsn(this.zeroLsn), bytes: undefined }
      if (below !== undefined && below.lsn !== 0) return below
      return { lsn: lsn(0), bytes: undefined, collectedTo: Math.max(collectedTo, below?.collectedTo ?? 0) }
    }
    let content: Uint8Array | undefined
    let version: number
    if (this.based) {
      version = this.zeroLsn
      if (version === 0) {
        version = entryLsn(this.views[next]!, this.at[next]!)
        if (this.baseOwned) content = plainContent(this.bytes[next]!, this.views[next]!, this.at[next]!, blockBytes)
        if (content === undefined) {
          content = new Uint8Array(blockBytes)
          applyEntry(this.bytes[next]!, this.views[next]!, this.at[next]!, content)
        }
        next--
      }
    } else {
      version = below?.lsn ?? 0
      content = below?.bytes?.slice()
    }
    content ??= new Uint8Array(blockBytes)
    let tolerated = !this.based && version === 0 ? Math.max(collectedTo, below?.collectedTo ?? 0) : 0
    for (; next >= 0; next--, tolerated = 0) {
      const view = this.views[next]!
      const at = this.at[next]!
      const applies = entryPrevBlock(view, at)
      if (applies !== version && applies > tolerated) {
        const own = entryLsn(view, at)
        throw new LayerDamage(
          { block },
          `block ${block}: delta ${own} applies to ${applies}, but ${version} is below it`,
        )
      }
      if (entryKind(view, at) !== RecordKind.DELTA) {
        throw new LayerDamage({ block }, `block ${block}: entry of kind ${entryKind(view, at)} above a base`)
      }
      applyEntry(this.bytes[next]!, view, at, content)
      version = entryLsn(view, at)
    }
    return { lsn: lsn(version), bytes: content }
  }
}
