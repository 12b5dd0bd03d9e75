/** Sessions that read all the time, on writer and readers, and what each of them saw. */
import { pause } from '../waiting.ts'
import type { ChaosLoad } from './chaos-load.ts'
import { itemsOf } from './chaos-load.ts'
import type { ChaosEndpoint, EndpointClient, EndpointNames } from './endpoint-client.ts'
import type { Snapshot } from './ledger-history.ts'
import { isPrefix, type Lists } from './list-append.ts'

/** Of the last authors: those who write, and some who have just ended. */
const AUTHORS = 24
const LISTS = 12

/** One statement, one snapshot. */
const LOOK = `
  SELECT pg_is_in_recovery() AS "isReader",
    (SELECT sum(balance)::int FROM accounts) AS balance,
    (SELECT array_agg(ARRAY[author, last, count] ORDER BY author) FROM (
      SELECT author, max(entry) AS last, count(*)::int AS count
      FROM (SELECT author FROM authors ORDER BY author DESC LIMIT ${AUTHORS}) a JOIN ledger USING (author)
      GROUP BY author) seen) AS authors,
    (SELECT json_object_agg(key, items) FROM (SELECT * FROM arrays ORDER BY key DESC LIMIT ${LISTS}) a) AS arrays,
    (SELECT json_object_agg(key, items) FROM (SELECT * FROM texts ORDER BY key DESC LIMIT ${LISTS}) t) AS texts`

const RECONNECT_MS = 100
const LOOK_MS = 60
/** A reader that stands still shows nothing; others go on. */
const ANSWER_MS_MAX = 10_000

export class ChaosSessions {
  readonly #names: EndpointNames
  readonly #load: ChaosLoad
  readonly snapshots: Snapshot[] = []
  readonly problems: string[] = []
  /** The longest that anybody saw of each list. */
  readonly #lists = new Map<number, readonly number[]>()
  #sessions = 0
  #isStopped = false
  #running: Promise<unknown> = Promise.resolve()

  constructor(names: EndpointNames, load: ChaosLoad) {
    this.#names = names
    this.#load = load
  }

  get sessions(): number {
    return this.#sessions
  }

  start(): void {
    this.#running = Promise.all(this.#names.endpoints.map((endpoint) => this.#look(endpoint)))
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  async #look(endpoint: ChaosEndpoint): Promise<void> {
    while (!this.#isStopped) {
      const client = await this.#names.connect(endpoint, ANSWER_MS_MAX).catch(() => undefined)
      if (client !== undefined) {
        await this.#session(client).catch(() => {})
        client.drop()
      }
      await pause(RECONNECT_MS)
    }
  }

  async #session(client: EndpointClient): Promise<void> {
    const session = ++this.#sessions
    const lengths = new Map<number, number>()
    while (!this.#isStopped) {
      const acknowledged = this.#load.acknowledged()
      const [row] = (await client.query(LOOK)).rows
      const authors: number[][] = row.authors ?? []
      this.snapshots.push({
        session,
        role: row.isReader ? 'reader' : 'writer',
        from: authors.length < AUTHORS ? 0 : (authors[0]?.[0] ?? 0),
        authors: Int32Array.from(authors.flat()),
        acknowledged,
        balance: row.balance,
      })
      const lists = { ...row.arrays, ...row.texts } as Readonly<Record<string, unknown>>
      for (const [key, items] of Object.entries(lists)) this.#sawList(session, Number(key), itemsOf(items), lengths)
      await pause(LOOK_MS)
    }
  }

  #sawList(session: number, key: number, items: readonly number[], lengths: Map<number, number>): void {
    const longest = this.#lists.get(key) ?? []
    if (!isPrefix(items, longest)) {
      if (!isPrefix(longest, items))
        this.problems.push(`session ${session} saw ${items} of list ${key}, another ${longest}`)
      this.#lists.set(key, items)
    }
    if (items.length < (lengths.get(key) ?? 0))
      this.problems.push(`session ${session} saw ${lengths.get(key)} items of list ${key}, and then ${items.length}`)
    lengths.set(key, items.length)
  }

  /** What anybody saw has to be there at the end. */
  listProblems(final: Lists): string[] {
    return [...this.#lists]
      .filter(([key, items]) => !isPrefix(items, final.get(key) ?? []))
      .map(([key, items]) => `somebody saw ${items} of list ${key}, which is ${final.get(key)} at the end`)
  }
}
