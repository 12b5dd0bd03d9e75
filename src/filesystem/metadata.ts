/**
 * All metadata of a file system, in memory, and the one way to change it: a plan that runs at once and is appended to
 * the device as one mini-transaction, or is taken back.
 */
import type { BlockDevice, Eventual } from './block-device.ts'
import { ExtentTable } from './extent-table.ts'
import type { Timestamp } from './file-operations.ts'
import { FreeSpace } from './free-space.ts'
import { FsError, posixError } from './fs-error.ts'
import type { Inode } from './inode.ts'
import { InodeTable } from './inode-table.ts'
import { CHUNK_BYTES, type Superblock, TABLE_SIZES_AT, TableOwner, writeTableSizes } from './layout.ts'
import { MetadataTable } from './metadata-table.ts'
import { NameTable } from './name-table.ts'
import { type MetadataBlock, Transaction } from './transaction.ts'

export class Metadata {
  readonly device: BlockDevice
  readonly now: () => Timestamp
  readonly superblock: Superblock
  readonly space = new FreeSpace()
  readonly extents: ExtentTable
  readonly inodes: InodeTable
  readonly names: NameTable
  readonly #root: MetadataBlock
  readonly blocksPerChunk: number

  /** @param root the block of the superblock, as it is on the device */
  constructor(device: BlockDevice, superblock: Superblock, root: MetadataBlock, now: () => Timestamp) {
    const { blockBytes } = superblock
    this.device = device
    this.superblock = superblock
    this.now = now
    this.#root = root
    this.blocksPerChunk = CHUNK_BYTES / blockBytes
    const grow = (transaction: Transaction, table: MetadataTable) => this.#growTable(transaction, table)
    this.extents = new ExtentTable(new MetadataTable(TableOwner.EXTENTS, blockBytes), this.space, grow)
    this.inodes = new InodeTable(new MetadataTable(TableOwner.INODES, blockBytes), grow)
    this.names = new NameTable(new MetadataTable(TableOwner.NAMES, blockBytes), grow)
  }

  get blockBytes(): number {
    return this.superblock.blockBytes
  }

  get tables(): readonly MetadataTable[] {
    return [this.names.table, this.inodes.table, this.extents.table]
  }

  #growTable(transaction: Transaction, table: MetadataTable): void {
    const { nextChunk } = table
    if (table.extents.physical(nextChunk) === undefined) {
      this.extents.allocate(transaction, table, nextChunk, nextChunk + 1, 1)
    }
    table.grow(transaction)
    transaction.edit(this.#root, TABLE_SIZES_AT.offset, TABLE_SIZES_AT.length)
    writeTableSizes(this.#root.view, {
      names: this.names.table.blocks.length,
      inodes: this.inodes.table.blocks.length,
      extents: this.extents.table.blocks.length,
    })
  }

  /** @throws FsError ENOENT */
  inode(number: number): Inode {
    const inode = this.inodes.get(number)
    if (inode === undefined) throw new FsError('ENOENT', `there is no inode ${number}`)
    return inode
  }

  /**
   * Carries out `plan` as one mini-transaction. When the device lets it wait it is taken back and carried out again
   * later, on what is there then; when it throws nothing has changed.
   */
  change<T>(plan: (transaction: Transaction) => T): Eventual<T> {
    if (this.device.readOnly) throw new FsError('EROFS', 'the file system is read-only')
    const transaction = new Transaction()
    let wait: Promise<void> | undefined
    try {
      const result = plan(transaction)
      const changes = transaction.changes()
      if (changes.length > 0) {
        wait = this.device.prepare(changes)
        if (wait === undefined) this.device.append(changes)
      }
      if (wait === undefined) {
        transaction.keep()
        return result
      }
    } catch (error) {
      transaction.undo()
      throw posixError(error)
    }
    transaction.undo()
    return wait.then(
      () => this.change(plan),
      (error: unknown) => {
        throw posixError(error)
      },
    )
  }
}
