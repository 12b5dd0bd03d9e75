/**
 * Answers to the kernel, built one at a time in one buffer and written at once.
 *
 * Hot path: `data` and `written` are what nearly every request of a database ends in; they set words and copy, nothing
 * else.
 */
import type { Attributes, ByteName, DirectoryEntry, Statistics, Timestamp } from '../filesystem/file-operations.ts'
import {
  ATTR_OUT_BYTES,
  DIRENT_HEADER_BYTES,
  ENTRY_OUT_BYTES,
  INIT_OUT_BYTES,
  NOTIFY_RESEND,
  OPEN_OUT_BYTES,
  OUT_HEADER_BYTES,
  STATFS_OUT_BYTES,
} from './kernel-abi.ts'
import type { ReceivedBytes } from './request.ts'

const TWO_32 = 2 ** 32
const BODY = OUT_HEADER_BYTES

/** What stat(2) shows as the best size of a read or write: a page of PostgreSQL. */
const PREFERRED_BYTES = 8192

const direntBytes = (nameBytes: number): number => (DIRENT_HEADER_BYTES + nameBytes + 7) & ~7

/** So many entries fit into the room at most. */
export const entriesMax = (roomBytes: number): number => Math.ceil(roomBytes / direntBytes(1))

export interface Negotiated {
  readonly major: number
  readonly minor: number
  readonly readAheadBytes: number
  readonly flags: number
  readonly flags2: number
  readonly backgroundMax: number
  readonly congestionThreshold: number
  readonly writeBytesMax: number
  readonly pagesMax: number
}

export class Answer {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly #view: DataView<ArrayBuffer>
  readonly #buffer: Buffer
  #length = 0

  constructor({ bytes, view }: ReceivedBytes) {
    this.bytes = bytes
    this.#view = view
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** Bytes to write. */
  get length(): number {
    return this.#length
  }

  #u32(at: number, value: number): void {
    this.#view.setUint32(at, value, true)
  }

  #u64(at: number, value: number): void {
    this.#view.setUint32(at, value >>> 0, true)
    this.#view.setUint32(at + 4, Math.floor(value / TWO_32), true)
  }

  #begin(low: number, high: number, bodyBytes: number, error = 0): void {
    this.#length = OUT_HEADER_BYTES + bodyBytes
    this.#u32(0, this.#length)
    this.#view.setInt32(4, error, true)
    this.#u32(8, low)
    this.#u32(12, high)
  }

  /** Done, and nothing to tell. */
  done(low: number, high: number): void {
    this.#begin(low, high, 0)
  }

  /** `errno` as in C, positive. */
  failed(low: number, high: number, errno: number): void {
    this.#begin(low, high, 0, -errno)
  }

  written(low: number, high: number, count: number): void {
    this.#begin(low, high, 8)
    this.#u32(BODY, count)
    this.#u32(BODY + 4, 0)
  }

  data(low: number, high: number, data: Uint8Array): void {
    this.#begin(low, high, data.length)
    this.bytes.set(data, BODY)
  }

  target(low: number, high: number, target: ByteName): void {
    this.#begin(low, high, this.#buffer.write(target, BODY, 'latin1'))
  }

  opened(low: number, high: number, handle: number, flags: number): void {
    this.#begin(low, high, OPEN_OUT_BYTES)
    this.#openOut(BODY, handle, flags)
  }

  attributes(low: number, high: number, attributes: Attributes, validSeconds: number): void {
    this.#begin(low, high, ATTR_OUT_BYTES)
    this.#u64(BODY, validSeconds)
    this.#u64(BODY + 8, 0)
    this.#attr(BODY + 16, attributes)
  }

  /** A name's node; undefined that there is none, which the kernel may remember as well. */
  entry(low: number, high: number, attributes: Attributes | undefined, validSeconds: number): void {
    this.#begin(low, high, ENTRY_OUT_BYTES)
    this.#entryOut(attributes, validSeconds)
  }

  created(
    low: number,
    high: number,
    attributes: Attributes,
    validSeconds: number,
    handle: number,
    flags: number,
  ): void {
    this.#begin(low, high, ENTRY_OUT_BYTES + OPEN_OUT_BYTES)
    this.#entryOut(attributes, validSeconds)
    this.#openOut(BODY + ENTRY_OUT_BYTES, handle, flags)
  }

  #openOut(at: number, handle: number, flags: number): void {
    this.#u64(at, handle)
    this.#u32(at + 8, flags)
    this.#u32(at + 12, 0)
  }

  #entryOut(attributes: Attributes | undefined, validSeconds: number): void {
    this.#u64(BODY, attributes?.ino ?? 0)
    this.#u64(BODY + 8, attributes?.generation ?? 0)
    this.#u64(BODY + 16, validSeconds)
    this.#u64(BODY + 24, validSeconds)
    this.#u64(BODY + 32, 0)
    if (attributes === undefined) this.bytes.fill(0, BODY + 40, BODY + ENTRY_OUT_BYTES)
    else this.#attr(BODY + 40, attributes)
  }

  #attr(at: number, { ino, size, blocks, atime, mtime, ctime, mode, links, uid, gid, rdev }: Attributes): void {
    this.#u64(at, ino)
    this.#u64(at + 8, size)
    this.#u64(at + 16, blocks)
    this.#time(at + 24, at + 48, atime)
    this.#time(at + 32, at + 52, mtime)
    this.#time(at + 40, at + 56, ctime)
    this.#u32(at + 60, mode)
    this.#u32(at + 64, links)
    this.#u32(at + 68, uid)
    this.#u32(at + 72, gid)
    this.#u32(at + 76, rdev)
    this.#u32(at + 80, PREFERRED_BYTES)
    this.#u32(at + 84, 0)
  }

  #time(secondsAt: number, nanosecondsAt: number, { seconds, nanoseconds }: Timestamp): void {
    this.#view.setUint32(secondsAt, seconds % TWO_32, true)
    this.#view.setInt32(secondsAt + 4, Math.floor(seconds / TWO_32), true)
    this.#u32(nanosecondsAt, nanoseconds)
  }

  space(low: number, high: number, { blockBytes, blocks, blocksFree, files, filesFree, nameBytesMax }: Statistics) {
    this.#begin(low, high, STATFS_OUT_BYTES)
    this.bytes.fill(0, BODY, BODY + STATFS_OUT_BYTES)
    this.#u64(BODY, blocks)
    this.#u64(BODY + 8, blocksFree)
    this.#u64(BODY + 16, blocksFree)
    this.#u64(BODY + 24, files)
    this.#u64(BODY + 32, filesFree)
    this.#u32(BODY + 40, blockBytes)
    this.#u32(BODY + 44, nameBytesMax)
    this.#u32(BODY + 48, blockBytes)
  }

  /** As many of the entries as fit into what the kernel has room for. */
  entries(low: number, high: number, entries: readonly DirectoryEntry[], roomBytes: number): void {
    const end = BODY + Math.min(roomBytes, this.bytes.length - BODY)
    let at = BODY
    for (const { name, ino, type, cookie } of entries) {
      const after = at + direntBytes(name.length)
      if (after > end) break
      this.#u64(at, ino)
      this.#u64(at + 8, cookie)
      this.#u32(at + 16, name.length)
      // As in readdir(3): the type's bits of the mode, moved to the right.
      this.#u32(at + 20, type >>> 12)
      this.#buffer.write(name, at + DIRENT_HEADER_BYTES, 'latin1')
      this.bytes.fill(0, at + DIRENT_HEADER_BYTES + name.length, after)
      at = after
    }
    this.#begin(low, high, at - BODY)
  }

  init(low: number, high: number, negotiated: Negotiated): void {
    this.#begin(low, high, INIT_OUT_BYTES)
    this.bytes.fill(0, BODY, BODY + INIT_OUT_BYTES)
    this.#u32(BODY, negotiated.major)
    this.#u32(BODY + 4, negotiated.minor)
    this.#u32(BODY + 8, negotiated.readAheadBytes)
    this.#u32(BODY + 12, negotiated.flags)
    this.#view.setUint16(BODY + 16, negotiated.backgroundMax, true)
    this.#view.setUint16(BODY + 18, negotiated.congestionThreshold, true)
    this.#u32(BODY + 20, negotiated.writeBytesMax)
    // Times are exact to the nanosecond.
    this.#u32(BODY + 24, 1)
    this.#view.setUint16(BODY + 28, negotiated.pagesMax, true)
    this.#u32(BODY + 32, negotiated.flags2)
  }

  /** Asks the kernel for everything again that was given to a server and never answered. */
  resend(): void {
    this.#begin(0, 0, 0, NOTIFY_RESEND)
  }
}
