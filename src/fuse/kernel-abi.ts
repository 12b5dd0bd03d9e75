/**
 * Numbers of the kernel's FUSE protocol (linux/fuse.h). The protocol is in the machine's own byte order; everything
 * Node runs on that we serve is little endian.
 */

/** The newest version whose structures this house knows. 7.41 knows FUSE_NOTIFY_RESEND and FUSE_DIRECT_IO_ALLOW_MMAP. */
export const MAJOR = 7
export const MINOR = 41
/** Below this (Linux 6.1) no kernel was tried; the newest structure that is needed without asking is of 7.36. */
export const MINOR_MIN = 36

export const ROOT_NODE = 1

export const IN_HEADER_BYTES = 40
/** Data of a WRITE begin here: behind the header and `fuse_write_in`. */
export const WRITE_DATA_AT = 80
export const OUT_HEADER_BYTES = 16
export const ENTRY_OUT_BYTES = 128
export const ATTR_OUT_BYTES = 104
export const OPEN_OUT_BYTES = 16
export const INIT_OUT_BYTES = 64
export const STATFS_OUT_BYTES = 80
/** Of a name in a directory's listing, which is padded to a multiple of 8. */
export const DIRENT_HEADER_BYTES = 24

export const BATCH_FORGET_ENTRY_BYTES = 16

/** Set in `unique` of a request that an earlier server was given too. */
export const UNIQUE_RESEND_HIGH = 0x8000_0000

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
} as const

const OPCODE_NAMES = new Map<number, string>(Object.entries(Opcode).map(([name, number]) => [number, name]))
export const opcodeName = (opcode: number): string => OPCODE_NAMES.get(opcode) ?? `OPCODE_${opcode}`

/** Bits of INIT, the low word. */
export const InitFlag = {
  ASYNC_READ: 1 << 0,
  ATOMIC_O_TRUNC: 1 << 3,
  BIG_WRITES: 1 << 5,
  ASYNC_DIO: 1 << 15,
  PARALLEL_DIROPS: 1 << 18,
  MAX_PAGES: 1 << 22,
  EXPLICIT_INVAL_DATA: 1 << 25,
  INIT_EXT: 1 << 30,
} as const

/** Bits of INIT, the high word: 32 less than in linux/fuse.h. */
export const InitFlag2 = {
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
  HAS_RESEND: 1 << 7,
} as const

/** What an OPEN may answer. */
export const OpenAnswer = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  CACHE_DIR: 1 << 3,
  NOFLUSH: 1 << 5,
  PARALLEL_DIRECT_WRITES: 1 << 6,
} as const

/** Which fields a SETATTR sets. */
export const SetAttr = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  FH: 1 << 6,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  CTIME: 1 << 10,
} as const

/** Flags of open(2), as they come in OPEN, READ and WRITE; x86-64 and arm64. */
export const OpenFlag = {
  ACCMODE: 0o3,
  TRUNC: 0o1000,
  DSYNC: 0o10000,
  /** Without the DSYNC that O_SYNC contains. */
  SYNC_ALONE: 0o4000000,
} as const

/** This WRITE comes from the page cache (mmap), not from a write(2). */
export const WRITE_CACHE = 1 << 0
/** Who writes may not keep the file's set-user-ID and set-group-ID. With direct I/O the server has to see to it. */
export const WRITE_KILL_PRIVILEGES = 1 << 2

/** Bits of fallocate(2). */
export const Fallocate = { KEEP_SIZE: 1, PUNCH_HOLE: 2, ZERO_RANGE: 16 } as const

/** Bits of renameat2(2). */
export const Rename = { NOREPLACE: 1, EXCHANGE: 2 } as const

export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_IXGRP = 0o010

/** A message of ours that answers no request: `unique` is 0 and this is in the place of the error. */
export const NOTIFY_RESEND = 7
