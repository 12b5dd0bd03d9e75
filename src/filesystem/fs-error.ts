/**
 * What a file operation answers when it cannot be done: POSIX's names and Linux's numbers, as one closed set.
 *
 * Nothing was changed by an operation that failed, but for the steps of a large removal that were already taken.
 */
import { VolumeError } from '../protocol/errors.ts'

/** Numbers of `asm-generic/errno-base.h` and `errno.h`. */
const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EEXIST: 17,
  EXDEV: 18,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ENAMETOOLONG: 36,
  ENOTEMPTY: 39,
  ELOOP: 40,
} as const

export type FsErrorCode = keyof typeof ERRNO

export class FsError extends Error {
  readonly code: FsErrorCode

  constructor(code: FsErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'FsError'
    this.code = code
  }

  /** Positive, as Linux numbers it. */
  get errno(): number {
    return ERRNO[this.code]
  }
}

/** The POSIX error of whatever a device or an operation threw; the original is its `cause`. */
export function posixError(error: unknown): FsError {
  if (error instanceof FsError) return error
  const message = error instanceof Error ? error.message : String(error)
  const isFull = error instanceof VolumeError && error.code === 'DiskFull'
  return new FsError(isFull ? 'ENOSPC' : 'EIO', message, { cause: error })
}
