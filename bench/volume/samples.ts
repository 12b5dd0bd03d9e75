/** Figures out of many measurements. */

/** The value below which `share` of them lie; NaN without any. */
export function quantile(values: ArrayLike<number>, share: number): number {
  if (values.length === 0) return Number.NaN
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number
}

export const median = (values: ArrayLike<number>): number => quantile(values, 0.5)

/** One measurement of everything in a round; columns by name. */
export type Round = Readonly<Record<string, number>>

/** The median of each column over the rounds: one noisy round moves none of them. */
export function medianRound(rounds: readonly Round[]): Round {
  const names = new Set(rounds.flatMap((round) => Object.keys(round)))
  return Object.fromEntries([...names].map((name) => [name, median(rounds.map((round) => round[name] ?? Number.NaN))]))
}

/** The columns of a row, in order; null where nothing was measured. */
export const pick = (round: Round, columns: readonly { readonly name: string }[]): (number | null)[] =>
  columns.map(({ name }) => {
    const value = round[name]
    return value === undefined || Number.isNaN(value) ? null : value
  })
