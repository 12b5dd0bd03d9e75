/**
 * Messages on a stream of bytes. Both ends send the preamble first: magic 'BORL', u16 version, u16 0. Then each
 * message is `u32 length (of what follows), u8 type, body`, little endian.
 *
 * Hot path: every message of the wire is cut out here. Only a message that began in an earlier chunk is copied, to a
 * buffer of the decoder's own. Measured: 0.05 us to cut out, as much to frame, 1 KiB.
 */
import { invariant, VolumeError } from '../protocol/errors.ts'

/** 2: records may be packed. */
export const WIRE_VERSION = 2
export const PREAMBLE_BYTES = 8
/** Bytes in front of the type byte. */
export const FRAME_HEADER_BYTES = 4
/** Above any piece of a layer or of a log that is asked for at once, and far below what would hurt. */
export const FRAME_BYTES_MAX = 64 << 20

/** Own buffers over this are given back when they are empty. */
const KEPT_BYTES_MAX = 1 << 20
const OWN_BYTES_MIN = 4096
const MAGIC = 0x4c52_4f42 // 'BORL' read as a little-endian u32

export function preamble(version = WIRE_VERSION): Uint8Array {
  const bytes = new Uint8Array(PREAMBLE_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, version, true)
  return bytes
}

/** Throws `UnsupportedFormat` unless the other end speaks what we speak. */
function checkPreamble(bytes: Uint8Array, at: number): void {
  if (readU32(bytes, at) !== MAGIC) {
    throw new VolumeError('UnsupportedFormat', 'the other end does not speak the storage protocol')
  }
  const version = bytes[at + 4]! | (bytes[at + 5]! << 8)
  if (version !== WIRE_VERSION || bytes[at + 6] !== 0 || bytes[at + 7] !== 0) {
    throw new VolumeError('UnsupportedFormat', `the other end speaks version ${version}, not ${WIRE_VERSION}`)
  }
}

/** Length of a message given in parts, without the length field. */
export function partsBytes(parts: readonly Uint8Array[]): number {
  let bytes = 0
  for (let i = 0; i < parts.length; i++) bytes += parts[i]!.length
  return bytes
}

/** Writes length and parts at `at`, which must have room for 4 bytes more than the parts. Answers the end. */
export function writeFrame(into: Uint8Array, at: number, parts: readonly Uint8Array[], bytes: number): number {
  into[at] = bytes
  into[at + 1] = bytes >>> 8
  into[at + 2] = bytes >>> 16
  into[at + 3] = bytes >>> 24
  let end = at + FRAME_HEADER_BYTES
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!
    into.set(part, end)
    end += part.length
  }
  return end
}

/**
 * Cuts a stream into messages: `push` a chunk, then `next` until it answers false. After an exception the stream is of
 * no use: close it.
 */
export class FrameDecoder {
  /** The message found by `next`, valid until `next` or `push` is called again. */
  type = 0
  body: Uint8Array = NOTHING

  readonly #frameBytesMax: number
  #preambleSeen = false
  /** Where bytes are taken from: the chunk that was pushed last, or `#own`. */
  #bytes: Uint8Array = NOTHING
  #start = 0
  #end = 0
  /** A message that began in an earlier chunk is gathered here, and nothing that is behind it. */
  #own: Uint8Array = NOTHING
  /** What is left of the chunk while bytes are taken from `#own`. */
  #rest: Uint8Array = NOTHING

  constructor(frameBytesMax = FRAME_BYTES_MAX) {
    this.#frameBytesMax = frameBytesMax
  }

  /** Takes a chunk, which may change again once `next` has answered false. */
  push(chunk: Uint8Array): void {
    invariant(this.#rest.length === 0, 'a chunk was pushed before the one before was cut up')
    if (this.#start === this.#end) this.#use(chunk, 0, chunk.length)
    else this.#rest = chunk
  }

  /** Finds the next complete message. False: `push` more. */
  next(): boolean {
    for (;;) {
      const needed = this.#needed()
      if (this.#end - this.#start < needed) {
        if (!this.#more(needed)) return false
      } else if (!this.#preambleSeen) {
        checkPreamble(this.#bytes, this.#start)
        this.#preambleSeen = true
        this.#start += PREAMBLE_BYTES
      } else if (needed > FRAME_HEADER_BYTES) {
        const from = this.#start + FRAME_HEADER_BYTES
        this.#start += needed
        this.type = this.#bytes[from]!
        this.body = this.#bytes.subarray(from + 1, this.#start)
        return true
      }
    }
  }

  /** The other end has said that it speaks what we speak. */
  get opened(): boolean {
    return this.#preambleSeen
  }

  /** Bytes of an incomplete message that are held. */
  get heldBytes(): number {
    return this.#end - this.#start
  }

  /** Bytes of what comes next, as far as that is known: the preamble, the length of a message, or a message with it. */
  #needed(): number {
    if (!this.#preambleSeen) return PREAMBLE_BYTES
    if (this.#end - this.#start < FRAME_HEADER_BYTES) return FRAME_HEADER_BYTES
    const bytes = readU32(this.#bytes, this.#start)
    if (bytes === 0 || bytes > this.#frameBytesMax) {
      throw new VolumeError('BadRequest', `a message of ${bytes} bytes; 1 to ${this.#frameBytesMax} are allowed`)
    }
    return FRAME_HEADER_BYTES + bytes
  }

  /** Goes on with the rest of the chunk. False when there is none: what is incomplete was moved to `#own` then. */
  #more(needed: number): boolean {
    if (this.#rest.length === 0) {
      this.#keep()
      return false
    }
    const rest = this.#rest
    if (this.#start === this.#end) {
      this.#rest = NOTHING
      this.#use(rest, 0, rest.length)
      return true
    }
    const taken = Math.min(needed - (this.#end - this.#start), rest.length)
    this.#reserve(this.#end + taken)
    this.#own.set(taken === rest.length ? rest : rest.subarray(0, taken), this.#end)
    this.#end += taken
    this.#rest = taken === rest.length ? NOTHING : rest.subarray(taken)
    return true
  }

  /** Moves what is left to the start of `#own`, so that the chunk may change. */
  #keep(): void {
    const left = this.#end - this.#start
    if (left === 0) {
      if (this.#own.length > KEPT_BYTES_MAX) this.#own = NOTHING
      this.#use(NOTHING, 0, 0)
    } else if (this.#bytes !== this.#own) {
      const rest = this.#bytes.subarray(this.#start, this.#end)
      this.#use(this.#own, 0, 0)
      this.#reserve(left)
      this.#own.set(rest, 0)
      this.#use(this.#own, 0, left)
    }
  }

  /** Grows with the bytes that came, not with the length that was announced: a liar costs only what it sends. */
  #reserve(bytes: number): void {
    if (bytes <= this.#own.length) return
    const grown = new Uint8Array(Math.max(bytes, this.#own.length * 2, OWN_BYTES_MIN))
    grown.set(this.#own.subarray(0, this.#end))
    this.#own = grown
    this.#use(grown, this.#start, this.#end)
  }

  #use(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes
    this.#start = start
    this.#end = end
  }
}

const NOTHING = new Uint8Array(0)

const readU32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
