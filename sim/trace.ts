/**
 * What happened, as lines: all of them go into a hash, so that two runs of a seed can be compared, and the last ones
 * are kept for the report of a failure.
 */
import { crc32 } from 'node:zlib'
import type { EventQueue } from './events.ts'

/** Enough to see the messages, crashes and repairs that led to a failure. */
const KEPT_LINES = 200

export class Trace {
  readonly #events: EventQueue
  readonly #print: ((line: string) => void) | undefined
  readonly #ring: string[] = []
  #lines = 0
  #hash = 0

  /** @param print gets every line as it is written */
  constructor(events: EventQueue, print?: (line: string) => void) {
    this.#events = events
    this.#print = print
  }

  line(who: string, what: string): void {
    const line = `${(this.#events.nowUs / 1_000).toFixed(3).padStart(10)} ${who} ${what}`
    this.#hash = crc32(line, this.#hash)
    this.#ring[this.#lines % KEPT_LINES] = line
    this.#lines++
    this.#print?.(line)
  }

  get lines(): number {
    return this.#lines
  }

  /** The same for two runs only if all their lines were. */
  get hash(): string {
    return `${this.#lines}-${this.#hash.toString(16).padStart(8, '0')}`
  }

  /** The last lines, oldest first. */
  tail(): string[] {
    const next = this.#lines % KEPT_LINES
    return this.#lines < KEPT_LINES ? [...this.#ring] : [...this.#ring.slice(next), ...this.#ring.slice(0, next)]
  }
}
