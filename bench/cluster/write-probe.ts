/**
 * Clients that write one small row after the other, connect again when that fails, and remember what they were told: for
 * how long nobody could write, and whether anything that was acknowledged is gone.
 */
import type { EndpointClient } from '../../test/chaos/endpoint-client.ts'
import { pause } from '../../test/waiting.ts'

export const PROBE_CLIENTS = 4
export const PROBE_SCHEMA = 'CREATE TABLE probe (client int, number int, PRIMARY KEY (client, number))'
/** As a client has to have it that does not want to wait for a server that hangs. */
export const PROBE_ANSWER_MS_MAX = 1000
const RECONNECT_MS = 20
const PAUSE_MS = 5

interface Prober {
  readonly acknowledged: number[]
  lastMs: number
  longestMs: number
  succeeded: number
}

export class WriteProbe {
  readonly #connect: () => Promise<EndpointClient>
  readonly #probers: readonly Prober[]
  #isStopped = false
  readonly #running: Promise<unknown>

  constructor(connect: () => Promise<EndpointClient>) {
    this.#connect = connect
    this.#probers = Array.from({ length: PROBE_CLIENTS }, () => ({
      acknowledged: [],
      lastMs: performance.now(),
      longestMs: 0,
      succeeded: 0,
    }))
    this.#running = Promise.all(this.#probers.map((prober, client) => this.#probe(prober, client)))
  }

  async #probe(prober: Prober, client: number): Promise<void> {
    let number = 0
    while (!this.#isStopped) {
      const connection = await this.#connect().catch(() => undefined)
      if (connection === undefined) {
        await pause(RECONNECT_MS)
        continue
      }
      try {
        while (!this.#isStopped) {
          const mine = number++
          await connection.query('INSERT INTO probe VALUES ($1, $2)', [client, mine])
          const nowMs = performance.now()
          prober.longestMs = Math.max(prober.longestMs, nowMs - prober.lastMs)
          prober.lastMs = nowMs
          prober.succeeded++
          prober.acknowledged.push(mine)
          await pause(PAUSE_MS)
        }
      } catch {
        // Whatever it is: a client connects again.
      }
      connection.drop()
    }
  }

  /**
   * Makes something happen, and waits until every client has written several times since.
   * @returns the longest time that one of them could not write, in ms
   */
  async outage(happen: () => void | Promise<void>, deadlineMs: number): Promise<number> {
    for (const prober of this.#probers) prober.longestMs = 0
    const before = this.#probers.map(({ succeeded }) => succeeded)
    const startedMs = performance.now()
    await happen()
    const isOver = (): boolean =>
      this.#probers.every(({ succeeded, lastMs }, i) => succeeded > (before[i] ?? 0) + 3 && lastMs > startedMs + 200)
    while (!isOver() || this.#isStuck()) {
      if (performance.now() - startedMs > deadlineMs) throw new Error(`nobody could write for ${deadlineMs} ms`)
      await pause(20)
    }
    return Math.max(...this.#probers.map(({ longestMs }) => longestMs))
  }

  /** What happened last may not have reached everybody yet. */
  #isStuck(): boolean {
    const nowMs = performance.now()
    return this.#probers.some(({ lastMs }) => nowMs - lastMs > 300)
  }

  /** When anybody was last told that it was written. */
  get lastMs(): number {
    return Math.max(...this.#probers.map(({ lastMs }) => lastMs))
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  /** @param client another connection, when nobody writes any more @returns how many acknowledged rows are gone, of all */
  async lost(client: Pick<EndpointClient, 'query'>): Promise<{ readonly lost: number; readonly acknowledged: number }> {
    const { rows } = await client.query('SELECT client, number FROM probe')
    const there = new Set(rows.map(({ client: of, number }) => `${of} ${number}`))
    const all = this.#probers.flatMap(({ acknowledged }, of) => acknowledged.map((number) => `${of} ${number}`))
    return { lost: all.filter((each) => !there.has(each)).length, acknowledged: all.length }
  }
}
