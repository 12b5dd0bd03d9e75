/**
 * When a reader looks for its log in the volume instead of with its writer, and when it has no hope of finding it. Pure.
 *
 *     following -> cut off -> searching      not streaming for some seconds
 *         ^----------+-----------+           streaming again
 */
/**
 * A writer that starts again, or another in its place, is there sooner, most times, and has better things to do with the
 * machine than to wait for us.
 */
const PATIENCE_MS = 3000

export interface Following {
  readonly streaming: boolean | null
  /** The file of the log that it is in with its replay. */
  readonly walFile: string | null
  /** The oldest file of the log that the volume has; null when nobody has looked. */
  readonly oldestInVolume: string | null
}

export interface Search {
  /** Since when it has not been streaming; undefined: it is. */
  readonly cutOffAtMs: number | undefined
  /** The first file of the log that it looks for in the volume; undefined: it does not. */
  readonly from: string | undefined
  /** Why it is to begin anew. */
  readonly hopeless: string | null
}

export const NO_SEARCH: Search = { cutOffAtMs: undefined, from: undefined, hopeless: null }

export function searchOf(before: Search, { streaming, walFile, oldestInVolume }: Following, nowMs: number): Search {
  if (streaming !== false || walFile === null) return { ...NO_SEARCH, hopeless: before.hopeless }
  const cutOffAtMs = before.cutOffAtMs ?? nowMs
  if (nowMs - cutOffAtMs < PATIENCE_MS) return { ...before, cutOffAtMs }
  const isGone = oldestInVolume !== null && oldestInVolume > walFile
  const hopeless = isGone ? 'the log that it needs next is kept nowhere any more' : before.hopeless
  return { cutOffAtMs, from: walFile, hopeless }
}
