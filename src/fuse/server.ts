/**
 * Answers the kernel's requests from a file system. Knows no descriptor: a message comes in, answers go out through
 * `send`, at once or when the file system's promise is kept.
 *
 * A new server must be able to go on where another died, so nothing is remembered about nodes and handles: a node's
 * number is its inode's, a handle is the generation of the server that opened it (`inherited-files.ts`).
 *
 * Hot path: READ and WRITE that the file system answers at once make no promise and no closure. Measured with
 * `npm run bench -- fuse`.
 */
import { constants } from 'node:os'
import {
  type Attributes,
  type ByteName,
  type FileOperations,
  FileType,
  type Ino,
  type Statistics,
} from '../filesystem/file-operations.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { type Answer, entriesMax } from './answer.ts'
import { type AnswerWhen, after, type Eventual, settled } from './eventual.ts'
import { InheritedFiles } from './inherited-files.ts'
import { negotiate } from './init.ts'
import {
  Opcode,
  OpenAnswer,
  OpenFlag,
  opcodeName,
  UNIQUE_RESEND_HIGH,
  WRITE_CACHE,
  WRITE_KILL_PRIVILEGES,
} from './kernel-abi.ts'
import { NameRequests } from './name-requests.ts'
import { type PageBytesOf, PageWrites } from './page-writes.ts'
import type { Request } from './request.ts'
import { allocateMode, attributeChange, Refused } from './request-values.ts'
import { WritePrivileges } from './write-privileges.ts'

const { EIO, ENOSYS, EPROTO } = constants.errno

/**
 * How long the kernel may believe names and attributes without asking: nobody else changes them. A week, since a large
 * number times the kernel's ticks must not overflow anywhere.
 */
const VALID_SECONDS = 7 * 86_400

export interface ServerOptions {
  readonly files: FileOperations
  /** How an answer gets to the kernel, before `send` returns. */
  readonly send: (answer: Answer) => void
  readonly answer: Answer
  /** 0 for the first server of a mount; each that takes over from another has one more. */
  readonly generation?: number
  /** Files without a name that may be open since before this server: each opened once in `files` by who attached it. */
  readonly inherited?: Iterable<Ino>
  /** @defaultValue 'done' */
  readonly answerWhen?: AnswerWhen
  /** Files that are only written in whole pages. */
  readonly pageBytesOf?: PageBytesOf
  /** Whether a regular file bypasses the kernel's page cache. @defaultValue all do */
  readonly isDirect?: (file: Ino) => boolean
  /** Nodes that change without the kernel: nothing of them is remembered by it. */
  readonly isVolatile?: (file: Ino) => boolean
  /** One that waited has been answered. */
  readonly onAnswered?: () => void
  /** A request that failed with EIO, or in a way that no request should. */
  readonly onFailure?: (what: string, error: unknown) => void
}

type Encode<T> = (low: number, high: number, value: T) => void
type Handler = (request: Request, low: number, high: number) => void

export interface ServerCounts {
  requests: number
  /** Answered later than at once. */
  waited: number
  /** Were given to an earlier server, too. */
  resent: number
}

export class FuseServer {
  readonly counts: ServerCounts = { requests: 0, waited: 0, resent: 0 }
  readonly pageWrites: PageWrites
  readonly #options: ServerOptions
  readonly #files: FileOperations
  readonly #answer: Answer
  readonly #generation: number
  readonly #inherited: InheritedFiles | undefined
  readonly #names: NameRequests
  readonly #privileges: WritePrivileges
  readonly #answerWhen: AnswerWhen
  readonly #table: readonly (Handler | undefined)[]
  #waiting = 0

  readonly #done: Encode<unknown> = (low, high) => this.#answer.done(low, high)
  readonly #entry: Encode<Attributes> = (low, high, value) => {
    this.#privileges.note(value)
    this.#answer.entry(low, high, value, this.#validSeconds(value.ino))
  }
  readonly #attributes: Encode<Attributes> = (low, high, value) => {
    this.#privileges.note(value)
    this.#answer.attributes(low, high, value, this.#validSeconds(value.ino))
  }
  readonly #target: Encode<ByteName> = (low, high, value) => this.#answer.target(low, high, value)
  readonly #space: Encode<Statistics> = (low, high, value) => this.#answer.space(low, high, value)
  readonly #data: Encode<Uint8Array> = (low, high, value) => this.#answer.data(low, high, value)
  readonly #written: Encode<number> = (low, high, value) => this.#answer.written(low, high, value)
  readonly #created: Encode<Attributes> = (low, high, value) => {
    this.#privileges.note(value)
    const valid = this.#validSeconds(value.ino)
    this.#answer.created(low, high, value, valid, this.#generation, this.#openFlags(value))
  }
  readonly #opened: Encode<Attributes> = (low, high, value) =>
    this.#answer.opened(low, high, this.#generation, this.#openFlags(value))

  constructor(options: ServerOptions) {
    this.#options = options
    this.#files = options.files
    this.#answer = options.answer
    this.#generation = options.generation ?? 0
    this.#answerWhen = options.answerWhen ?? 'done'
    this.#inherited = this.#generation > 0 ? new InheritedFiles(options.files, options.inherited ?? []) : undefined
    this.#names = new NameRequests(options.files, this.#inherited)
    this.#privileges = new WritePrivileges(options.files)
    this.pageWrites = new PageWrites(options.pageBytesOf)
    this.#table = this.#handlers()
  }

  /** Requests whose promises are not kept yet. */
  get waiting(): number {
    return this.#waiting
  }

  /**
   * Takes one message. Answers a promise when the request's bytes are still needed, until it is kept; else the buffer
   * may be used again. Never throws or rejects because of the request or the file system.
   */
  handle(request: Request): Promise<void> | undefined {
    const { uniqueLow: low, uniqueHigh: high, opcode } = request
    this.counts.requests++
    if (high >= UNIQUE_RESEND_HIGH) this.counts.resent++
    try {
      if (opcode === Opcode.WRITE) return this.#write(request, low, high)
      if (opcode === Opcode.READ) {
        this.#reply(opcode, low, high, this.#files.read(request.node, request.offset, request.size), this.#data)
        return undefined
      }
      const handler = this.#table[opcode]
      if (handler !== undefined) handler(request, low, high)
      else {
        // Remembered by the kernel, which then does without: extended attributes, flush, poll, ioctl, copies by the
        // server, seeking for holes, temporary files without a name.
        this.#answer.failed(low, high, ENOSYS)
        this.#send()
      }
    } catch (error) {
      this.#fail(opcode, low, high, error)
    }
    return undefined
  }

  /** A message that could not be read. */
  refuse(request: Request, error: unknown): void {
    this.#fail(request.opcode, request.uniqueLow, request.uniqueHigh, error)
  }

  #write(request: Request, low: number, high: number): Promise<void> | undefined {
    const { node, offset, data, writeFlags } = request
    const isSynchronous = request.isSynchronous || this.#answerWhen === 'durable'
    const count = this.pageWrites.allow(node, offset, data.length, (writeFlags & WRITE_CACHE) !== 0)
    if (count === 0 && data.length > 0) {
      throw new FsError('EIO', `inode ${node}: ${data.length} bytes at ${offset} are no whole pages`)
    }
    const allowed = count < data.length ? data.subarray(0, count) : data
    const dropped = (writeFlags & WRITE_KILL_PRIVILEGES) === 0 ? undefined : this.#privileges.drop(node)
    const written =
      dropped === undefined
        ? this.#files.write(node, offset, allowed)
        : dropped.then(() => this.#files.write(node, offset, allowed))
    if (!(written instanceof Promise)) {
      if (isSynchronous) this.#reply(Opcode.WRITE, low, high, this.#durable(written), this.#written)
      else {
        this.#answer.written(low, high, written)
        this.#send()
      }
      return undefined
    }
    this.#reply(Opcode.WRITE, low, high, isSynchronous ? written.then((n) => this.#durable(n)) : written, this.#written)
    return written.then(nothing, nothing)
  }

  /** The same answer, when everything until now is durable. */
  #durable<T>(value: T): Eventual<T> {
    return after(this.#files.fsync(), () => value)
  }

  /** By opcode. What is not here is answered ENOSYS. */
  #handlers(): Handler[] {
    const files = this.#files
    const names = this.#names
    const table: Handler[] = []
    table[Opcode.LOOKUP] = (request, low, high) => this.#lookup(request, low, high)
    table[Opcode.FORGET] = ({ node }) => this.#forget(node)
    table[Opcode.BATCH_FORGET] = (request) => {
      for (let index = 0; index < request.forgottenCount; index++) this.#forget(request.forgottenNode(index))
    }
    const answers = <T>(opcode: number, ask: (request: Request) => Eventual<T>, encode: Encode<T>) => {
      table[opcode] = (request, low, high) => this.#reply(opcode, low, high, ask(request), encode)
    }
    const changes = <T>(opcode: number, change: (request: Request) => Eventual<T>, encode: Encode<T>) =>
      answers(opcode, (request) => settled(files, this.#answerWhen, change(request)), encode)

    answers(Opcode.GETATTR, ({ node }) => files.getattr(node), this.#attributes)
    answers(Opcode.READLINK, ({ node }) => files.readlink(node), this.#target)
    answers(Opcode.STATFS, () => files.statfs(), this.#space)
    for (const opcode of [Opcode.FSYNC, Opcode.FSYNCDIR, Opcode.SYNCFS]) {
      answers(opcode, () => files.fsync(), this.#done)
    }
    answers(Opcode.OPENDIR, ({ node }) => this.#open(node, false), this.#opened)
    const truncates = (request: Request) => (request.openFlags & OpenFlag.TRUNC) !== 0
    answers(
      Opcode.OPEN,
      (request) => (truncates(request) ? this.#openEmpty(request) : this.#open(request.node, false)),
      this.#opened,
    )
    for (const opcode of [Opcode.RELEASE, Opcode.RELEASEDIR]) {
      // A handle of an earlier server was not opened in our file system.
      answers(opcode, ({ node, handle }) => (handle === this.#generation ? files.release(node) : undefined), this.#done)
    }
    table[Opcode.READDIR] = ({ node, offset, size }, low, high) => {
      this.#answer.entries(low, high, files.readdir(node, offset, entriesMax(size)), size)
      this.#send()
    }

    changes(Opcode.SETATTR, (request) => files.setattr(request.node, attributeChange(request)), this.#attributes)
    changes(Opcode.SYMLINK, (request) => names.symlink(request), this.#entry)
    changes(Opcode.MKNOD, (request) => names.mknod(request), this.#entry)
    changes(Opcode.MKDIR, (request) => names.mkdir(request), this.#entry)
    changes(Opcode.LINK, (request) => names.link(request), this.#entry)
    changes(Opcode.CREATE, (request) => names.create(request), this.#created)
    changes(Opcode.UNLINK, (request) => names.unlink(request), this.#done)
    changes(Opcode.RMDIR, (request) => names.rmdir(request), this.#done)
    changes(Opcode.RENAME, (request) => names.rename(request), this.#done)
    changes(Opcode.RENAME2, (request) => names.rename2(request), this.#done)
    changes(
      Opcode.FALLOCATE,
      (request) =>
        files.fallocate(request.node, allocateMode(request.allocateMode), request.offset, request.allocateLength),
      this.#done,
    )

    table[Opcode.INIT] = (request, low, high) => this.#init(request, low, high)
    table[Opcode.DESTROY] = (_request, low, high) => {
      this.#answer.done(low, high)
      this.#send()
    }
    // What waits, waits for durability: an engine that is told EINTR instead takes its disk for broken. A client that
    // has to die is freed by closing the descriptor.
    table[Opcode.INTERRUPT] = () => {}
    return table
  }

  #openEmpty({ node, uid }: Request): Eventual<Attributes> {
    const dropped = uid === 0 ? undefined : this.#privileges.drop(node)
    return settled(
      this.#files,
      this.#answerWhen,
      after(dropped, () => this.#open(node, true)),
    )
  }

  #open(node: Ino, truncates: boolean): Eventual<Attributes> {
    return after(this.#files.open(node, truncates), () => this.#files.getattr(node))
  }

  #lookup(request: Request, low: number, high: number): void {
    try {
      this.#entry(low, high, this.#files.lookup(request.node, request.name(0)))
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== 'ENOENT') throw error
      // Remembered as well: PostgreSQL looks for files that are not there all the time.
      this.#answer.entry(low, high, undefined, this.#validSeconds(request.node))
    }
    this.#send()
  }

  #forget(node: Ino): void {
    const forgotten = this.#inherited?.forget(node)
    if (forgotten instanceof Promise) forgotten.catch((error: unknown) => this.#options.onFailure?.('FORGET', error))
  }

  #init(request: Request, low: number, high: number): void {
    const negotiation = negotiate(request)
    if (negotiation.outcome === 'too-old') {
      this.#options.onFailure?.('INIT', new Error(`the kernel's FUSE is ${negotiation.version}, which is too old`))
      this.#answer.failed(low, high, EPROTO)
    } else this.#answer.init(low, high, negotiation.terms)
    this.#send()
  }

  #validSeconds(node: Ino): number {
    return this.#options.isVolatile?.(node) === true ? 0 : VALID_SECONDS
  }

  #openFlags({ ino, mode }: Attributes): number {
    if ((mode & FileType.MASK) !== FileType.REGULAR) return 0
    const { isDirect, isVolatile, pageBytesOf } = this.#options
    // The page cache splits writes of pages whose source is not mapped, and hides changes that are not the kernel's.
    const direct = (isDirect?.(ino) ?? true) || pageBytesOf?.(ino) !== undefined || isVolatile?.(ino) === true
    if (!direct) return OpenAnswer.NOFLUSH | OpenAnswer.KEEP_CACHE
    return OpenAnswer.NOFLUSH | OpenAnswer.DIRECT_IO | OpenAnswer.PARALLEL_DIRECT_WRITES
  }

  #reply<T>(opcode: number, low: number, high: number, value: Eventual<T>, encode: Encode<T>): void {
    if (!(value instanceof Promise)) {
      encode(low, high, value)
      this.#send()
      return
    }
    this.#waiting++
    this.counts.waited++
    value
      .then((answer) => {
        encode(low, high, answer)
        this.#send()
      })
      .catch((error: unknown) => this.#fail(opcode, low, high, error))
      .finally(() => {
        this.#waiting--
        this.#options.onAnswered?.()
      })
  }

  #fail(opcode: number, low: number, high: number, error: unknown): void {
    const errno = error instanceof FsError || error instanceof Refused ? error.errno : EIO
    if (errno === EIO) this.#options.onFailure?.(opcodeName(opcode), error)
    // These are answered by nothing, not even by a failure.
    if (opcode === Opcode.FORGET || opcode === Opcode.BATCH_FORGET || opcode === Opcode.INTERRUPT) return
    this.#answer.failed(low, high, errno)
    this.#send()
  }

  #send(): void {
    this.#options.send(this.#answer)
  }
}

function nothing(): void {}
