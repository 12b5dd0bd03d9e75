/** Puts block numbers in order without keeping anything else waiting: a memtable may have half a million of them. */
import { CONTROL_BLOCK } from '../../protocol/lsn.ts'

/** Numbers handled between two yields: about a millisecond. */
const PER_SLICE = 65_536
const BUCKETS = 1024

/**
 * Sorts block numbers: parts them by range, then sorts each part. Yields after about a millisecond of work.
 * @param count of `blocks`.
 */
export function* inOrder(blocks: Iterable<number>, count: number): Generator<void, Uint32Array> {
  const all = new Uint32Array(count)
  let used = 0
  let min = CONTROL_BLOCK
  let max = 0
  let control = false
  for (const block of blocks) {
    if (block === CONTROL_BLOCK) {
      control = true
      continue
    }
    all[used++] = block
    if (block < min) min = block
    if (block > max) max = block
    if (used % PER_SLICE === 0) yield
  }
  const scale = BUCKETS / (max - min + 1)
  const start = new Uint32Array(BUCKETS + 1)
  for (let i = 0; i < used; i++) start[Math.floor((all[i]! - min) * scale) + 1]!++
  for (let b = 0; b < BUCKETS; b++) start[b + 1]! += start[b]!
  yield
  const parted = new Uint32Array(used + (control ? 1 : 0))
  const next = start.slice()
  for (let i = 0; i < used; i++) {
    parted[next[Math.floor((all[i]! - min) * scale)]!++] = all[i]!
    if ((i + 1) % PER_SLICE === 0) yield
  }
  for (let b = 0; b < BUCKETS; b++) {
    parted.subarray(start[b], start[b + 1]).sort()
    if (start[b + 1]! % PER_SLICE < start[b]! % PER_SLICE) yield
  }
  if (control) parted[used] = CONTROL_BLOCK
  return parted
}
