/**
 * What one run of a process does to the world, counted: every change of its disk and every message it sends is an
 * effect with a number, and the process can be made to crash before, during or after any of them. Reads have no
 * number: a crash at a read leaves the same world as one before the next effect.
 */

/** Thrown out of the effect at which a process crashes, and out of all it tries afterwards. Never caught by its code. */
export class SimCrash extends Error {
  constructor(what: string) {
    super(`simulated crash: ${what}`)
    this.name = 'SimCrash'
  }
}

export const CRASH_MOMENTS = ['before', 'during', 'after'] as const
export type CrashMoment = (typeof CRASH_MOMENTS)[number]

export class Effects {
  readonly #trace: ((effect: number, what: string) => void) | undefined
  #count: number
  #crashAt: number | undefined
  #moment: CrashMoment = 'before'
  #alive = true

  /** @param count the number of the last effect before this run of the process. */
  constructor(trace?: (effect: number, what: string) => void, count = 0) {
    this.#trace = trace
    this.#count = count
  }

  /** The number of the last effect; the first is 1. */
  get count(): number {
    return this.#count
  }

  /** False from the crash on, also when the code under test swallowed `SimCrash`. */
  get alive(): boolean {
    return this.#alive
  }

  crashAt(effect: number, moment: CrashMoment): void {
    this.#crashAt = effect
    this.#moment = moment
  }

  /** The process is gone: whatever still runs of it has no effect. */
  kill(): void {
    this.#alive = false
  }

  check(what: string): void {
    if (!this.#alive) throw new SimCrash(`${what} after the crash`)
  }

  /** Does `whole`; or, when the crash falls into it, nothing, `part` or `whole` before it throws. */
  run<T>(what: string, whole: () => T, part: () => void): T {
    this.check(what)
    this.#count++
    this.#trace?.(this.#count, what)
    if (this.#count !== this.#crashAt) return whole()
    if (this.#moment === 'during') part()
    if (this.#moment === 'after') whole()
    this.#alive = false
    throw new SimCrash(`${this.#moment} effect ${this.#count}, ${what}`)
  }
}
