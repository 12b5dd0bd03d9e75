/** Making a file system, and reading one into memory. */
import type { BlockNumber } from '../protocol/lsn.ts'
import type { BlockDevice } from './block-device.ts'
import { Directory } from './directory.ts'
import { FileType, type Owner, ROOT_INO, type Timestamp } from './file-operations.ts'
import { FsError, posixError } from './fs-error.ts'
import {
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  CAPACITY_CHUNKS_MAX,
  CHUNK_BYTES,
  EXTENT_TABLE_CHUNK,
  type ExtentRecord,
  readSuperblock,
  readTableSizes,
  SUPERBLOCK_CHUNKS,
  writeSuperblock,
} from './layout.ts'
import { Metadata } from './metadata.ts'
import type { MetadataTable } from './metadata-table.ts'
import { metadataBlock } from './transaction.ts'

const SUPERBLOCK = 0 as BlockNumber
/** The smallest file system: superblock, the three tables, and a file. */
const CAPACITY_CHUNKS_MIN = 8
/** Blocks of a table that are asked for at once. */
const READS_MAX = 256

export interface NewFileSystem {
  readonly capacityBytes: number
  readonly mode: number
  readonly owner: Owner
  now(): Timestamp
}

/** @throws FsError EEXIST, EINVAL for a size that cannot be */
export async function formatDevice(device: BlockDevice, options: NewFileSystem): Promise<void> {
  const { blockBytes } = device
  const capacityChunks = Math.min(Math.floor(options.capacityBytes / CHUNK_BYTES), CAPACITY_CHUNKS_MAX)
  const isPowerOfTwo = Number.isInteger(Math.log2(blockBytes))
  if (!isPowerOfTwo || blockBytes < BLOCK_BYTES_MIN || blockBytes > BLOCK_BYTES_MAX) {
    throw new FsError('EINVAL', `blocks of ${blockBytes} bytes cannot hold a file system`)
  }
  if (!(capacityChunks >= CAPACITY_CHUNKS_MIN))
    throw new FsError('EINVAL', `${options.capacityBytes} bytes are too few`)
  const before = await readBlock(device, SUPERBLOCK)
  if (before.some((byte) => byte !== 0)) throw new FsError('EEXIST', 'something is on this device already')

  const superblock = { blockBytes, capacityChunks }
  const root = metadataBlock(SUPERBLOCK, new Uint8Array(blockBytes))
  const metadata = new Metadata(device, superblock, root, options.now)
  metadata.space.release(SUPERBLOCK_CHUNKS, capacityChunks - SUPERBLOCK_CHUNKS)
  await metadata.change((transaction) => {
    transaction.edit(root, 0, blockBytes)
    writeSuperblock(root.view, superblock)
    metadata.extents.begin(transaction, EXTENT_TABLE_CHUNK)
    metadata.inodes.begin(transaction, FileType.DIRECTORY | (options.mode & 0o7777), options.owner, options.now())
  })
}

/** Is told of records that do not fit to the others, which are left out. */
export type OnMisfit = (what: string) => void

const refuse: OnMisfit = (what) => {
  throw new FsError('EIO', what)
}

/**
 * Reads all metadata.
 * @throws FsError EINVAL when it is none that this code can read; EIO when it cannot be read, or does not hang together
 *   and `onMisfit` is not given
 */
export async function readMetadata(
  device: BlockDevice,
  now: () => Timestamp,
  onMisfit: OnMisfit = refuse,
): Promise<Metadata> {
  const root = metadataBlock(SUPERBLOCK, await readBlock(device, SUPERBLOCK))
  const superblock = readSuperblock(root.view)
  const metadata = new Metadata(device, superblock, root, now)
  const sizes = readTableSizes(root.view)
  const { extents, inodes, names } = metadata

  const ofFiles = await loadExtents(metadata, sizes.extents)
  await loadBlocks(device, inodes.table, sizes.inodes)
  // From the end, so that the lowest free number is given out first.
  for (let i = sizes.inodes - 1; i >= 0; i--) inodes.load(i)
  await loadBlocks(device, names.table, sizes.names)
  for (const { slot, owner, logical, physical, count } of ofFiles) {
    const inode = inodes.get(owner)
    if (inode === undefined) onMisfit(`extent ${slot} belongs to inode ${owner}, which is not there`)
    else inode.extents.insert({ slot, logical, physical, count })
  }
  releaseGaps(metadata, [...extents.table.extents, ...inodes.table.extents, ...names.table.extents, ...ofFiles])
  loadNames(metadata, sizes.names, onMisfit)
  if (metadata.inodes.get(ROOT_INO)?.directory === undefined) onMisfit('there is no root directory')
  return metadata
}

async function readBlock(device: BlockDevice, block: BlockNumber): Promise<Uint8Array> {
  try {
    return await device.read(block)
  } catch (error) {
    throw posixError(error)
  }
}

/** Reads the blocks of a table up to `count`, as far as its extents are known. */
async function loadBlocks(device: BlockDevice, table: MetadataTable, count: number): Promise<void> {
  while (table.blocks.length < count) {
    const places: BlockNumber[] = []
    for (let i = table.blocks.length; i < count && places.length < READS_MAX; i++) {
      const place = table.place(i)
      if (place === undefined) break
      places.push(place)
    }
    if (places.length === 0) throw new FsError('EIO', `table ${table.number} has no extent for its next block`)
    const blocks = await Promise.all(places.map((place) => readBlock(device, place)))
    table.blocks.push(...blocks.map((bytes, i) => metadataBlock(places[i] as BlockNumber, bytes)))
  }
}

type StoredExtent = ExtentRecord & { readonly slot: number }

/** The table tells where the rest of it lies, always in a part that is known by then. @returns extents of files */
async function loadExtents(metadata: Metadata, count: number): Promise<StoredExtent[]> {
  const { extents, tables, device } = metadata
  const ofFiles: StoredExtent[] = []
  const { table } = extents
  table.extents.insert({ slot: 0, logical: 0, physical: EXTENT_TABLE_CHUNK, count: 1 })
  for (let index = 0; index < count; ) {
    let known = index
    while (known < count && table.place(known) !== undefined) known++
    await loadBlocks(device, table, known)
    if (known === index) throw new FsError('EIO', 'the extent table does not tell where it goes on')
    for (; index < known; index++) {
      for (const { slot, owner, logical, physical, count: chunks } of extents.records(index, true)) {
        const owning = tables.find(({ number }) => number === owner)
        if (owning === undefined) ofFiles.push({ slot, owner, logical, physical, count: chunks })
        else if (owning !== table || slot !== 0) owning.extents.insert({ slot, logical, physical, count: chunks })
        else extents.resizeFirst(chunks)
      }
    }
  }
  return ofFiles
}

/** What no extent has is free. */
function releaseGaps({ space, superblock }: Metadata, extents: { physical: number; count: number }[]): void {
  extents.sort((a, b) => a.physical - b.physical)
  let at = SUPERBLOCK_CHUNKS
  for (const { physical, count } of extents) {
    if (physical > at) space.release(at, physical - at)
    at = Math.max(at, physical + count)
  }
  if (superblock.capacityChunks > at) space.release(at, superblock.capacityChunks - at)
}

function loadNames({ inodes, names }: Metadata, count: number, onMisfit: OnMisfit): void {
  for (const inode of inodes.all()) if (inode.isDirectory) inode.directory = new Directory(ROOT_INO)
  for (let index = 0; index < count; index++) {
    names.load(index)
    for (const { parent, child, sequence, name, at } of names.records(index)) {
      const folder = inodes.get(parent)
      const inode = inodes.get(child)
      if (folder === undefined) onMisfit(`the entry at ${at} is in inode ${parent}, which is not there`)
      else if (inode === undefined) onMisfit(`the entry at ${at} names inode ${child}, which is not there`)
      else if (folder === inode) inode.target = { name, at }
      else if (folder.directory === undefined)
        onMisfit(`the entry at ${at} is in inode ${parent}, which is no directory`)
      else {
        folder.directory.load({ name, child, sequence, at, isGone: false })
        if (inode.directory !== undefined) inode.directory.parent = parent
      }
    }
  }
  for (const { directory } of inodes.all()) directory?.sort()
}
