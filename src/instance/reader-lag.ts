/**
 * How far a reader is behind, from what its engine says twice a second.
 *
 * The age of the last transaction that was replayed says it exactly while there are transactions, and nothing while there
 * are none: then WAL that is just being replayed (a checkpoint's) would make an idle reader look minutes old. So the age
 * counts only as far back as the last time that the reader was known to have everything.
 */
import { parseWalLsn } from './wal-position.ts'

/** One answer of the engine. */
export interface ReaderAnswer {
  readonly nowMs: number
  readonly streaming: boolean
  readonly replayed: string | null
  readonly received: string | null
  /** Whether all that was received is replayed. */
  readonly upToDate: boolean
  /** Of the last transaction that was replayed; null when there was none. */
  readonly ageMs: number | null
}

export interface Progress {
  /** What had been received when it was asked before. */
  readonly received: string | null
  readonly askedAtMs: number
  /** When it last had everything that there was, as far as it knew; undefined: never. */
  readonly completeAtMs: number | undefined
}

const reaches = (replayed: string | null, received: string | null): boolean =>
  replayed !== null && received !== null && parseWalLsn(replayed) >= parseWalLsn(received)

/** @param before of the question before; undefined at first */
export function lagOf(
  before: Progress | undefined,
  { nowMs, streaming, replayed, received, upToDate, ageMs }: ReaderAnswer,
): { readonly lagMs: number | null; readonly progress: Progress } {
  const isComplete = streaming && upToDate
  const completeAtMs = isComplete
    ? nowMs
    : before !== undefined && streaming && reaches(replayed, before.received)
      ? Math.max(before.askedAtMs, before.completeAtMs ?? 0)
      : before?.completeAtMs
  const sinceMs = completeAtMs === undefined ? undefined : nowMs - completeAtMs
  const lagMs = isComplete ? 0 : streaming ? least(ageMs, sinceMs) : (sinceMs ?? null)
  return { lagMs, progress: { received, askedAtMs: nowMs, completeAtMs } }
}

const least = (ageMs: number | null, sinceMs: number | undefined): number | null => {
  if (ageMs === null || sinceMs === undefined) return ageMs ?? sinceMs ?? null
  return Math.max(0, Math.min(ageMs, sinceMs))
}
