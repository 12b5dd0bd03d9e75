/** All inodes: record N of the table is inode N. A changed inode costs one to four granules of one block. */

import { ROOT_INO, type Timestamp } from './file-operations.ts'
import { Inode } from './inode.ts'
import {
  FIRST_FREE_INODE,
  INODE_BYTES,
  type InodeRecord,
  readGeneration,
  readInode,
  writeFreeInode,
  writeInode,
} from './layout.ts'
import type { MetadataTable } from './metadata-table.ts'
import type { MetadataBlock, Transaction } from './transaction.ts'

/** Inode numbers are 32 bits. */
export const INODES_MAX = 2 ** 32 - 1

export class InodeTable {
  readonly table: MetadataTable
  readonly #grow: (transaction: Transaction, table: MetadataTable) => void
  readonly #perBlock: number
  /**
   * By number. Not a Map: a number is freed and taken again and again, and a key that is deleted and set in a large Map
   * makes a chain that every access to it walks (measured: 200 us after 50,000 times in 150,000).
   */
  readonly #inodes: (Inode | undefined)[] = []
  #size = 0
  readonly #free: number[] = []

  constructor(table: MetadataTable, grow: (transaction: Transaction, table: MetadataTable) => void) {
    this.table = table
    this.#grow = grow
    this.#perBlock = table.blockBytes / INODE_BYTES
  }

  get(number: number): Inode | undefined {
    return this.#inodes[number]
  }

  /** Files there are, orphans too. */
  get size(): number {
    return this.#size
  }

  get hasFree(): boolean {
    return this.#free.length > 0
  }

  *all(): Iterable<Inode> {
    for (const inode of this.#inodes) if (inode !== undefined) yield inode
  }

  #put(number: number, inode: Inode | undefined): void {
    this.#inodes[number] = inode
    this.#size += inode === undefined ? -1 : 1
  }

  #place(number: number): { readonly block: MetadataBlock; readonly offset: number } {
    const block = this.table.blocks[Math.floor(number / this.#perBlock)] as MetadataBlock
    return { block, offset: (number % this.#perBlock) * INODE_BYTES }
  }

  /** The record of a number as it is stored. */
  stored(number: number): InodeRecord {
    const { block, offset } = this.#place(number)
    return readInode(block.view, offset)
  }

  /** Takes over what a block of the table holds: the last block first, so that the lowest free number comes up first. */
  load(index: number): void {
    while (this.#inodes.length < (index + 1) * this.#perBlock) this.#inodes.push(undefined)
    for (let i = this.#perBlock - 1; i >= 0; i--) {
      const number = index * this.#perBlock + i
      if (number === 0) continue
      const record = this.stored(number)
      if (record.mode !== 0) this.#put(number, new Inode(number, record))
      else if (number >= FIRST_FREE_INODE) this.#free.push(number)
    }
  }

  /** Makes the table, with the root directory. */
  begin(transaction: Transaction, mode: number, owner: { uid: number; gid: number }, now: Timestamp): void {
    this.#addNumbers(transaction)
    // Those that are no files' come up first.
    while ((this.#free.at(-1) as number) < FIRST_FREE_INODE) this.#free.pop()
    const root = this.#createAs(transaction, ROOT_INO, mode, owner, now)
    root.links = 2
  }

  create(transaction: Transaction, mode: number, owner: { uid: number; gid: number }, now: Timestamp): Inode {
    if (this.#free.length === 0) this.#addNumbers(transaction)
    const number = this.#free.pop() as number
    transaction.undoing(() => this.#free.push(number))
    return this.#createAs(transaction, number, mode, owner, now)
  }

  #createAs(
    transaction: Transaction,
    number: number,
    mode: number,
    { uid, gid }: { uid: number; gid: number },
    now: Timestamp,
  ): Inode {
    const { block, offset } = this.#place(number)
    const generation = readGeneration(block.view, offset) + 1
    const times = { mtime: now, ctime: now, atime: now }
    const inode = new Inode(number, { mode, links: 1, uid, gid, size: 0, rdev: 0, generation, ...times })
    this.#put(number, inode)
    transaction.undoing(() => this.#put(number, undefined))
    this.#store(transaction, inode)
    return inode
  }

  #addNumbers(transaction: Transaction): void {
    const first = this.table.blocks.length * this.#perBlock
    const free = this.#free.length
    this.#grow(transaction, this.table)
    while (this.#inodes.length < first + this.#perBlock) this.#inodes.push(undefined)
    for (let i = this.#perBlock - 1; i >= 0; i--) this.#free.push(first + i)
    transaction.undoing(() => {
      this.#free.length = free
    })
  }

  /** To be called before an inode is changed; its record is written when the transaction is told. */
  change(transaction: Transaction, inode: Inode): void {
    const before = inode.snapshot()
    transaction.undoing(() => Object.assign(inode, before))
    this.#store(transaction, inode)
  }

  #store(transaction: Transaction, inode: Inode): void {
    transaction.sealing(() => {
      // A file may be made or changed and be freed in one transaction.
      if (inode.isFreed) return
      const { block, offset } = this.#place(inode.number)
      transaction.edit(block, offset, INODE_BYTES)
      writeInode(block.view, offset, inode)
      inode.storedSeconds = inode.mtime.seconds
    })
  }

  free(transaction: Transaction, inode: Inode): void {
    const { number } = inode
    const { block, offset } = this.#place(number)
    transaction.edit(block, offset, INODE_BYTES)
    writeFreeInode(block.view, offset, inode.generation)
    this.#put(number, undefined)
    inode.isFreed = true
    transaction.undoing(() => {
      this.#put(number, inode)
      inode.isFreed = false
    })
    transaction.keeping(() => this.#free.push(number))
  }
}
