/**
 * All extents of all files, each one granule, in no order: allocating, growing and freeing an extent changes one
 * granule, wherever the file is. What is free is derived from it.
 *
 * The table describes itself: its first chunk is known, and the extent of a later chunk is always recorded in an
 * earlier one. For that the last free slot is kept for the table's own next extent.
 */
import type { Extent, ExtentMap } from './extent-map.ts'
import type { ChunkRange, FreeSpace } from './free-space.ts'
import { FsError } from './fs-error.ts'
import { CHUNK_BYTES, EXTENT_BYTES, type ExtentRecord, FREE_EXTENT, readExtent, writeExtent } from './layout.ts'
import type { MetadataTable } from './metadata-table.ts'
import type { MetadataBlock, Transaction } from './transaction.ts'

/** Extents grow with what they continue, up to 1 GiB. */
export const GROWTH_CHUNKS_MAX = 2 ** 30 / CHUNK_BYTES
/** Growth never takes more than this part of what is free. */
const GROWTH_PART_OF_FREE = 64

/** A file or a table, as the owner of extents. */
export interface ExtentOwner {
  readonly number: number
  readonly extents: ExtentMap
}

export class ExtentTable {
  readonly table: MetadataTable
  readonly #space: FreeSpace
  readonly #grow: (transaction: Transaction, table: MetadataTable) => void
  readonly #slotsPerBlock: number
  readonly #free: number[] = []
  #growing = false

  /** @param grow adds a block to a table, with an extent for it where needed */
  constructor(table: MetadataTable, space: FreeSpace, grow: (transaction: Transaction, table: MetadataTable) => void) {
    this.table = table
    this.#space = space
    this.#grow = grow
    this.#slotsPerBlock = table.blockBytes / EXTENT_BYTES
  }

  get freeSlots(): number {
    return this.#free.length
  }

  // -------------------------------------------------------------- records

  /** Slots of a block whose records are in use, as they are stored. The free ones are noted when `noteFree`. */
  *records(index: number, noteFree: boolean): Iterable<ExtentRecord & { readonly slot: number }> {
    const { view } = this.table.blocks[index] as MetadataBlock
    for (let i = this.#slotsPerBlock - 1; i >= 0; i--) {
      const record = readExtent(view, i * EXTENT_BYTES)
      const slot = index * this.#slotsPerBlock + i
      if (record.owner !== 0) yield { ...record, slot }
      else if (noteFree) this.#free.push(slot)
    }
  }

  /** Makes the table, in a chunk that is agreed on. */
  begin(transaction: Transaction, chunk: number): void {
    const range = this.#space.allocate(1, chunk)
    if (range === undefined) throw new FsError('ENOSPC', 'there is no room for a file system')
    const first: Extent = { slot: 0, logical: 0, physical: chunk, count: range.count }
    this.table.extents.insert(first)
    this.#addSlots(transaction)
    this.#free.pop()
    this.#write(transaction, first.slot, { owner: this.table.number, logical: 0, physical: chunk, count: range.count })
  }

  /** The first extent of the table is longer than was known. */
  resizeFirst(count: number): void {
    const first = this.table.extents.at(0)
    if (first !== undefined) this.table.extents.reshape(first, { ...first, count })
  }

  #write(transaction: Transaction, slot: number, record: ExtentRecord): void {
    const block = this.table.blocks[Math.floor(slot / this.#slotsPerBlock)] as MetadataBlock
    const offset = (slot % this.#slotsPerBlock) * EXTENT_BYTES
    transaction.edit(block, offset, EXTENT_BYTES)
    writeExtent(block.view, offset, record)
  }

  #takeSlot(transaction: Transaction): number {
    if (this.#free.length === 1 && !this.#growing) {
      this.#growing = true
      try {
        this.#addSlots(transaction)
      } finally {
        this.#growing = false
      }
    }
    const slot = this.#free.pop()
    if (slot === undefined) throw new FsError('EIO', 'the extent table has no slot for its own extent')
    transaction.undoing(() => this.#free.push(slot))
    return slot
  }

  #addSlots(transaction: Transaction): void {
    const first = this.table.blocks.length * this.#slotsPerBlock
    this.#grow(transaction, this.table)
    for (let i = this.#slotsPerBlock - 1; i >= 0; i--) this.#free.push(first + i)
    transaction.undoing(() => {
      this.#free.length -= this.#slotsPerBlock
    })
  }

  // -------------------------------------------------------------- extents of a file

  #insert(transaction: Transaction, owner: ExtentOwner, logical: number, { first, count }: ChunkRange): void {
    const before = owner.extents.at(owner.extents.indexFrom(logical) - 1)
    const continues =
      before !== undefined && before.logical + before.count === logical && before.physical + before.count === first
    if (continues) {
      this.#reshape(transaction, owner, before, { ...before, count: before.count + count })
      return
    }
    const extent: Extent = { slot: this.#takeSlot(transaction), logical, physical: first, count }
    this.#write(transaction, extent.slot, { owner: owner.number, logical, physical: first, count })
    owner.extents.insert(extent)
    transaction.undoing(() => owner.extents.remove(extent))
  }

  #reshape(
    transaction: Transaction,
    owner: ExtentOwner,
    extent: Extent,
    { logical, physical, count }: Omit<Extent, 'slot'>,
  ): void {
    const before = { ...extent }
    owner.extents.reshape(extent, { logical, physical, count })
    transaction.undoing(() => owner.extents.reshape(extent, before))
    this.#write(transaction, extent.slot, { owner: owner.number, logical, physical, count })
  }

  #remove(transaction: Transaction, owner: ExtentOwner, extent: Extent): void {
    owner.extents.remove(extent)
    transaction.undoing(() => owner.extents.insert(extent))
    this.#write(transaction, extent.slot, FREE_EXTENT)
    this.#free.push(extent.slot)
    transaction.undoing(() => this.#free.pop())
  }

  /**
   * Gives device chunks to the chunks [from, to) of a file that have none, and more behind them when that continues
   * what is there: twice the extent before, so that extents double.
   * @param piecesMax stops when so many pieces were allocated
   * @returns where it stopped: `to` when all is there
   * @throws FsError ENOSPC
   */
  allocate(transaction: Transaction, owner: ExtentOwner, from: number, to: number, piecesMax: number): number {
    const { extents } = owner
    let chunk = from
    for (let pieces = 0; chunk < to; ) {
      const index = extents.indexFrom(chunk)
      const next = extents.at(index)
      if (next !== undefined && next.logical <= chunk) {
        chunk = next.logical + next.count
        continue
      }
      if (pieces++ === piecesMax) return chunk
      const before = extents.at(index - 1)
      const continued = before !== undefined && before.logical + before.count === chunk ? before : undefined
      const room = (next?.logical ?? Number.POSITIVE_INFINITY) - chunk
      const needed = Math.min(to - chunk, room)
      const growth = Math.min(2 * (continued?.count ?? 0), GROWTH_CHUNKS_MAX, this.#space.free / GROWTH_PART_OF_FREE)
      const wanted = Math.min(Math.max(needed, Math.floor(growth)), room)
      const goal = continued === undefined ? undefined : continued.physical + continued.count
      chunk += this.#allocatePiece(transaction, owner, chunk, wanted, goal)
    }
    return to
  }

  #allocatePiece(
    transaction: Transaction,
    owner: ExtentOwner,
    logical: number,
    wanted: number,
    goal: number | undefined,
  ): number {
    const piece = this.#space.allocate(wanted, goal)
    if (piece === undefined) throw new FsError('ENOSPC', 'everything is allocated')
    transaction.undoing(() => this.#space.release(piece.first, piece.count))
    this.#insert(transaction, owner, logical, piece)
    return piece.count
  }

  /**
   * Makes the chunks [from, to) of a file a hole. What they had is free once the transaction is kept.
   * @param unmapped told of each stretch that was allocated: it has to be zeros from now on
   */
  free(
    transaction: Transaction,
    owner: ExtentOwner,
    from: number,
    to: number,
    unmapped: (logical: number, physical: number, count: number) => void,
  ): void {
    this.#cut(transaction, owner, from, to, (logical, { first, count }) => {
      unmapped(logical, first, count)
      transaction.keeping(() => this.#space.release(first, count))
    })
  }

  /** Gives the chunks from `from` on, and what they hold, to another file, which has none there. */
  move(transaction: Transaction, owner: ExtentOwner, from: number, heir: ExtentOwner): void {
    const pieces: { readonly logical: number; readonly range: ChunkRange }[] = []
    this.#cut(transaction, owner, from, Number.POSITIVE_INFINITY, (logical, range) => pieces.push({ logical, range }))
    for (const { logical, range } of pieces) this.#insert(transaction, heir, logical, range)
  }

  #cut(
    transaction: Transaction,
    owner: ExtentOwner,
    from: number,
    to: number,
    removed: (logical: number, range: ChunkRange) => void,
  ): void {
    const { extents } = owner
    for (let at = from; at < to; ) {
      const extent = extents.at(extents.indexFrom(at))
      if (extent === undefined || extent.logical >= to) return
      const { logical, physical, count } = extent
      const first = Math.max(at, logical)
      const end = Math.min(to, logical + count)
      const behind = logical + count - end
      if (first > logical) this.#reshape(transaction, owner, extent, { logical, physical, count: first - logical })
      else if (behind === 0) this.#remove(transaction, owner, extent)
      else
        this.#reshape(transaction, owner, extent, { logical: end, physical: physical + (end - logical), count: behind })
      if (first > logical && behind > 0) {
        this.#insert(transaction, owner, end, { first: physical + (end - logical), count: behind })
      }
      removed(first, { first: physical + (first - logical), count: end - first })
      at = end
    }
  }
}
