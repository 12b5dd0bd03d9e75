/**
 * When a reader looks for its log in the volume instead of with its writer, and when it has no hope of finding it. Pure.
 *
 *     following -> cut off -> searching      not streaming for a second
 *         ^----------+-----------+           streaming again
 */
import { parseWalLsn, segmentOf } from './wal-position.ts'

/** A writer that starts again is back sooner, most times. */
const PATIENCE_MS = 1000

export interface Following {
  readonly streaming: boolean | null
  /** What was replayed. */
  readonly walLsn: string | null
  /** The oldest file of the log that the volume has, by its number; null when nobody has looked. */
  readonly oldestInVolume: number | null
}

export interface Search {
  /** Since when it has not been streaming; undefined: it is. */
  readonly cutOffAtMs: number | undefined
  /** The first file of the log that it looks for in the volume; undefined: it does not. */
  readonly from: number | undefined
  /** Why it is to begin anew. */
  readonly hopeless: string | null
}

export const NO_SEARCH: Search = { cutOffAtMs: undefined, from: undefined, hopeless: null }

export function searchOf(before: Search, { streaming, walLsn, oldestInVolume }: Following, nowMs: number): Search {
  if (streaming !== false || walLsn === null) return { ...NO_SEARCH, hopeless: before.hopeless }
  const cutOffAtMs = before.cutOffAtMs ?? nowMs
  if (nowMs - cutOffAtMs < PATIENCE_MS) return { ...before, cutOffAtMs }
  const from = segmentOf(parseWalLsn(walLsn))
  const isGone = oldestInVolume !== null && oldestInVolume > from
  const hopeless = isGone ? 'the log that it needs next is kept nowhere any more' : before.hopeless
  return { cutOffAtMs, from, hopeless }
}
