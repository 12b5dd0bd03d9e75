/** An exclusive lock on a node's folder, for as long as the process (or whoever took it) lives. */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { VolumeError } from '../protocol/errors.ts'
import { EINTR, EWOULDBLOCK, errno, errorName, libc } from './real-libc.ts'

const LOCK_EX_NB = 2 | 4

export interface FolderLock {
  /** A process that is started with it holds the lock as well. */
  readonly fd: number
  release(): void
}

/** Throws `AlreadyExists`, which says who holds it. The kernel gives it up with the process, however that ends. */
export function lockFolder(path: string): FolderLock {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    while (libc.flock(fd, LOCK_EX_NB) !== 0) {
      const why = errno()
      if (why === EINTR) continue
      if (why !== EWOULDBLOCK) throw new Error(`flock of ${path}: ${errorName(why)}`)
      const holder = readFileSync(path, 'utf8').trim()
      throw new VolumeError('AlreadyExists', `${path} is locked by process ${holder === '' ? 'unknown' : holder}`)
    }
    ftruncateSync(fd, 0)
    writeSync(fd, `${process.pid}\n`, 0)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  return { fd, release: () => closeSync(fd) }
}
