/** An open file of a real disk: positioned reads and writes, direct durable writes, and what their failures mean. */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs'
import { invariant, VolumeError } from '../protocol/errors.ts'
import { isAligned } from './aligned.ts'
import type { DiskFile } from './disk.ts'

/** Written at once when a file is zero-filled: large enough to be fast, small enough to keep nothing else waiting. */
const ZEROES = new Uint8Array(1 << 20)

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** What the system said, in our words. What we have no word for is left as it is and stops the node. */
export function diskFailure(path: string, error: unknown): unknown {
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new VolumeError('DiskFull', `${path}: no room on the disk`, { cause: error })
    case 'ENOENT':
      return new VolumeError('NotFound', `${path} is not there`, { cause: error })
    case 'EIO':
      return new VolumeError('Corrupt', `${path}: the disk failed`, { cause: error })
    default:
      return error
  }
}

/** Runs calls of the file system with their failures in our words. */
export function onDisk<T>(path: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw diskFailure(path, error)
  }
}

export class RealFile implements DiskFile {
  readonly path: string
  readonly #fd: number
  /** The second descriptor, for durable writes; 'none' where the file system has no direct writes. */
  #direct: number | 'unopened' | 'none' = 'unopened'
  /**
   * A failed sync says that something written before is lost, and says it once: the kernel marks those pages clean, so
   * the next sync would succeed. Therefore no later one may.
   */
  #syncFailure: unknown

  constructor(path: string, fd: number) {
    this.path = path
    this.#fd = fd
  }

  size(): number {
    return onDisk(this.path, () => fstatSync(this.#fd).size)
  }

  read(offset: number, length: number): Uint8Array {
    // Not zeroed first: every byte is read or this throws.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    let done = 0
    while (done < length) {
      const count = this.#readSome(bytes, done, length - done, offset + done)
      if (count === 0) throw new VolumeError('Corrupt', `${this.path} ends before ${offset + length}`)
      done += count
    }
    return bytes
  }

  write(offset: number, bytes: Uint8Array): void {
    onDisk(this.path, () => writeAll(this.#fd, offset, bytes, bytes.length))
  }

  writeDurable(offset: number, bytes: Uint8Array): void {
    invariant(
      isAligned(offset, bytes),
      () => `${this.path}: durable write of ${bytes.length} bytes at ${offset} unaligned`,
    )
    if (this.#syncFailure !== undefined) throw this.#syncFailure
    if (this.#direct === 'unopened') this.#direct = onDisk(this.path, () => openDirect(this.#fd))
    if (typeof this.#direct === 'number') {
      if (this.#writeDirect(this.#direct, offset, bytes)) return
      closeSync(this.#direct)
      this.#direct = 'none'
    }
    this.write(offset, bytes)
    this.#syncWith(fdatasyncSync)
  }

  allocate(length: number): void {
    const before = this.size()
    try {
      for (let at = 0; at < length; at += ZEROES.length) {
        writeAll(this.#fd, at, ZEROES, Math.min(ZEROES.length, length - at))
      }
    } catch (error) {
      giveBack(this.#fd, before)
      throw diskFailure(this.path, error)
    }
    this.sync()
  }

  sync(): void {
    if (this.#syncFailure !== undefined) throw this.#syncFailure
    this.#syncWith(fsyncSync)
  }

  close(): void {
    if (typeof this.#direct === 'number') closeSync(this.#direct)
    closeSync(this.#fd)
  }

  #readSome(bytes: Uint8Array, at: number, length: number, offset: number): number {
    for (;;) {
      try {
        return readSync(this.#fd, bytes, at, length, offset)
      } catch (error) {
        if (codeOf(error) !== 'EINTR') throw diskFailure(this.path, error)
      }
    }
  }

  /** False when direct writes are refused for this file after all. */
  #writeDirect(fd: number, offset: number, bytes: Uint8Array): boolean {
    try {
      writeAll(fd, offset, bytes, bytes.length)
      return true
    } catch (error) {
      if (codeOf(error) === 'EINVAL') return false
      const failure = diskFailure(this.path, error)
      // Without room nothing was accepted, so nothing that was accepted is lost.
      if (!(failure instanceof VolumeError && failure.code === 'DiskFull')) this.#syncFailure = failure
      throw failure
    }
  }

  #syncWith(sync: (fd: number) => void): void {
    try {
      sync(this.#fd)
    } catch (error) {
      const code = codeOf(error)
      // Room that is missing now was missing for bytes that were accepted before (network disks, quotas).
      const lost = code === 'EIO' || code === 'ENOSPC' || code === 'EDQUOT'
      this.#syncFailure = lost
        ? new VolumeError('Corrupt', `${this.path}: what was written before the sync is lost`, { cause: error })
        : error
      throw this.#syncFailure
    }
  }
}

/** A half reserved file is of no use, and others may need the room. */
function giveBack(fd: number, size: number): void {
  try {
    ftruncateSync(fd, size)
  } catch {
    // The failure that led here says more.
  }
}

/** By the descriptor, not the path: the file may have been renamed meanwhile. */
function openDirect(fd: number): number | 'none' {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDWR | constants.O_DIRECT | constants.O_DSYNC)
  } catch (error) {
    if (codeOf(error) === 'EINVAL') return 'none'
    throw error
  }
}

function writeAll(fd: number, offset: number, bytes: Uint8Array, length: number): void {
  let done = 0
  while (done < length) {
    try {
      done += writeSync(fd, bytes, done, length - done, offset + done)
    } catch (error) {
      if (codeOf(error) !== 'EINTR') throw error
    }
  }
}
