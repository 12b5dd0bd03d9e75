/**
 * A POSIX file system in the blocks of a device. What the operations do is told in `file-operations.ts`, how it lies in
 * blocks in README.md.
 */
import { formatDevice, readMetadata } from './attach.ts'
import type { BlockDevice, Eventual } from './block-device.ts'
import { checkMetadata } from './check.ts'
import { andThen } from './eventual.ts'
import { FileContent } from './file-content.ts'
import {
  type AllocateMode,
  type AttributeChange,
  type Attributes,
  type ByteName,
  type DirectoryEntry,
  type FileOperations,
  FileType,
  type Ino,
  NAME_BYTES_MAX,
  type Owner,
  type RenameMode,
  type Statistics,
  type Timestamp,
} from './file-operations.ts'
import { FsError, posixError } from './fs-error.ts'
import type { Inode } from './inode.ts'
import { INODES_MAX } from './inode-table.ts'
import { CAPACITY_CHUNKS_MAX, CHUNK_BYTES } from './layout.ts'
import type { Metadata } from './metadata.ts'
import { Namespace } from './namespace.ts'

export interface FileSystemOptions {
  /** The clock that times are taken from. */
  now(): Timestamp
}

export interface FormatOptions extends FileSystemOptions {
  /** How much may be allocated. @defaultValue 128 TiB */
  readonly capacityBytes?: number
  /** Of the root directory. @defaultValue 0o755 */
  readonly mode?: number
  /** Of the root directory. @defaultValue 0, 0 */
  readonly owner?: Owner
}

export interface Examination {
  /** Of all kinds; those that were removed while they were open as well. */
  readonly files: number
  /** In words; none when all is right. */
  readonly problems: readonly string[]
}

const PERMISSIONS = 0o7777
/** What `mknod` makes: directories and symbolic links have operations of their own. */
const NODE_TYPES: readonly number[] = [
  FileType.REGULAR,
  FileType.FIFO,
  FileType.SOCKET,
  FileType.CHARACTER,
  FileType.BLOCK,
]

export interface AttachOptions extends FileSystemOptions {
  /** Files without a name that somebody still has open: kept, each opened once. @defaultValue none */
  readonly stillOpen?: readonly Ino[]
}

export class FileSystem implements FileOperations {
  readonly #metadata: Metadata
  readonly #content: FileContent
  readonly #namespace: Namespace

  private constructor(metadata: Metadata) {
    this.#metadata = metadata
    this.#content = new FileContent(metadata)
    this.#namespace = new Namespace(metadata, this.#content.removal)
  }

  /**
   * Makes an empty file system on a device of zeros.
   * @throws FsError EEXIST when something is there already, EINVAL for a size that cannot be
   */
  static format(device: BlockDevice, options: FormatOptions): Promise<void> {
    const defaults = { capacityBytes: CAPACITY_CHUNKS_MAX * CHUNK_BYTES, mode: 0o755, owner: { uid: 0, gid: 0 } }
    return formatDevice(device, { ...defaults, ...options })
  }

  /**
   * Reads all metadata into memory, and removes the files that were unlinked and still open when their last user ended.
   * @throws FsError EINVAL when there is no file system that this code can read, EIO
   */
  static async attach(device: BlockDevice, { now, stillOpen = [] }: AttachOptions): Promise<FileSystem> {
    const system = new FileSystem(await readMetadata(device, now))
    if (!device.readOnly) {
      const open = new Set<number>(stillOpen)
      const orphans = [...system.#metadata.inodes.all()].filter(({ links }) => links === 0)
      for (const orphan of orphans) {
        if (open.has(orphan.number)) orphan.opens++
        else await system.#content.removal.reap(orphan)
      }
    }
    return system
  }

  /** Files that lost their last name and are open. */
  get openOrphans(): readonly Ino[] {
    return [...this.#metadata.inodes.all()]
      .filter(({ links, opens }) => links === 0 && opens > 0)
      .map(({ number }) => number as Ino)
  }

  /**
   * Looks at a file system without attaching it, also at one that attaching refuses: reads as much of it as there is, and
   * walks all structures. Nothing is changed.
   * @throws FsError EINVAL when there is no file system that this code can read, EIO when blocks cannot be read
   */
  static async examine(device: BlockDevice): Promise<Examination> {
    const misfits: string[] = []
    const now = (): Timestamp => ({ seconds: 0, nanoseconds: 0 })
    const metadata = await readMetadata(device, now, (what) => misfits.push(what))
    return { files: metadata.inodes.size, problems: [...misfits, ...checkMetadata(metadata)] }
  }

  get readOnly(): boolean {
    return this.#metadata.device.readOnly
  }

  #attributes(inode: Inode): Attributes {
    return inode.attributes(this.#metadata.blockBytes)
  }

  // -------------------------------------------------------------- attributes

  lookup(parent: Ino, name: ByteName): Attributes {
    return this.#attributes(this.#namespace.lookup(parent, name))
  }

  getattr(target: Ino): Attributes {
    return this.#attributes(this.#metadata.inode(target))
  }

  setattr(target: Ino, change: AttributeChange): Eventual<Attributes> {
    const inode = this.#metadata.inode(target)
    const apply = (): void => this.#apply(inode, change)
    const changed =
      change.size !== undefined
        ? this.#writing(() => this.#content.resize(inode, change.size as number, apply))
        : this.#metadata.change((transaction) => {
            if (inode.isFreed) throw new FsError('ENOENT', `inode ${target} was removed`)
            this.#metadata.inodes.change(transaction, inode)
            apply()
          })
    return andThen(changed, () => this.#attributes(inode))
  }

  #apply(inode: Inode, { mode, uid, gid, atime, mtime }: AttributeChange): void {
    const now = this.#metadata.now()
    if (mode !== undefined) inode.mode = (inode.mode & ~PERMISSIONS) | (mode & PERMISSIONS)
    if (uid !== undefined) inode.uid = uid
    if (gid !== undefined) inode.gid = gid
    if (atime !== undefined) inode.atime = atime === 'now' ? now : atime
    if (mtime !== undefined) inode.mtime = mtime === 'now' ? now : mtime
    inode.ctime = now
  }

  /** Before anything is read for a change that cannot be made. */
  #writing<T>(task: () => Eventual<T>): Eventual<T> {
    if (this.readOnly) throw new FsError('EROFS', 'the file system is read-only')
    return task()
  }

  // -------------------------------------------------------------- names

  create(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes> {
    const created = this.#namespace.create(parent, name, { mode: FileType.REGULAR | (mode & PERMISSIONS), owner })
    return andThen(created, (inode) => {
      inode.opens++
      return this.#attributes(inode)
    })
  }

  mknod(parent: Ino, name: ByteName, mode: number, owner: Owner, rdev = 0): Eventual<Attributes> {
    if (!NODE_TYPES.includes(mode & FileType.MASK)) throw new FsError('EINVAL', `mode ${mode.toString(8)} is no node`)
    const file = { mode: mode & (FileType.MASK | PERMISSIONS), owner, rdev }
    return andThen(this.#namespace.create(parent, name, file), (inode) => this.#attributes(inode))
  }

  mkdir(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes> {
    return andThen(this.#namespace.mkdir(parent, name, mode, owner), (inode) => this.#attributes(inode))
  }

  symlink(parent: Ino, name: ByteName, target: ByteName, owner: Owner): Eventual<Attributes> {
    return andThen(this.#namespace.symlink(parent, name, target, owner), (inode) => this.#attributes(inode))
  }

  link(target: Ino, newParent: Ino, newName: ByteName): Eventual<Attributes> {
    return andThen(this.#namespace.link(target, newParent, newName), (inode) => this.#attributes(inode))
  }

  unlink(parent: Ino, name: ByteName): Eventual<void> {
    return this.#namespace.unlink(parent, name)
  }

  rmdir(parent: Ino, name: ByteName): Eventual<void> {
    return this.#namespace.rmdir(parent, name)
  }

  rename(parent: Ino, name: ByteName, newParent: Ino, newName: ByteName, mode: RenameMode = 'replace'): Eventual<void> {
    return this.#namespace.rename(parent, name, newParent, newName, mode)
  }

  readlink(target: Ino): ByteName {
    const inode = this.#metadata.inode(target)
    if (inode.target === undefined) throw new FsError('EINVAL', `inode ${target} is no symbolic link`)
    return inode.target.name
  }

  // -------------------------------------------------------------- content

  open(target: Ino, truncate = false): Eventual<void> {
    const inode = this.#metadata.inode(target)
    if (inode.target !== undefined) throw new FsError('ELOOP', `inode ${target} is a symbolic link`)
    if (!truncate) {
      inode.opens++
      return undefined
    }
    // Open from now on, so that it is not removed while the truncation waits.
    const failed = (error: unknown): never => {
      inode.opens--
      throw error
    }
    inode.opens++
    try {
      const truncated = this.#writing(() => this.#content.resize(inode, 0, () => undefined))
      return truncated instanceof Promise ? truncated.catch(failed) : truncated
    } catch (error) {
      return failed(error)
    }
  }

  release(target: Ino): Eventual<void> {
    const inode = this.#metadata.inode(target)
    if (inode.opens === 0) throw new FsError('EINVAL', `inode ${target} is not open`)
    inode.opens--
    if (inode.opens === 0 && inode.links === 0) return this.#content.removal.reap(inode)
    return undefined
  }

  read(target: Ino, offset: number, length: number): Eventual<Uint8Array> {
    return this.#content.read(this.#metadata.inode(target), offset, length)
  }

  write(target: Ino, offset: number, bytes: Uint8Array): Eventual<number> {
    return this.#writing(() => this.#content.write(this.#metadata.inode(target), offset, bytes))
  }

  fallocate(target: Ino, mode: AllocateMode, offset: number, length: number): Eventual<void> {
    return this.#writing(() => this.#content.allocate(this.#metadata.inode(target), mode, offset, length))
  }

  async fsync(): Promise<void> {
    try {
      await this.#metadata.device.sync()
    } catch (error) {
      throw posixError(error)
    }
  }

  // -------------------------------------------------------------- the whole

  readdir(target: Ino, after: number, count: number): readonly DirectoryEntry[] {
    const { inode, directory } = this.#namespace.folder(target)
    const dots: readonly DirectoryEntry[] = [
      { name: '.', ino: target, type: FileType.DIRECTORY, cookie: 1 },
      { name: '..', ino: directory.parent as Ino, type: FileType.DIRECTORY, cookie: 2 },
    ]
    const entries = inode.links === 0 ? [] : dots.slice(after, after + count)
    for (const { name, child, sequence } of directory.after(after, count - entries.length)) {
      entries.push({ name, ino: child as Ino, type: this.#metadata.inode(child).type, cookie: sequence })
    }
    return entries
  }

  statfs(): Statistics {
    const { blockBytes, blocksPerChunk, superblock, space, inodes } = this.#metadata
    return {
      blockBytes,
      blocks: superblock.capacityChunks * blocksPerChunk,
      blocksFree: space.free * blocksPerChunk,
      files: INODES_MAX,
      filesFree: INODES_MAX - inodes.size,
      nameBytesMax: NAME_BYTES_MAX,
    }
  }

  /**
   * Walks all structures, as they are in memory and as they are in blocks.
   * @returns what is wrong, in words; nothing when all is right
   */
  check(): string[] {
    return checkMetadata(this.#metadata)
  }
}
