/**
 * One message of the kernel, read where it was received. Which fields there are depends on the opcode; a getter reads
 * what stands at its place, so ask only for what the opcode has.
 *
 * Hot path: one object per receive buffer, used again for each message; no objects are made but names. Numbers of 64
 * bits become JavaScript numbers: exact to 2^53, and what is beyond is beyond every limit of a file system too.
 */
import { type ByteName, type Ino, ino, type Timestamp } from '../filesystem/file-operations.ts'
import { BATCH_FORGET_ENTRY_BYTES, IN_HEADER_BYTES, Opcode, OpenFlag, WRITE_DATA_AT } from './kernel-abi.ts'

const TWO_32 = 2 ** 32
const BODY = IN_HEADER_BYTES

/** What the kernel sent is not what its opcode has. */
export class MalformedRequest extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MalformedRequest'
  }
}

export interface ReceivedBytes {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView<ArrayBuffer>
}

/** At least this many bytes behind the header; names come on top. Opcodes that are not here have nothing or are refused. */
const BODY_BYTES_MIN = new Map<number, number>([
  [Opcode.LOOKUP, 2],
  [Opcode.FORGET, 8],
  [Opcode.GETATTR, 16],
  [Opcode.SETATTR, 88],
  [Opcode.SYMLINK, 4],
  [Opcode.MKNOD, 18],
  [Opcode.MKDIR, 10],
  [Opcode.UNLINK, 2],
  [Opcode.RMDIR, 2],
  [Opcode.RENAME, 12],
  [Opcode.LINK, 10],
  [Opcode.OPEN, 8],
  [Opcode.READ, 40],
  [Opcode.WRITE, 40],
  [Opcode.RELEASE, 24],
  [Opcode.FSYNC, 16],
  [Opcode.FLUSH, 24],
  [Opcode.INIT, 16],
  [Opcode.OPENDIR, 8],
  [Opcode.READDIR, 40],
  [Opcode.RELEASEDIR, 24],
  [Opcode.FSYNCDIR, 16],
  [Opcode.CREATE, 18],
  [Opcode.INTERRUPT, 8],
  [Opcode.BATCH_FORGET, 8],
  [Opcode.FALLOCATE, 32],
  [Opcode.RENAME2, 20],
  [Opcode.LSEEK, 24],
])

export class Request {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView<ArrayBuffer>
  readonly #buffer: Buffer
  #length = 0

  constructor({ bytes, view }: ReceivedBytes) {
    this.bytes = bytes
    this.view = view
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** A message of this length is in the buffer now. */
  receive(length: number): void {
    this.#length = length
    if (length < IN_HEADER_BYTES || this.#u32(0) !== length) {
      throw new MalformedRequest(`${length} bytes came, the header says ${length < 4 ? 'nothing' : this.#u32(0)}`)
    }
    const least = BODY_BYTES_MIN.get(this.opcode) ?? 0
    if (length < BODY + least) throw new MalformedRequest(`opcode ${this.opcode} with ${length} bytes`)
  }

  #u32(at: number): number {
    return this.view.getUint32(at, true)
  }

  #u64(at: number): number {
    return this.view.getUint32(at, true) + this.view.getUint32(at + 4, true) * TWO_32
  }

  get length(): number {
    return this.#length
  }
  get opcode(): number {
    return this.#u32(4)
  }
  get uniqueLow(): number {
    return this.#u32(8)
  }
  get uniqueHigh(): number {
    return this.#u32(12)
  }
  get node(): Ino {
    return ino(this.#u64(16))
  }
  get uid(): number {
    return this.#u32(24)
  }
  get gid(): number {
    return this.#u32(28)
  }
  get pid(): number {
    return this.#u32(32)
  }

  // READ, READDIR, WRITE, LSEEK, FALLOCATE, RELEASE, FSYNC: a handle first
  get handle(): number {
    return this.#u64(BODY)
  }
  get offset(): number {
    return this.#u64(BODY + 8)
  }
  /** Of READ, READDIR, WRITE. */
  get size(): number {
    return this.#u32(BODY + 16)
  }
  /** Of WRITE. */
  get writeFlags(): number {
    return this.#u32(BODY + 20)
  }
  /** Of WRITE: the flags of the open file now. */
  get fileFlags(): number {
    return this.#u32(BODY + 32)
  }
  /** Of WRITE: only durable is done. */
  get isSynchronous(): boolean {
    return (this.fileFlags & (OpenFlag.DSYNC | OpenFlag.SYNC_ALONE)) !== 0
  }
  /** Of WRITE: a view of the receive buffer. */
  get data(): Uint8Array<ArrayBuffer> {
    const end = WRITE_DATA_AT + this.size
    if (end > this.#length) throw new MalformedRequest(`a write of ${this.size} bytes in a message of ${this.#length}`)
    return this.bytes.subarray(WRITE_DATA_AT, end)
  }
  get whence(): number {
    return this.#u32(BODY + 16)
  }
  get allocateLength(): number {
    return this.#u64(BODY + 16)
  }
  get allocateMode(): number {
    return this.#u32(BODY + 24)
  }

  // OPEN, OPENDIR, CREATE, MKNOD, MKDIR
  get openFlags(): number {
    return this.#u32(BODY)
  }
  /** Of MKNOD and MKDIR; the umask is applied already. */
  get mode(): number {
    return this.#u32(BODY)
  }
  get createMode(): number {
    return this.#u32(BODY + 4)
  }
  /** Of MKNOD. */
  get device(): number {
    return this.#u32(BODY + 4)
  }

  // FORGET, INTERRUPT, LINK, RENAME, RENAME2
  get lookups(): number {
    return this.#u64(BODY)
  }
  get interruptedLow(): number {
    return this.#u32(BODY)
  }
  get interruptedHigh(): number {
    return this.#u32(BODY + 4)
  }
  get linkedNode(): Ino {
    return ino(this.#u64(BODY))
  }
  get newParent(): Ino {
    return ino(this.#u64(BODY))
  }
  get renameFlags(): number {
    return this.#u32(BODY + 8)
  }

  /** How many nodes a BATCH_FORGET names. */
  get forgottenCount(): number {
    return Math.min(this.#u32(BODY), Math.floor((this.#length - BODY - 8) / BATCH_FORGET_ENTRY_BYTES))
  }
  forgottenNode(index: number): Ino {
    return ino(this.#u64(BODY + 8 + index * BATCH_FORGET_ENTRY_BYTES))
  }
  forgottenLookups(index: number): number {
    return this.#u64(BODY + 16 + index * BATCH_FORGET_ENTRY_BYTES)
  }

  // SETATTR
  get valid(): number {
    return this.#u32(BODY)
  }
  get newSize(): number {
    return this.#u64(BODY + 16)
  }
  time(which: 'access' | 'modify'): Timestamp {
    const index = which === 'access' ? 0 : 1
    const at = BODY + 32 + 8 * index
    const seconds = this.#u32(at) + this.view.getInt32(at + 4, true) * TWO_32
    return { seconds, nanoseconds: this.#u32(BODY + 56 + 4 * index) }
  }
  get newMode(): number {
    return this.#u32(BODY + 68)
  }
  get newUid(): number {
    return this.#u32(BODY + 76)
  }
  get newGid(): number {
    return this.#u32(BODY + 80)
  }

  // INIT
  get major(): number {
    return this.#u32(BODY)
  }
  get minor(): number {
    return this.#u32(BODY + 4)
  }
  get readAheadBytes(): number {
    return this.#u32(BODY + 8)
  }
  get initFlags(): number {
    return this.#u32(BODY + 12)
  }
  get initFlags2(): number {
    return this.#length >= BODY + 20 ? this.#u32(BODY + 16) : 0
  }

  /** The zero-terminated name that stands at this place of the body. */
  name(at: number): ByteName {
    const start = BODY + at
    const end = this.#buffer.indexOf(0, start)
    if (end < start || end >= this.#length) throw new MalformedRequest(`opcode ${this.opcode}: a name without its end`)
    return this.#buffer.toString('latin1', start, end)
  }

  /** Two names, one behind the other. */
  names(at: number): readonly [ByteName, ByteName] {
    const first = BODY + at
    const firstEnd = this.#buffer.indexOf(0, first)
    const secondEnd = firstEnd < 0 ? -1 : this.#buffer.indexOf(0, firstEnd + 1)
    if (secondEnd < 0 || secondEnd >= this.#length) {
      throw new MalformedRequest(`opcode ${this.opcode}: two names without their ends`)
    }
    return [this.#buffer.toString('latin1', first, firstEnd), this.#buffer.toString('latin1', firstEnd + 1, secondEnd)]
  }
}
