/**
 * A file as it is held in memory. About 300 bytes; more for a directory (see `directory.ts`) and for each extent.
 *
 * Life: linked -> orphan (no name, but open; its record says so) -> freed. A number that is freed is given out again
 * with the next generation.
 */
import type { Directory } from './directory.ts'
import { ExtentMap } from './extent-map.ts'
import { type Attributes, FileType, type Ino, type Timestamp } from './file-operations.ts'
import { CHUNK_BYTES, type InodeRecord } from './layout.ts'

const SECTOR_BYTES = 512

export interface SymlinkTarget {
  readonly name: string
  /** Its record in the name table. */
  readonly at: number
}

export class Inode implements InodeRecord {
  readonly number: number
  readonly generation: number
  mode: number
  links: number
  uid: number
  gid: number
  size: number
  mtime: Timestamp
  ctime: Timestamp
  atime: Timestamp
  rdev: number
  /** Of the mtime in the record: the one here may be newer, see `FileData`. */
  storedSeconds: number
  readonly extents = new ExtentMap()
  /** Of a directory. */
  directory: Directory | undefined
  /** Of a symbolic link. */
  target: SymlinkTarget | undefined
  /** How many times it is open. */
  opens = 0
  isFreed = false
  /** Goes up with every change of the content: a read that waited sees whether it has to read again. */
  version = 0
  /** The last of the operations on its content that wait for one another. */
  tail: Promise<unknown> | undefined

  constructor(number: number, record: InodeRecord) {
    this.number = number
    this.generation = record.generation
    this.mode = record.mode
    this.links = record.links
    this.uid = record.uid
    this.gid = record.gid
    this.size = record.size
    this.mtime = record.mtime
    this.ctime = record.ctime
    this.atime = record.atime
    this.rdev = record.rdev
    this.storedSeconds = record.mtime.seconds
  }

  get type(): number {
    return this.mode & FileType.MASK
  }

  get isDirectory(): boolean {
    return this.type === FileType.DIRECTORY
  }

  get isRegular(): boolean {
    return this.type === FileType.REGULAR
  }

  /** The fields that a transaction may have to bring back. */
  snapshot(): Omit<InodeRecord, 'generation'> & { storedSeconds: number } {
    const { mode, links, uid, gid, size, mtime, ctime, atime, rdev, storedSeconds } = this
    return { mode, links, uid, gid, size, mtime, ctime, atime, rdev, storedSeconds }
  }

  attributes(blockBytes: number): Attributes {
    const { mode, links, uid, gid, size, mtime, ctime, atime, rdev, generation } = this
    const bytesMax = Math.ceil(size / blockBytes) * blockBytes
    const blocks = Math.min(this.extents.chunks * CHUNK_BYTES, bytesMax) / SECTOR_BYTES
    return { ino: this.number as Ino, generation, mode, links, uid, gid, size, blocks, rdev, atime, mtime, ctime }
  }
}
