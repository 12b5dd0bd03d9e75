/**
 * How the metadata lies in blocks, in little endian. README.md tells it in one picture.
 *
 * All records are whole granules of 16 bytes, the unit that a volume ships, so that a change of one field costs 20
 * bytes of payload. Format version 1.
 */
import { readU64, writeU64 } from '../protocol/lsn.ts'
import type { Timestamp } from './file-operations.ts'
import { FsError } from './fs-error.ts'

/** What is allocated, in bytes: extents are whole chunks. */
export const CHUNK_BYTES = 64 * 1024
/** A name record of the longest target must fit into a block, and a block into a chunk. */
export const BLOCK_BYTES_MIN = 8 * 1024
export const BLOCK_BYTES_MAX = CHUNK_BYTES
/** 2^31 chunks: 128 TiB. */
export const CAPACITY_CHUNKS_MAX = 2 ** 31

export const FORMAT_VERSION = 1
/** `Borealis` */
const MAGIC = [0x65726f42, 0x73696c61] as const

/** Inode numbers that stand for the tables in extent records, and are no files. */
export const TableOwner = { NAMES: 2, INODES: 3, EXTENTS: 4 } as const
export const FIRST_FREE_INODE = 5

/** Chunk 0 holds the superblock, chunk 1 the beginning of the extent table; all else is found from there. */
export const SUPERBLOCK_CHUNKS = 1
export const EXTENT_TABLE_CHUNK = 1

export const GRANULE_BYTES = 16

// ---------------------------------------------------------------- superblock

export interface Superblock {
  readonly blockBytes: number
  readonly capacityChunks: number
}

/** Blocks in use of each table: the third granule of the superblock. */
export interface TableSizes {
  readonly names: number
  readonly inodes: number
  readonly extents: number
}

const SIZES_OFFSET = 32

export function writeSuperblock(view: DataView, { blockBytes, capacityChunks }: Superblock): void {
  view.setUint32(0, MAGIC[0], true)
  view.setUint32(4, MAGIC[1], true)
  view.setUint32(8, FORMAT_VERSION, true)
  view.setUint32(12, blockBytes, true)
  view.setUint32(16, CHUNK_BYTES, true)
  view.setUint32(20, capacityChunks, true)
}

/** @throws FsError EINVAL */
export function readSuperblock(view: DataView): Superblock {
  if (view.getUint32(0, true) !== MAGIC[0] || view.getUint32(4, true) !== MAGIC[1]) {
    throw new FsError('EINVAL', 'there is no file system on this device')
  }
  const version = view.getUint32(8, true)
  if (version !== FORMAT_VERSION) throw new FsError('EINVAL', `the file system has format ${version}`)
  const blockBytes = view.getUint32(12, true)
  const chunkBytes = view.getUint32(16, true)
  if (blockBytes !== view.byteLength || chunkBytes !== CHUNK_BYTES) {
    throw new FsError(
      'EINVAL',
      `blocks of ${blockBytes} and chunks of ${chunkBytes} bytes are not what this device has`,
    )
  }
  return { blockBytes, capacityChunks: view.getUint32(20, true) }
}

export const TABLE_SIZES_AT = { offset: SIZES_OFFSET, length: GRANULE_BYTES } as const

export function writeTableSizes(view: DataView, { names, inodes, extents }: TableSizes): void {
  view.setUint32(SIZES_OFFSET, names, true)
  view.setUint32(SIZES_OFFSET + 4, inodes, true)
  view.setUint32(SIZES_OFFSET + 8, extents, true)
}

export const readTableSizes = (view: DataView): TableSizes => ({
  names: view.getUint32(SIZES_OFFSET, true),
  inodes: view.getUint32(SIZES_OFFSET + 4, true),
  extents: view.getUint32(SIZES_OFFSET + 8, true),
})

// ---------------------------------------------------------------- inodes

export const INODE_BYTES = 64

export interface InodeRecord {
  /** 0: the number is free. */
  mode: number
  /** 0, with a mode: unlinked, to be removed when nobody has it open. */
  links: number
  uid: number
  gid: number
  size: number
  mtime: Timestamp
  ctime: Timestamp
  atime: Timestamp
  rdev: number
  /** Kept while the number is free. */
  generation: number
}

const SECONDS_BIAS = 2 ** 31
const SECONDS_END = 2 ** 34

/** 34 bits of seconds since 1901, 30 bits of nanoseconds. */
function writeTime(view: DataView, offset: number, { seconds, nanoseconds }: Timestamp): void {
  const biased = Math.min(Math.max(Math.floor(seconds) + SECONDS_BIAS, 0), SECONDS_END - 1)
  view.setUint32(offset, biased >>> 0, true)
  view.setUint32(offset + 4, ((nanoseconds << 2) | Math.floor(biased / 2 ** 32)) >>> 0, true)
}

function readTime(view: DataView, offset: number): Timestamp {
  const high = view.getUint32(offset + 4, true)
  const biased = view.getUint32(offset, true) + (high & 3) * 2 ** 32
  return { seconds: biased - SECONDS_BIAS, nanoseconds: high >>> 2 }
}

/** The fields of a write that extends a file, size and mtime, are one granule; ctime is in the next. */
export function writeInode(view: DataView, offset: number, inode: Readonly<InodeRecord>): void {
  view.setUint32(offset, inode.mode, true)
  view.setUint32(offset + 4, inode.links, true)
  view.setUint32(offset + 8, inode.uid, true)
  view.setUint32(offset + 12, inode.gid, true)
  writeU64(view, offset + 16, inode.size)
  writeTime(view, offset + 24, inode.mtime)
  writeTime(view, offset + 32, inode.ctime)
  writeTime(view, offset + 40, inode.atime)
  view.setUint32(offset + 48, inode.rdev, true)
  view.setUint32(offset + 52, inode.generation, true)
}

/** A free number: nothing but its generation. */
export function writeFreeInode(view: DataView, offset: number, generation: number): void {
  for (let at = 0; at < INODE_BYTES; at += 4) view.setUint32(offset + at, 0, true)
  view.setUint32(offset + 52, generation, true)
}

/** The one field that a free number has, too. */
export const readGeneration = (view: DataView, offset: number): number => view.getUint32(offset + 52, true)

export const readInode = (view: DataView, offset: number): InodeRecord => ({
  mode: view.getUint32(offset, true),
  links: view.getUint32(offset + 4, true),
  uid: view.getUint32(offset + 8, true),
  gid: view.getUint32(offset + 12, true),
  size: readU64(view, offset + 16),
  mtime: readTime(view, offset + 24),
  ctime: readTime(view, offset + 32),
  atime: readTime(view, offset + 40),
  rdev: view.getUint32(offset + 48, true),
  generation: readGeneration(view, offset),
})

// ---------------------------------------------------------------- extents

export const EXTENT_BYTES = GRANULE_BYTES

export interface ExtentRecord {
  /** An inode or a table; 0: the slot is free. */
  readonly owner: number
  /** In chunks of the file. */
  readonly logical: number
  /** In chunks of the device. */
  readonly physical: number
  readonly count: number
}

export function writeExtent(view: DataView, offset: number, extent: ExtentRecord): void {
  view.setUint32(offset, extent.owner, true)
  view.setUint32(offset + 4, extent.logical, true)
  view.setUint32(offset + 8, extent.physical, true)
  view.setUint32(offset + 12, extent.count, true)
}

export const FREE_EXTENT: ExtentRecord = { owner: 0, logical: 0, physical: 0, count: 0 }

export const readExtent = (view: DataView, offset: number): ExtentRecord => ({
  owner: view.getUint32(offset, true),
  logical: view.getUint32(offset + 4, true),
  physical: view.getUint32(offset + 8, true),
  count: view.getUint32(offset + 12, true),
})

// ---------------------------------------------------------------- names

/** An entry of a directory, or the target of a symbolic link (`parent` is the link itself and `child`, too). */
export interface NameRecord {
  /** 0: the granule is free. */
  readonly parent: number
  readonly child: number
  /** Its place in the directory's order: 48 bits. */
  readonly sequence: number
  /** latin1 */
  readonly name: string
}

/** A header of one granule, then the name. */
export const nameGranules = (nameBytes: number): number => 1 + Math.ceil(nameBytes / GRANULE_BYTES)

export function writeName(bytes: Uint8Array, view: DataView, offset: number, record: NameRecord): void {
  const { name, sequence } = record
  view.setUint32(offset, record.parent, true)
  view.setUint32(offset + 4, record.child, true)
  view.setUint32(offset + 8, sequence >>> 0, true)
  view.setUint16(offset + 12, Math.floor(sequence / 2 ** 32), true)
  view.setUint16(offset + 14, name.length, true)
  const from = offset + GRANULE_BYTES
  bytes.fill(0, from + name.length, offset + nameGranules(name.length) * GRANULE_BYTES)
  for (let i = 0; i < name.length; i++) bytes[from + i] = name.charCodeAt(i)
}

/** The granules that the record at `offset` takes: 1 where it is free. */
export function granulesAt(view: DataView, offset: number): number {
  return view.getUint32(offset, true) === 0 ? 1 : nameGranules(view.getUint16(offset + 14, true))
}

/** @throws FsError EIO when the record does not fit into the block */
export function readName(bytes: Uint8Array, view: DataView, offset: number): NameRecord {
  const length = view.getUint16(offset + 14, true)
  const from = offset + GRANULE_BYTES
  if (from + length > bytes.length) throw new FsError('EIO', `a name of ${length} bytes at ${offset} of its block`)
  const name = Buffer.from(bytes.buffer, bytes.byteOffset + from, length).toString('latin1')
  return {
    parent: view.getUint32(offset, true),
    child: view.getUint32(offset + 4, true),
    sequence: view.getUint32(offset + 8, true) + view.getUint16(offset + 12, true) * 2 ** 32,
    name,
  }
}
