/**
 * Clients that transfer money in a cluster, and note what they were told and where the volume was then. So it is known
 * of every LSN which transfers have to be there, which must not, and in which order they came.
 */
import assert from 'node:assert/strict'
import type pg from 'pg'
import { Random } from '../sim/random.ts'
import type { Lsn } from '../src/protocol/lsn.ts'
import type { Bounds } from './durable-bounds.ts'
import { FAILED_ON_PURPOSE, transfer } from './tpcb.ts'
import { pause, until } from './waiting.ts'

/** `unknown`: its server ended before it had answered. */
type Outcome = 'asked' | 'acknowledged' | 'rolled back' | 'unknown'

interface Attempt {
  readonly client: number
  readonly number: number
  /** Durable before it was asked for: there it is not. */
  readonly after: Lsn
  /** From here on it is there; unknown until the nodes were asked. */
  by: Lsn | undefined
  outcome: Outcome
}

export interface LoadPlace {
  connect(): Promise<pg.Client>
  /** undefined when it cannot be told at the moment. */
  bounds(): Promise<Bounds | undefined>
}

/** How often the nodes are asked. What is acknowledged in between has the same bound. */
const LOOK_MS = 25
const RECONNECT_MS = 50
const FAILS_SHARE = 0.05

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** It said so itself, or was in the way of an index being built. */
function isRolledBack(error: unknown): boolean {
  const code = codeOf(error)
  return code === FAILED_ON_PURPOSE || code?.startsWith('40') === true
}

/** Its server went away: of shutdown, crash, or what a server says when its files are gone. */
function isEndOfServer(error: unknown): boolean {
  const code = codeOf(error)
  return code === undefined || /^(57P|08|58|XX|E[A-Z]+$)/.test(code)
}

export class ClusterLoad {
  readonly #place: LoadPlace
  readonly #random: Random
  readonly #attempts: Attempt[][] = []
  /** Acknowledged since the nodes were asked last. */
  #unbounded: Attempt[] = []
  #durable: Lsn
  #running: Promise<unknown> = Promise.resolve()
  #stopped = true
  #acknowledged = 0
  /** The longest that a transfer took. */
  slowestMs = 0
  readonly problems: string[] = []

  constructor(place: LoadPlace, seed: number, clients: number, durable: Lsn) {
    this.#place = place
    this.#random = new Random(seed)
    this.#durable = durable
    for (let client = 0; client < clients; client++) this.#attempts.push([])
  }

  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Known to be durable by now, and to have been so when it was noted. */
  get durable(): Lsn {
    return this.#durable
  }

  start(): void {
    assert(this.#stopped)
    this.#stopped = false
    const clients = this.#attempts.map((attempts, client) => this.#client(client, attempts))
    this.#running = Promise.all([this.#look(), ...clients])
  }

  /** Resolves when everybody has ended and everything that was acknowledged has its bound. */
  async stop(): Promise<void> {
    this.#stopped = true
    let isRunning = true
    void this.#running.then(() => {
      isRunning = false
    })
    await until('every client has an answer, or no connection any more', () => !isRunning, 120_000)
    await until('bounds of what was acknowledged last', () => this.#bound(), 60_000)
  }

  /** Resolves when so many more transfers were acknowledged. */
  progress(count: number): Promise<unknown> {
    const wanted = this.#acknowledged + count
    return until(`${count} more transfers`, () => this.#acknowledged >= wanted, 120_000)
  }

  async #look(): Promise<void> {
    while (!this.#stopped) {
      await this.#bound()
      await pause(LOOK_MS)
    }
  }

  async #bound(): Promise<boolean> {
    const asked = this.#unbounded
    this.#unbounded = []
    const bounds = await this.#place.bounds()
    if (bounds === undefined) {
      this.#unbounded = [...asked, ...this.#unbounded]
      return false
    }
    if (bounds.durable > this.#durable) this.#durable = bounds.durable
    for (const attempt of asked) attempt.by = bounds.reached
    return true
  }

  async #client(client: number, attempts: Attempt[]): Promise<void> {
    const random = this.#random.fork(`client ${client}`)
    while (!this.#stopped) {
      // While there is no server, all that fails is to connect.
      const connection = await this.#place.connect().catch(() => undefined)
      if (connection === undefined) {
        await pause(RECONNECT_MS)
        continue
      }
      try {
        while (!this.#stopped) await this.#attempt(connection, random, client, attempts)
      } catch (error) {
        if (!isEndOfServer(error)) {
          this.problems.push(`client ${client}: ${error}`)
          return
        }
      } finally {
        connection.end().catch(() => {})
      }
    }
  }

  async #attempt(connection: pg.Client, random: Random, client: number, attempts: Attempt[]): Promise<void> {
    const fails = random.chance(FAILS_SHARE)
    const number = attempts.length
    const attempt: Attempt = { client, number, after: this.#durable, by: undefined, outcome: 'asked' }
    attempts.push(attempt)
    const startedMs = performance.now()
    try {
      await transfer(connection, random, { client, number, fails })
      attempt.outcome = 'acknowledged'
      this.#acknowledged++
      this.#unbounded.push(attempt)
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs)
    } catch (error) {
      attempt.outcome = isRolledBack(error) ? 'rolled back' : 'unknown'
      if (attempt.outcome === 'unknown') throw error
    }
  }

  // -------------------------------------------------------------- what has to be there

  /**
   * Holds what is there against what clients were told.
   * @param at the LSN that is looked at; undefined for the head, where everything is that was acknowledged
   * @returns what is wrong
   */
  judge(present: ReadonlyMap<number, ReadonlySet<number>>, at?: Lsn): string[] {
    const problems: string[] = []
    for (const [client, attempts] of this.#attempts.entries()) {
      const there = present.get(client) ?? new Set()
      let missing: Attempt | undefined
      for (const attempt of attempts) {
        const { number, after, by, outcome } = attempt
        const name = `transfer ${number} of client ${client}`
        const isThere = there.has(number)
        if (isThere && outcome === 'rolled back') problems.push(`${name} was rolled back and is there`)
        if (isThere && at !== undefined && after >= at)
          problems.push(`${name} was asked for after ${after} and is there`)
        if (isThere && missing !== undefined) problems.push(`${name} is there and ${missing.number} before it is not`)
        if (isThere || outcome !== 'acknowledged') continue
        missing ??= attempt
        const isDue = at === undefined || (by !== undefined && by <= at)
        if (isDue) problems.push(`${name} was acknowledged by ${by} and is not there`)
      }
      for (const number of there)
        if (number >= attempts.length) problems.push(`client ${client} never asked for ${number}`)
    }
    for (const client of present.keys())
      if (client >= this.#attempts.length) problems.push(`there is no client ${client}`)
    return problems
  }

  /** What nobody was told the end of is known by what is there now, after its server has recovered. */
  settle(present: ReadonlyMap<number, ReadonlySet<number>>): void {
    assert(this.#stopped)
    for (const attempt of this.#attempts.flat()) {
      if (attempt.outcome !== 'unknown') continue
      const isThere = present.get(attempt.client)?.has(attempt.number) === true
      attempt.outcome = isThere ? 'acknowledged' : 'rolled back'
    }
  }
}
