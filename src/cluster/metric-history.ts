/** What was measured, minute by minute, for a day: in memory, since it is worth nothing after a restart. */
export type MetricUnit = 'Milliseconds' | 'Bytes' | 'Count' | 'Percent' | 'Seconds' | 'Count/Second'

/** One line in a chart. */
export interface MetricSeries {
  /** CloudWatch's name of what is measured. */
  readonly metric: string
  readonly unit: MetricUnit
  /** `{ DBInstanceIdentifier: 'demo-1' }` */
  readonly dimensions: Readonly<Record<string, string>>
}

export interface Statistics {
  /** When the period began. */
  readonly atMs: number
  readonly count: number
  readonly sum: number
  readonly least: number
  readonly most: number
}

const MINUTE_MS = 60_000
const KEPT_MINUTES = 24 * 60

interface Kept {
  readonly series: MetricSeries
  /** Oldest first. */
  readonly minutes: Statistics[]
}

const keyOf = ({ metric, dimensions }: MetricSeries): string =>
  JSON.stringify([metric, Object.entries(dimensions).sort(([a], [b]) => (a < b ? -1 : 1))])

const merged = (a: Statistics, b: Omit<Statistics, 'atMs'>): Statistics => ({
  atMs: a.atMs,
  count: a.count + b.count,
  sum: a.sum + b.sum,
  least: Math.min(a.least, b.least),
  most: Math.max(a.most, b.most),
})

export class MetricHistory {
  readonly #kept = new Map<string, Kept>()

  record(atMs: number, series: MetricSeries, value: number): void {
    const key = keyOf(series)
    const kept = this.#kept.get(key) ?? { series, minutes: [] }
    this.#kept.set(key, kept)
    const minuteMs = atMs - (atMs % MINUTE_MS)
    const one = { atMs: minuteMs, count: 1, sum: value, least: value, most: value }
    const last = kept.minutes.at(-1)
    if (last !== undefined && last.atMs >= minuteMs) kept.minutes[kept.minutes.length - 1] = merged(last, one)
    else kept.minutes.push(one)
    if (kept.minutes.length > KEPT_MINUTES) kept.minutes.shift()
  }

  /** Those of which something was recorded since then; what is older is forgotten. */
  series(sinceMs: number): readonly MetricSeries[] {
    for (const [key, { minutes }] of this.#kept)
      if ((minutes.at(-1)?.atMs ?? 0) < sinceMs - MINUTE_MS) this.#kept.delete(key)
    return [...this.#kept.values()].map(({ series }) => series)
  }

  /**
   * Oldest first; a period in which nothing was recorded is not there.
   * @param periodMs of whole minutes; periods begin at its multiples
   */
  statistics(series: MetricSeries, fromMs: number, toMs: number, periodMs: number): readonly Statistics[] {
    const periods = new Map<number, Statistics>()
    for (const minute of this.#kept.get(keyOf(series))?.minutes ?? []) {
      if (minute.atMs < fromMs || minute.atMs >= toMs) continue
      const atMs = minute.atMs - (minute.atMs % periodMs)
      const period = periods.get(atMs)
      periods.set(atMs, period === undefined ? { ...minute, atMs } : merged(period, minute))
    }
    return [...periods.values()]
  }
}

export const DAY_MS = KEPT_MINUTES * MINUTE_MS
