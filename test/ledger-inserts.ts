/** A table in which each row was told to be committed before the next: what is missing after a crash was lost. */
import assert from 'node:assert/strict'
import type pg from 'pg'
import type { RegionHome } from './region-home.ts'
import { until } from './waiting.ts'

export async function createLedger(home: RegionHome): Promise<void> {
  const client = await home.connect()
  await client.query('CREATE TABLE ledger (id int PRIMARY KEY, filling text)')
  await client.end()
}

export async function checkInserts(home: RegionHome, acknowledged: readonly number[]): Promise<void> {
  const client = await home.connect()
  const { rows } = await client.query('SELECT id FROM ledger')
  await client.end()
  const present = new Set(rows.map(({ id }) => id as number))
  assert.deepEqual(
    acknowledged.filter((id) => !present.has(id)),
    [],
    'acknowledged and not there',
  )
}

/** Several clients that insert one row after the other, and note what they were told. */
export class Inserts {
  readonly acknowledged: number[] = []
  /** The longest that one took. */
  slowestMs = 0
  failures = 0
  readonly #clients: pg.Client[]
  readonly #done: Promise<unknown>
  #stopped = false
  static #next = 0

  constructor(clients: pg.Client[]) {
    this.#clients = clients
    this.#done = Promise.all(clients.map((client) => this.#insert(client)))
  }

  static async start(home: RegionHome, count: number): Promise<Inserts> {
    return new Inserts(await Promise.all(Array.from({ length: count }, () => home.connect())))
  }

  async #insert(client: pg.Client): Promise<void> {
    while (!this.#stopped) {
      const id = Inserts.#next++
      const startedMs = performance.now()
      try {
        await client.query('INSERT INTO ledger VALUES ($1, $2)', [id, 'x'.repeat(100)])
      } catch {
        this.failures++
        return
      }
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs)
      this.acknowledged.push(id)
    }
  }

  progress(count = 50): Promise<unknown> {
    const wanted = this.acknowledged.length + count
    return until(`${count} more inserts`, () => this.acknowledged.length >= wanted || this.failures > 0)
  }

  /** Resolves when all clients have ended: asked to, or because their server has. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
    for (const client of this.#clients) await client.end().catch(() => {})
  }
}
