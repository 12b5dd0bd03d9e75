/**
 * The names of all files: entries of directories and targets of symbolic links, as records of a granule and the name.
 * A record is put where there is room, whatever its directory is, and never moves: making or removing an entry of the
 * largest directory changes its own granules and no others.
 */
import { GRANULE_BYTES, granulesAt, type NameRecord, nameGranules, readName, writeName } from './layout.ts'
import type { MetadataTable } from './metadata-table.ts'
import type { MetadataBlock, Transaction } from './transaction.ts'

export class NameTable {
  readonly table: MetadataTable
  readonly #grow: (transaction: Transaction, table: MetadataTable) => void
  readonly #perBlock: number
  /** The longest free run of each block, in granules. */
  readonly #room: number[] = []

  constructor(table: MetadataTable, grow: (transaction: Transaction, table: MetadataTable) => void) {
    this.table = table
    this.#grow = grow
    this.#perBlock = table.blockBytes / GRANULE_BYTES
  }

  /** Records of a block as they are stored, with their places. */
  *records(index: number): Iterable<NameRecord & { readonly at: number }> {
    const { bytes, view } = this.table.blocks[index] as MetadataBlock
    for (let granule = 0; granule < this.#perBlock; ) {
      const offset = granule * GRANULE_BYTES
      const granules = granulesAt(view, offset)
      if (view.getUint32(offset, true) !== 0) {
        yield { ...readName(bytes, view, offset), at: index * this.#perBlock + granule }
      }
      granule += granules
    }
  }

  /** Notes the room in a block: when it was read, and after every change. */
  measure(index: number): void {
    this.#room[index] = this.#findRun(index, this.#perBlock + 1).longest
  }

  /** The first free run of `wanted` granules, or the longest when there is none. */
  #findRun(index: number, wanted: number): { readonly first: number; readonly longest: number } {
    const { view } = this.table.blocks[index] as MetadataBlock
    let longest = 0
    let run = 0
    for (let granule = 0; granule < this.#perBlock; ) {
      const offset = granule * GRANULE_BYTES
      if (view.getUint32(offset, true) === 0) {
        granule++
        longest = Math.max(longest, ++run)
        if (run === wanted) return { first: granule - wanted, longest }
      } else {
        run = 0
        granule += granulesAt(view, offset)
      }
    }
    return { first: -1, longest }
  }

  /** @returns its place */
  insert(transaction: Transaction, record: NameRecord): number {
    const granules = nameGranules(record.name.length)
    let index = this.#room.findIndex((room) => room >= granules)
    if (index < 0) {
      index = this.table.blocks.length
      this.#grow(transaction, this.table)
      this.#room.push(this.#perBlock)
      transaction.undoing(() => this.#room.pop())
    }
    const { first } = this.#findRun(index, granules)
    const block = this.#edit(transaction, index, first, granules)
    writeName(block.bytes, block.view, first * GRANULE_BYTES, record)
    this.measure(index)
    return index * this.#perBlock + first
  }

  /** Another file under the same name: one granule. */
  repoint(transaction: Transaction, at: number, child: number): void {
    const { block, offset } = this.#place(at)
    transaction.edit(block, offset, GRANULE_BYTES)
    block.view.setUint32(offset + 4, child, true)
  }

  remove(transaction: Transaction, at: number): void {
    const { index, granule, block, offset } = this.#place(at)
    const granules = granulesAt(block.view, offset)
    this.#edit(transaction, index, granule, granules)
    block.bytes.fill(0, offset, offset + granules * GRANULE_BYTES)
    this.measure(index)
  }

  #edit(transaction: Transaction, index: number, granule: number, granules: number): MetadataBlock {
    const block = this.table.blocks[index] as MetadataBlock
    transaction.edit(block, granule * GRANULE_BYTES, granules * GRANULE_BYTES)
    transaction.undoing(() => this.measure(index))
    return block
  }

  #place(at: number): { index: number; granule: number; block: MetadataBlock; offset: number } {
    const index = Math.floor(at / this.#perBlock)
    const granule = at % this.#perBlock
    return { index, granule, block: this.table.blocks[index] as MetadataBlock, offset: granule * GRANULE_BYTES }
  }

  /** A record as it is stored. */
  stored(at: number): NameRecord {
    const { block, offset } = this.#place(at)
    return readName(block.bytes, block.view, offset)
  }
}
