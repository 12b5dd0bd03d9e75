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
  /** Of each block: which granules are in use, a byte for each. */
  readonly #used: Uint8Array[] = []
  /** The longest free run of each block, in granules. */
  readonly #room: number[] = []
  /** By the granules that are wanted: no block before this one has room for them. */
  readonly #firstWith: number[]

  constructor(table: MetadataTable, grow: (transaction: Transaction, table: MetadataTable) => void) {
    this.table = table
    this.#grow = grow
    this.#perBlock = table.blockBytes / GRANULE_BYTES
    this.#firstWith = new Array(this.#perBlock + 1).fill(0)
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

  /** Takes over what a block of the table holds. */
  load(index: number): void {
    const used = new Uint8Array(this.#perBlock)
    for (const { at, name } of this.records(index)) {
      const granule = at % this.#perBlock
      used.fill(1, granule, granule + nameGranules(name.length))
    }
    this.#used[index] = used
    this.#measure(index)
  }

  #mark(transaction: Transaction, index: number, granule: number, granules: number, isUsed: boolean): void {
    const mark = (value: boolean): void => {
      this.#used[index]?.fill(value ? 1 : 0, granule, granule + granules)
      this.#measure(index)
    }
    mark(isUsed)
    transaction.undoing(() => mark(!isUsed))
  }

  #measure(index: number): void {
    const before = this.#room[index] ?? 0
    const room = this.#findRun(index, this.#perBlock + 1).longest
    this.#room[index] = room
    for (let wanted = before + 1; wanted <= room; wanted++) {
      this.#firstWith[wanted] = Math.min(this.#firstWith[wanted] as number, index)
    }
  }

  /** The first block with room; one behind the last when there is none. */
  #blockFor(granules: number): number {
    let index = this.#firstWith[granules] as number
    while (index < this.#room.length && (this.#room[index] as number) < granules) index++
    this.#firstWith[granules] = index
    return index
  }

  /** The first free run of `wanted` granules, or the longest when there is none. */
  #findRun(index: number, wanted: number): { readonly first: number; readonly longest: number } {
    const used = this.#used[index] as Uint8Array
    let longest = 0
    for (let first = used.indexOf(0); first >= 0; ) {
      const next = used.indexOf(1, first)
      const end = next < 0 ? used.length : next
      if (end - first >= wanted) return { first, longest: wanted }
      longest = Math.max(longest, end - first)
      first = next < 0 ? -1 : used.indexOf(0, next)
    }
    return { first: -1, longest }
  }

  /** @returns its place */
  insert(transaction: Transaction, record: NameRecord): number {
    const granules = nameGranules(record.name.length)
    const index = this.#blockFor(granules)
    if (index === this.table.blocks.length) {
      this.#grow(transaction, this.table)
      this.#used.push(new Uint8Array(this.#perBlock))
      this.#room.push(this.#perBlock)
      transaction.undoing(() => {
        this.#used.pop()
        this.#room.pop()
      })
    }
    const { first } = this.#findRun(index, granules)
    const block = this.#edit(transaction, index, first, granules)
    writeName(block.bytes, block.view, first * GRANULE_BYTES, record)
    this.#mark(transaction, index, first, granules, true)
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
    this.#mark(transaction, index, granule, granules, false)
  }

  #edit(transaction: Transaction, index: number, granule: number, granules: number): MetadataBlock {
    const block = this.table.blocks[index] as MetadataBlock
    transaction.edit(block, granule * GRANULE_BYTES, granules * GRANULE_BYTES)
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
