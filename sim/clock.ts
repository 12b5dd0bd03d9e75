/**
 * The clock of one simulated process. Work takes time: while an event is handled, what the process spends moves its
 * own clock ahead of the world's, and until the world has caught up the process is busy and hears nothing.
 */
import type { EventQueue } from './events.ts'

/** 2026-01-01, in ms since 1970: where wall clocks start, give or take their skew. */
const WALL_CLOCK_START_MS = 1_767_225_600_000

export class ProcessClock {
  readonly #events: EventQueue
  #skewMs: number
  #busyUntilUs = 0

  /** @param skewMs how far the wall clock is off; the monotonic clock has no use for it. */
  constructor(events: EventQueue, skewMs = 0) {
    this.#events = events
    this.#skewMs = skewMs
  }

  get nowUs(): number {
    return Math.max(this.#events.nowUs, this.#busyUntilUs)
  }

  /** Monotonic, in milliseconds with fractions. */
  get nowMs(): number {
    return this.nowUs / 1_000
  }

  get wallClockMs(): number {
    return WALL_CLOCK_START_MS + this.#skewMs + Math.floor(this.nowUs / 1_000)
  }

  /** The wall clock is set, forwards or back. */
  jump(ms: number): void {
    this.#skewMs += ms
  }

  get busy(): boolean {
    return this.#busyUntilUs > this.#events.nowUs
  }

  spend(us: number): void {
    this.#busyUntilUs = this.nowUs + us
  }

  /** A crash ends what it was doing. */
  idle(): void {
    this.#busyUntilUs = 0
  }
}
