/**
 * Byte deltas of a block, in granules of 16 bytes. Hot path: one comparison per block written.
 *
 * A payload is a row of ranges: u16 first granule, u16 number of granules, and their bytes. 16 bytes are the best
 * of the sizes measured on PostgreSQL pages (`docs/performance.md`): 64 cost 2 to 2.7 times as many bytes.
 */
import { VolumeError } from './errors.ts'
import { unpack } from './packing.ts'
import { FLAG_PACKED, FLAG_SPARSE, RecordKind } from './record.ts'

export const GRANULE_BYTES = 16
const RANGE_HEADER_BYTES = 4

/** Words of a block, for comparison. Blocks handed to `diff` must start at a multiple of four bytes. */
const words = (block: Uint8Array): Uint32Array => new Uint32Array(block.buffer, block.byteOffset, block.length >> 2)

/**
 * Writes the ranges in which `next` differs from `before` to `out`.
 * @returns the payload's length in bytes (0: equal), or -1 when it would not fit into `out`.
 */
export function diff(before: Uint8Array, next: Uint8Array, out: Uint8Array): number {
  const a = words(before)
  const b = words(next)
  const granules = next.length / GRANULE_BYTES
  let length = 0
  let granule = 0
  while (granule < granules) {
    let w = granule << 2
    while (
      granule < granules &&
      (((a[w] as number) ^ (b[w] as number)) |
        ((a[w + 1] as number) ^ (b[w + 1] as number)) |
        ((a[w + 2] as number) ^ (b[w + 2] as number)) |
        ((a[w + 3] as number) ^ (b[w + 3] as number))) ===
        0
    ) {
      granule++
      w += 4
    }
    if (granule === granules) break
    const first = granule
    do {
      granule++
      w += 4
    } while (
      granule < granules &&
      (a[w] !== b[w] || a[w + 1] !== b[w + 1] || a[w + 2] !== b[w + 2] || a[w + 3] !== b[w + 3])
    )
    const count = granule - first
    const end = length + RANGE_HEADER_BYTES + count * GRANULE_BYTES
    if (end > out.length) return -1
    out[length] = first & 0xff
    out[length + 1] = first >> 8
    out[length + 2] = count & 0xff
    out[length + 3] = count >> 8
    out.set(next.subarray(first * GRANULE_BYTES, granule * GRANULE_BYTES), length + RANGE_HEADER_BYTES)
    length = end
  }
  return length
}

/** Overwrites the ranges of a payload in `block`. @throws VolumeError `Corrupt` when a range lies outside. */
export function applyRanges(payload: Uint8Array, block: Uint8Array): void {
  let offset = 0
  while (offset < payload.length) {
    const first = (payload[offset] as number) | ((payload[offset + 1] as number) << 8)
    const count = (payload[offset + 2] as number) | ((payload[offset + 3] as number) << 8)
    const from = offset + RANGE_HEADER_BYTES
    const to = from + count * GRANULE_BYTES
    if (to > payload.length || (first + count) * GRANULE_BYTES > block.length) {
      throw new VolumeError('Corrupt', `delta range ${first}+${count} does not fit a block of ${block.length} bytes`)
    }
    block.set(payload.subarray(from, to), first * GRANULE_BYTES)
    offset = to
  }
}

/** Applies a FULL or DELTA record to `block`, which holds the version before it (any content, for FULL). */
export function applyRecord(
  record: { readonly kind: RecordKind; readonly flags: number; readonly payload: Uint8Array },
  block: Uint8Array,
): void {
  const payload = record.flags & FLAG_PACKED ? unpack(record.payload) : record.payload
  switch (record.kind) {
    case RecordKind.FULL:
      if (record.flags & FLAG_SPARSE) {
        block.fill(0)
        applyRanges(payload, block)
      } else {
        if (payload.length !== block.length) {
          throw new VolumeError('Corrupt', `full record of ${payload.length} bytes for a block of ${block.length}`)
        }
        block.set(payload)
      }
      return
    case RecordKind.DELTA:
      applyRanges(payload, block)
      return
    case RecordKind.TRIM:
      block.fill(0)
      return
    default:
      throw new VolumeError('Corrupt', `record of kind ${record.kind} does not change a block`)
  }
}
