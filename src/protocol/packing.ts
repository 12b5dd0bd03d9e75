/**
 * Payloads of records, made shorter. Hot path: packed once by the writer, unpacked where a block is put together; on
 * their way, in logs, memtables and layers they stay as they are. So six copies handle a part of the bytes.
 *
 * A packed payload, little endian, of a multiple of four bytes as all payloads are:
 *
 *      0 u32 bits 0..23 length of the payload, 24..31 how many zeros follow the frame
 *      4 a zstd frame, then the zeros
 */
import { VolumeError } from './errors.ts'
import { openZstd } from './real-zstd.ts'
import { PAYLOAD_BYTES_MAX } from './record.ts'

const HEADER_BYTES = 4

/** What is not made shorter by an eighth stays as it is: it is read faster. */
const PART_MAX = 0.875

const zstd = openZstd(PAYLOAD_BYTES_MAX)

/**
 * Writes the packed form of a payload, which may lie in `into` itself.
 * @returns its length, or -1 when it is not worth it: then nothing was written
 */
export function pack(payload: Uint8Array, into: Uint8Array): number {
  const room = Math.floor(payload.length * PART_MAX) - HEADER_BYTES
  if (room <= 0) return -1
  const frame = zstd.pack(payload, into.subarray(HEADER_BYTES, HEADER_BYTES + room))
  if (frame < 0) return -1
  const length = (HEADER_BYTES + frame + 3) & ~3
  const zeros = length - HEADER_BYTES - frame
  into.fill(0, length - zeros, length)
  into[0] = payload.length
  into[1] = payload.length >>> 8
  into[2] = payload.length >>> 16
  into[3] = zeros
  return length
}

/** The payload, valid until the next call. @throws VolumeError `Corrupt` */
export function unpack(packed: Uint8Array): Uint8Array {
  const length = packed[0]! | (packed[1]! << 8) | (packed[2]! << 16)
  const end = packed.length - packed[3]!
  const payload =
    end > HEADER_BYTES && length <= PAYLOAD_BYTES_MAX
      ? zstd.unpack(packed.subarray(HEADER_BYTES, end), length)
      : undefined
  if (payload?.length !== length) {
    throw new VolumeError('Corrupt', `a packed payload of ${packed.length} bytes does not hold ${length}`)
  }
  return payload
}
