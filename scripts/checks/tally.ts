/** What a stage of checks came to. Counts are of tests, seeds or, for a whole tool such as the type checker, one. */
export interface Tally {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

export const NOTHING: Tally = { passed: 0, failed: 0, skipped: 0 }
export const ONE_PASSED: Tally = { passed: 1, failed: 0, skipped: 0 }
export const ONE_FAILED: Tally = { passed: 0, failed: 1, skipped: 0 }
export const ONE_SKIPPED: Tally = { passed: 0, failed: 0, skipped: 1 }

export const addTallies = (a: Tally, b: Tally): Tally => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
})

/** `N passed, N failed`, with `, N skipped` when some were: the form that scripts read. */
export const tallyLine = ({ passed, failed, skipped }: Tally): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`

/** Reads what `tallyLine` writes; undefined when the line has another form. */
export function parseTallyLine(line: string): Tally | undefined {
  const match = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line.trim())
  if (match === null) return undefined
  return { passed: Number(match[1]), failed: Number(match[2]), skipped: Number(match[3] ?? 0) }
}
