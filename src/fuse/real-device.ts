/**
 * A descriptor of /dev/fuse in the event loop: when it is readable, takes what is there, answers at once what can be.
 *
 * Hot path. The loop sleeps in epoll over this descriptor and the sockets of whoever serves the files, so that an
 * answer from the network needs no hop between threads, and nothing polls. Measured against a blocking thread and a
 * loop of short polls in `docs/decisions/0007-fuse-in-the-event-loop.md`.
 */
import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import type { FileOperations } from '../filesystem/file-operations.ts'
import { Answer } from './answer.ts'
import { ANSWER_BYTES, RECEIVE_BYTES } from './init.ts'
import { IN_HEADER_BYTES } from './kernel-abi.ts'
import { errno, errorName, libc, NativeBytes, ReadableWatch } from './real-libc.ts'
import { Request } from './request.ts'
import { FuseServer, type ServerOptions } from './server.ts'

const { EAGAIN, ECONNABORTED, EINTR, ENODEV, ENOENT, EPERM } = constants.errno

/** Taken in one turn of the event loop; more has to wait until sockets and timers had theirs. About half a millisecond. */
const REQUESTS_PER_TURN_MAX = 64

/** With so many requests waiting for promises no more are taken. */
const WAITING_MAX = 512

/** And with so many bytes of writes that wait: without a quorum they would fill the memory, a mebibyte each. */
const HELD_BYTES_MAX = 64 << 20

/** Buffers kept for writes that wait; more are left to the collector. */
const SPARE_BUFFERS_MAX = 32

export type EndReason =
  /** The last mount and the last open file are gone. */
  | 'unmounted'
  /** The kernel was told to end it (/sys/fs/fuse/connections/*\/abort). */
  | 'aborted'
  /** By `close`. */
  | 'closed'

export type DeviceOptions = Omit<ServerOptions, 'send' | 'answer' | 'onAnswered'> & { readonly waitingMax?: number }

interface ReceiveBuffer {
  readonly native: NativeBytes
  readonly request: Request
}

function receiveBuffer(): ReceiveBuffer {
  const native = new NativeBytes(RECEIVE_BYTES)
  return { native, request: new Request(native) }
}

export class FuseDevice {
  readonly server: FuseServer
  /** Kept when the kernel has no more requests, nor ever will. Until then the process stays alive. */
  readonly ended: Promise<EndReason>
  readonly #fd: number
  readonly #files: FileOperations
  readonly #answerBytes = new NativeBytes(ANSWER_BYTES)
  readonly #watch: ReadableWatch
  readonly #waitingMax: number
  readonly #onFailure: (what: string, error: unknown) => void
  readonly #spare: ReceiveBuffer[] = []
  readonly #end: (reason: EndReason) => void
  #buffer = receiveBuffer()
  /** Of the writes that wait. */
  #heldBytes = 0
  #state: 'serving' | 'full' | 'leaving' | 'ended' = 'serving'
  #onLeft: () => void = () => {}

  /** Takes over the descriptor, which has to be non-blocking. */
  constructor(fd: number, { waitingMax = WAITING_MAX, ...options }: DeviceOptions) {
    const { promise, resolve } = Promise.withResolvers<EndReason>()
    this.ended = promise
    this.#end = resolve
    this.#fd = fd
    this.#files = options.files
    this.#waitingMax = waitingMax
    this.#onFailure = options.onFailure ?? (() => {})
    const answer = new Answer(this.#answerBytes)
    this.server = new FuseServer({
      ...options,
      answer,
      send: ({ length }) => this.#send(length),
      onAnswered: () => this.#onAnswered(),
    })
    this.#watch = new ReadableWatch(fd, () => this.#turn())
    if ((options.generation ?? 0) > 0) {
      answer.resend()
      this.#send(answer.length)
    }
    this.#watch.start()
  }

  /** Ends the service; what waits is answered by ENOTCONN when nobody else holds the descriptor. */
  close(): void {
    this.#finish('closed')
  }

  /**
   * Takes no more requests, answers those it has, makes everything durable and closes the descriptor: whoever else holds
   * it can give it to another server, which loses nothing.
   */
  async leave(): Promise<void> {
    if (this.#state === 'ended') return
    this.#watch.stop()
    this.#state = 'leaving'
    if (this.server.waiting > 0) await new Promise<void>((resolve) => (this.#onLeft = resolve))
    await this.#files.fsync()
    this.#finish('closed')
  }

  #turn(): void {
    for (let taken = 0; taken < REQUESTS_PER_TURN_MAX && this.#state === 'serving'; taken++) {
      const length = libc.read(this.#fd, this.#buffer.native.address, RECEIVE_LENGTH)
      if (length < 0) {
        if (!this.#goesOn(errno())) return
      } else this.#take(length)
      if (this.#isFull) {
        this.#state = 'full'
        this.#watch.stop()
      }
    }
  }

  get #isFull(): boolean {
    return this.server.waiting >= this.#waitingMax || this.#heldBytes >= HELD_BYTES_MAX
  }

  /** After a read that brought nothing: whether there may be more. */
  #goesOn(why: number): boolean {
    if (why === EAGAIN) return false
    // The request was given up by its caller while it was being read.
    if (why === ENOENT || why === EINTR) return true
    if (why === ENODEV) this.#finish('unmounted')
    else if (why === ECONNABORTED) this.#finish('aborted')
    else throw new Error(`reading from /dev/fuse: ${errorName(why)}`)
    return false
  }

  #take(length: number): void {
    const buffer = this.#buffer
    try {
      buffer.request.receive(length)
    } catch (error) {
      if (length < IN_HEADER_BYTES) throw error
      this.server.refuse(buffer.request, error)
      return
    }
    const kept = this.server.handle(buffer.request)
    if (kept === undefined) return
    this.#buffer = this.#spare.pop() ?? receiveBuffer()
    this.#heldBytes += length
    void kept.then(() => {
      this.#heldBytes -= length
      if (this.#spare.length < SPARE_BUFFERS_MAX) this.#spare.push(buffer)
      this.#takeAgain()
    })
  }

  #send(length: number): void {
    if (this.#state === 'ended') return
    if (libc.write(this.#fd, this.#answerBytes.address, BigInt(length)) >= 0) return
    const why = errno()
    // ENOENT: its caller was killed meanwhile. The others: the connection is over, which the next read says, too.
    if (why === ENOENT || why === ENODEV || why === EPERM || why === ECONNABORTED) return
    this.#onFailure('an answer', new Error(`the kernel refused it: ${errorName(why)}`))
  }

  #onAnswered(): void {
    if (this.#state === 'leaving' && this.server.waiting === 0) this.#onLeft()
    this.#takeAgain()
  }

  #takeAgain(): void {
    if (this.#state !== 'full' || this.#isFull) return
    this.#state = 'serving'
    this.#watch.start()
  }

  #finish(reason: EndReason): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#watch.close()
    closeSync(this.#fd)
    this.#end(reason)
  }
}

const RECEIVE_LENGTH = BigInt(RECEIVE_BYTES)
