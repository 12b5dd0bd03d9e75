/**
 * Frames: the records of one group as one APPEND, built in place and sent to all its members as the same bytes. Hot
 * path: no copy but that of the payload.
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

const FIRST_BYTES = 4096
/** Larger frames are cut: a node logs and answers a frame whole. */
export const FRAME_BYTES_MAX = 1024 * 1024

/** The frame of a group that is being filled. */
export class FrameBuilder {
  bytes: Uint8Array = new Uint8Array(0)
  view: DataView = new DataView(new ArrayBuffer(0))
  length = 0
  after: Lsn = 0 as Lsn
  last: Lsn = 0 as Lsn

  get empty(): boolean {
    return this.length <= APPEND_HEADER_BYTES
  }

  /** Starts a frame behind record `after`. Its memory is its own: a sent frame is not copied. */
  begin(after: Lsn): void {
    if (this.length !== APPEND_HEADER_BYTES) {
      this.bytes = new Uint8Array(FIRST_BYTES)
      this.view = new DataView(this.bytes.buffer)
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
    const larger = new Uint8Array(size)
    larger.set(this.bytes.subarray(0, this.length))
    this.bytes = larger
    this.view = new DataView(larger.buffer)
  }

  /** The frame as it stands; the builder is empty then. */
  take(): Frame {
    const frame = { after: this.after, last: this.last, message: this.bytes.subarray(0, this.length) }
    this.length = 0
    return frame
  }
}
