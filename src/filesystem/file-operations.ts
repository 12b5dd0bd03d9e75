/**
 * The border above: what a kernel asks of a file system, by inode number.
 *
 * Every operation answers at once, or with a promise when it has to wait (for a block that is not in the device's
 * cache, for room in the log, for a quorum). It throws, or rejects with, `FsError` and nothing else. Paths, access
 * checks, locks and caches of attributes are the kernel's (`default_permissions`).
 *
 * An operation that changes something is one mini-transaction: visible as a whole or not at all at any LSN. It is
 * durable when a later `fsync` has answered.
 */
import type { Eventual } from './block-device.ts'

declare const brand: unique symbol

/** The number of an inode, as a kernel's node id: 1 is the root. A safe integer, not always below 2^32. */
export type Ino = number & { readonly [brand]: 'Ino' }

export const ino = (n: number): Ino => n as Ino
export const ROOT_INO: Ino = ino(1)

/**
 * A file name, or the target of a symbolic link: bytes, one character of code 0 to 255 for each (latin1), as
 * `buffer.latin1Slice()` gives them.
 */
export type ByteName = string

/** Time since 1970. Stored with nanoseconds, from the year 1901 to 2446. */
export interface Timestamp {
  readonly seconds: number
  readonly nanoseconds: number
}

/** The types of files within a mode (`S_IFMT` and what is under it). */
export const FileType = {
  MASK: 0o170000,
  FIFO: 0o010000,
  CHARACTER: 0o020000,
  DIRECTORY: 0o040000,
  BLOCK: 0o060000,
  REGULAR: 0o100000,
  SYMLINK: 0o120000,
  SOCKET: 0o140000,
} as const

export interface Attributes {
  readonly ino: Ino
  /** A number is used again with another generation. */
  readonly generation: number
  /** Type and permission bits. */
  readonly mode: number
  readonly links: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Of 512 bytes: what is allocated below the end of the file. */
  readonly blocks: number
  readonly rdev: number
  readonly atime: Timestamp
  readonly mtime: Timestamp
  readonly ctime: Timestamp
}

/** What `setattr` is to change; times are the caller's, `ctime` is set by the file system. */
export interface AttributeChange {
  /** Permission bits; the type stays. */
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: number
  readonly atime?: Timestamp | 'now'
  readonly mtime?: Timestamp | 'now'
}

/** Who makes a file. Set-group-id directories are the caller's to honour. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

export interface DirectoryEntry {
  readonly name: ByteName
  readonly ino: Ino
  /** The bits of `FileType.MASK` only. */
  readonly type: number
  /** Give it as `after` to go on behind this entry. The same for as long as the entry is there, over restarts, too. */
  readonly cookie: number
}

/** `renameat2`: without a flag, RENAME_NOREPLACE, RENAME_EXCHANGE. */
export type RenameMode = 'replace' | 'noreplace' | 'exchange'

/** `fallocate`: mode 0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE. */
export type AllocateMode = 'allocate' | 'allocate-keep-size' | 'punch-hole' | 'zero-range' | 'zero-range-keep-size'

export interface Statistics {
  readonly blockBytes: number
  readonly blocks: number
  readonly blocksFree: number
  readonly files: number
  readonly filesFree: number
  readonly nameBytesMax: number
}

/** A name has 1 to 255 bytes, none of them `/` or 0. */
export const NAME_BYTES_MAX = 255
/** A symbolic link's target has 1 to 4,095 bytes. */
export const TARGET_BYTES_MAX = 4095
/** `write` takes at most this much, as one mini-transaction. */
export const WRITE_BYTES_MAX = 1024 * 1024
/** Hard links of one file. */
export const LINKS_MAX = 65_000
/** 128 TiB. */
export const FILE_BYTES_MAX = 2 ** 47

export interface FileOperations {
  /** Everything that would change something fails with EROFS. */
  readonly readOnly: boolean

  /** Also `.` and `..`. @throws FsError ENOENT, ENOTDIR, ENAMETOOLONG */
  lookup(parent: Ino, name: ByteName): Attributes
  /** @throws FsError ENOENT when there is no such inode (any more); so does every operation */
  getattr(target: Ino): Attributes
  /**
   * Changes attributes, and the size: what is cut off is freed, what is added is a hole.
   * @throws FsError EISDIR, EINVAL for the size of what is no regular file; EFBIG
   */
  setattr(target: Ino, change: AttributeChange): Eventual<Attributes>

  /** Makes a regular file and opens it (`release` it). @param mode permission bits @throws FsError EEXIST, ENOSPC ... */
  create(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes>
  /** Makes a regular file, fifo, socket or device, not opened. @param mode type and permission bits */
  mknod(parent: Ino, name: ByteName, mode: number, owner: Owner, rdev?: number): Eventual<Attributes>
  mkdir(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes>
  symlink(parent: Ino, name: ByteName, target: ByteName, owner: Owner): Eventual<Attributes>
  /** @throws FsError EPERM for a directory, EMLINK, EXDEV */
  link(target: Ino, newParent: Ino, newName: ByteName): Eventual<Attributes>
  /** The file lives on until its last name and its last `release`. @throws FsError EISDIR */
  unlink(parent: Ino, name: ByteName): Eventual<void>
  /** @throws FsError ENOTEMPTY, ENOTDIR, EINVAL for `.` */
  rmdir(parent: Ino, name: ByteName): Eventual<void>
  /**
   * @throws FsError EINVAL when a directory would come under itself; ENOTEMPTY, EISDIR, ENOTDIR for what would be
   * replaced; EEXIST for `noreplace`; EXDEV
   */
  rename(parent: Ino, name: ByteName, newParent: Ino, newName: ByteName, mode?: RenameMode): Eventual<void>
  /** @throws FsError EINVAL when it is no symbolic link */
  readlink(target: Ino): ByteName

  /** Opens a file or a directory: it lives until as many `release`s. @param truncate to nothing (O_TRUNC) */
  open(target: Ino, truncate?: boolean): Eventual<void>
  release(target: Ino): Eventual<void>

  /** Up to `length` bytes; fewer at the end of the file only. The caller owns the answer. */
  read(target: Ino, offset: number, length: number): Eventual<Uint8Array>
  /**
   * Writes all of `bytes` (at most `WRITE_BYTES_MAX`) as one mini-transaction. They may be used again when it has
   * answered. @returns their number
   */
  write(target: Ino, offset: number, bytes: Uint8Array): Eventual<number>
  /** @throws FsError ENOSPC, EFBIG, EINVAL for a length of 0, EISDIR */
  fallocate(target: Ino, mode: AllocateMode, offset: number, length: number): Eventual<void>
  /** Answers when everything that was done so far, to any file, is durable: also fdatasync, fsyncdir, syncfs. */
  fsync(): Eventual<void>

  /**
   * Entries in the order of their making, `.` and `..` first. One that is there all along is told exactly once.
   * @param after the cookie of the last entry seen; 0 from the beginning
   * @param count at most so many; fewer at the end only
   */
  readdir(target: Ino, after: number, count: number): readonly DirectoryEntry[]
  statfs(): Statistics
}
