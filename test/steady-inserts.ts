/**
 * One client that inserts row after row wherever the writer is, and connects again when its connection is gone or nobody
 * answers: what it was told to be committed has to be there in the end, whatever happened meanwhile.
 */
import type pg from 'pg'
import type { RegionHome } from './region-home.ts'
import { pause, until } from './waiting.ts'

const ANSWER_MS_MAX = 2000
const AGAIN_MS = 50

export class SteadyInserts {
  readonly acknowledged: number[] = []
  /** The longest time without an acknowledgement since it was last set to 0. */
  longestGapMs = 0
  readonly #home: RegionHome
  readonly #done: Promise<void>
  #next: number
  #isWanted = true

  /** @param first of the numbers that are its own */
  constructor(home: RegionHome, first: number) {
    this.#home = home
    this.#next = first
    this.#done = this.#run()
  }

  async #run(): Promise<void> {
    let client: pg.Client | undefined
    let acknowledgedMs = performance.now()
    while (this.#isWanted) {
      try {
        client ??= await this.#home.connect()
        const id = this.#next++
        await answerOf(client.query('INSERT INTO ledger VALUES ($1)', [id]))
        this.acknowledged.push(id)
        const nowMs = performance.now()
        this.longestGapMs = Math.max(this.longestGapMs, nowMs - acknowledgedMs)
        acknowledgedMs = nowMs
      } catch {
        // Its server may stand still: a farewell would wait for it.
        client?.connection.stream.destroy()
        client = undefined
        await pause(AGAIN_MS)
      }
    }
    await client?.end()
  }

  progress(count = 20): Promise<unknown> {
    const wanted = this.acknowledged.length + count
    return until(`${count} more inserts`, () => this.acknowledged.length >= wanted, 90_000)
  }

  async stop(): Promise<void> {
    this.#isWanted = false
    await this.#done
  }
}

async function answerOf<T>(answer: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('nobody answers')), ANSWER_MS_MAX)
  answer.catch(() => {})
  try {
    return await Promise.race([answer, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
