/** How often something may end by itself before it is given up, and how long to wait before it is started again. */

const CRASHES_MAX = 5
const WITHIN_MS = 60_000
const PAUSE_MS_MIN = 50
const PAUSE_MS_MAX = 5000

export class CrashBudget {
  readonly #crashesMax: number
  #atMs: number[] = []

  /** @param crashesMax within a minute; Infinity: it is never given up */
  constructor(crashesMax = CRASHES_MAX) {
    this.#crashesMax = crashesMax
  }

  /** @returns how long to wait; undefined when another try makes no sense */
  crashed(nowMs: number): number | undefined {
    this.#atMs = [...this.#atMs.filter((at) => nowMs - at < WITHIN_MS), nowMs]
    const count = this.#atMs.length
    return count > this.#crashesMax ? undefined : Math.min(PAUSE_MS_MIN * 2 ** (count - 1), PAUSE_MS_MAX)
  }
}
