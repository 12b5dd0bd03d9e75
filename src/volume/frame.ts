/**
 * Frames: the records of one group as one APPEND, built in place and sent to all its members as the same bytes. Hot
 * path: no copy but that of the payload, and no memory of its own for each frame. Measured (`npm run bench -- volume`,
 * streaming): buffers that grew with each frame were a quarter of the driver's time, half of that in the collector.
 */
import type { Lsn } from '../protocol/lsn.ts'
import { APPEND_HEADER_BYTES } from '../protocol/message.ts'

/** A frame that was sent and is kept until a write quorum has it. */
export interface Frame {
  /** The record before its first. */
  readonly after: Lsn
  readonly last: Lsn
  readonly message: Uint8Array
}

/** Larger frames are cut: a node logs and answers a frame whole. */
export const FRAME_BYTES_MAX = 1024 * 1024

/** Cut up into frames, one behind the other; given back when the last frame in it is. */
const SLAB_BYTES = 1024 * 1024
/** Room that a frame asks for at first: for a small change of the largest block. */
const ROOM_BYTES_MIN = 16 * 1024

/** Where frames are built: all those of a writer, so that a volume of many groups does not hold a slab for each. */
export class FrameMemory {
  #slab = new Uint8Array(0)
  #used = 0

  /** Room for a frame that is to be built. */
  take(bytes: number): Uint8Array {
    // Not zeroed: only what was written to it is sent.
    if (this.#used + bytes > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes))
      this.#used = 0
    }
    const room = this.#slab.subarray(this.#used, this.#used + bytes)
    this.#used += bytes
    return room
  }

  /** Takes back the end of `room`, behind `length`, if nothing was taken since. */
  trim(room: Uint8Array, length: number): void {
    const end = room.byteOffset + room.length
    if (room.buffer !== this.#slab.buffer || end !== this.#slab.byteOffset + this.#used) return
    // Blocks are compared, and words read, at multiples of eight.
    this.#used -= room.length - Math.min(room.length, (length + 7) & ~7)
  }
}

/** The frame of a group that is being filled. */
export class FrameBuilder {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(new ArrayBuffer(0))
  length = 0
  after: Lsn = 0 as Lsn
  last: Lsn = 0 as Lsn
  readonly #memory: FrameMemory
  /** The next frame is likely to be as long as the last one. */
  #lastLength = 0

  constructor(memory: FrameMemory) {
    this.#memory = memory
  }

  get empty(): boolean {
    return this.length <= APPEND_HEADER_BYTES
  }

  /** Starts a frame behind record `after`. Its memory is its own: a sent frame is not copied. */
  begin(after: Lsn): void {
    if (this.length !== APPEND_HEADER_BYTES) {
      this.#use(this.#memory.take(Math.max(ROOM_BYTES_MIN, Math.min(FRAME_BYTES_MAX, this.#lastLength * 2))))
      this.length = APPEND_HEADER_BYTES
    }
    this.after = after
    this.last = after
  }

  /** Makes sure that `bytes` more fit behind `length`. */
  reserve(bytes: number): void {
    const needed = this.length + bytes
    if (needed <= this.bytes.length) return
    let size = this.bytes.length * 2
    while (size < needed) size *= 2
    const larger = this.#memory.take(size)
    larger.set(this.bytes.subarray(0, this.length))
    this.#use(larger)
  }

  /** The frame as it stands; the builder is empty then. */
  take(): Frame {
    const frame = { after: this.after, last: this.last, message: this.bytes.subarray(0, this.length) }
    this.#memory.trim(this.bytes, this.length)
    this.#lastLength = this.length
    this.length = 0
    return frame
  }

  #use(room: Uint8Array): void {
    this.bytes = room
    this.view = new DataView(room.buffer, room.byteOffset, room.length)
  }
}
