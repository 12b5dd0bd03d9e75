/**
 * Clients that write through the writer endpoint, all the time, and remember what they were told: entries of a ledger,
 * some of them transfers between accounts, and serializable transactions that read lists and append to them.
 */
import type { Random } from '../../sim/random.ts'
import { pause, until } from '../waiting.ts'
import { type EndpointClient, type EndpointNames, isReadOnly, isRefusal } from './endpoint-client.ts'
import { Author } from './ledger-history.ts'
import type { Operation, Transaction } from './list-append.ts'

const ACCOUNTS = 20
export const ACCOUNT_BALANCE = 1000
export const TOTAL_BALANCE = ACCOUNTS * ACCOUNT_BALANCE

/** Lists with an even number are arrays, the others are text. */
export const CHAOS_SCHEMA = `
  CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);
  INSERT INTO accounts SELECT a, ${ACCOUNT_BALANCE} FROM generate_series(0, ${ACCOUNTS - 1}) a;
  CREATE TABLE authors (author int PRIMARY KEY);
  CREATE TABLE ledger (author int, entry int, debtor int, creditor int, amount int, PRIMARY KEY (author, entry));
  CREATE TABLE arrays (key int PRIMARY KEY, items int[] NOT NULL);
  CREATE TABLE texts (key int PRIMARY KEY, items text NOT NULL);`

const ENTRY = `
  WITH known AS (INSERT INTO authors VALUES ($1) ON CONFLICT DO NOTHING)
  INSERT INTO ledger VALUES ($1, $2, $3, $4, $5)`

/** What a snapshot shows of an author is found by counting it. */
const ENTRIES_MAX = 200
/** Lists that are written at a time, and how long they get: few, so that transactions meet. */
const LISTS = 5
const LIST_LENGTH = 30
const OPERATIONS_MAX = 4
const RECONNECT_MS = 50
/** Some clients give up early, and connect again while the server is still at it. */
const ANSWER_MS = { min: 1000, max: 15_000 }
const PAUSE_MS_MAX = 20

export interface LoadClients {
  readonly appenders: number
  readonly payers: number
  readonly listWriters: number
}

/** Done, or not done; or its client was told nothing, and its connection is of no use any more. */
type Told = 'committed' | 'failed' | 'unknown'

export class ChaosLoad {
  readonly #names: EndpointNames
  readonly #random: Random
  readonly #clients: LoadClients
  readonly authors: Author[] = []
  readonly #writing = new Set<Author>()
  readonly transactions: Transaction[] = []
  #isStopped = false
  #running: Promise<unknown> = Promise.resolve()
  #lastList = LISTS - 1
  readonly #lists: { key: number; next: number }[] = Array.from({ length: LISTS }, (_, key) => ({ key, next: 1 }))
  #lastWriteMs = 0
  writes = 0
  /** The longest time in which nobody wrote anything. */
  pauseMsMax = 0

  constructor(names: EndpointNames, random: Random, clients: LoadClients) {
    this.#names = names
    this.#random = random
    this.#clients = clients
  }

  start(): void {
    const { appenders, payers, listWriters } = this.#clients
    this.#lastWriteMs = performance.now()
    const many = (count: number, run: (random: Random) => Promise<void>, name: string) =>
      Array.from({ length: count }, (_, i) => run(this.#random.fork(`${name} ${i}`)))
    this.#running = Promise.all([
      ...many(appenders, (random) => this.#author(random, false), 'appender'),
      ...many(payers, (random) => this.#author(random, true), 'payer'),
      ...many(listWriters, (random) => this.#listWriter(random), 'list writer'),
    ])
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  /** Resolves when so many more transactions were acknowledged. */
  progress(count: number, deadlineMs: number): Promise<unknown> {
    const wanted = this.writes + count
    return until(`${count} more writes`, () => this.writes >= wanted, deadlineMs)
  }

  /** Pairs of authors who write now and their last entry that was acknowledged. */
  acknowledged(): Int32Array {
    const told = [...this.#writing].filter(({ acknowledged }) => acknowledged >= 0)
    return Int32Array.from(told.flatMap(({ id, acknowledged }) => [id, acknowledged]))
  }

  #wrote(): void {
    const nowMs = performance.now()
    this.pauseMsMax = Math.max(this.pauseMsMax, nowMs - this.#lastWriteMs)
    this.#lastWriteMs = nowMs
    this.writes++
  }

  /** Works on connections until it is over; `work` tells when the one that it has is of no use any more. */
  async #connected(random: Random, work: (client: EndpointClient) => Promise<Told>): Promise<void> {
    while (!this.#isStopped) {
      const answerMs = random.between(ANSWER_MS.min, ANSWER_MS.max)
      const client = await this.#names.connect(this.#names.the('writer'), answerMs).catch(() => undefined)
      if (client === undefined) {
        await pause(RECONNECT_MS)
        continue
      }
      while (!this.#isStopped) {
        const told = await work(client)
        if (told === 'committed') this.#wrote()
        if (told === 'unknown') break
        await pause(random.below(PAUSE_MS_MAX))
      }
      client.drop()
    }
  }

  /** @param sent whether the server may have committed it without our knowing @returns what the client knows of it */
  #told(error: unknown, sent: boolean): { readonly told: Told; readonly isOver: boolean } {
    if (!isRefusal(error)) return { told: sent ? 'unknown' : 'failed', isOver: true }
    return { told: 'failed', isOver: isReadOnly(error) }
  }

  // -------------------------------------------------------------- ledger

  async #author(random: Random, pays: boolean): Promise<void> {
    let author: Author | undefined
    await this.#connected(random, async (client) => {
      if (author === undefined || author.outcomes.length >= ENTRIES_MAX || author.outcomes.at(-1) === 'unknown') {
        if (author !== undefined) this.#writing.delete(author)
        author = new Author(this.authors.length)
        this.authors.push(author)
        this.#writing.add(author)
      }
      const entry = author.begin()
      const { told, isOver } = pays
        ? await this.#pay(client, random, author.id, entry)
        : await this.#append(client, author.id, entry)
      author.settle(entry, told)
      return isOver ? 'unknown' : told
    })
  }

  async #append(client: EndpointClient, author: number, entry: number) {
    try {
      await client.query(ENTRY, [author, entry, null, null, null])
      return { told: 'committed', isOver: false } as const
    } catch (error) {
      return this.#told(error, true)
    }
  }

  async #pay(client: EndpointClient, random: Random, author: number, entry: number) {
    const [debtor, creditor] = random.shuffled(Array.from({ length: ACCOUNTS }, (_, i) => i))
    const amount = random.between(1, 50)
    const rollsBack = random.chance(0.1)
    return this.#transaction(client, 'BEGIN', rollsBack, async () => {
      await client.query('UPDATE accounts SET balance = balance - $2 WHERE id = $1', [debtor, amount])
      await client.query('UPDATE accounts SET balance = balance + $2 WHERE id = $1', [creditor, amount])
      await client.query(ENTRY, [author, entry, debtor, creditor, amount])
    })
  }

  /** What fails before the end was asked for has not happened. */
  async #transaction(client: EndpointClient, begin: string, rollsBack: boolean, work: () => Promise<void>) {
    let sent = false
    try {
      await client.query(begin)
      await work()
      sent = !rollsBack
      const { command } = await client.query(rollsBack ? 'ROLLBACK' : 'COMMIT')
      return { told: command === 'COMMIT' ? 'committed' : 'failed', isOver: false } as const
    } catch (error) {
      const { told, isOver } = this.#told(error, sent)
      if (isOver) return { told, isOver }
      // A server that does not take this any more ends the connection for us.
      const isEnded = await client.query('ROLLBACK').then(
        () => false,
        () => true,
      )
      return { told, isOver: isEnded }
    }
  }

  // -------------------------------------------------------------- lists

  async #listWriter(random: Random): Promise<void> {
    await this.#connected(random, async (client) => {
      const id = this.transactions.length
      const operations: Operation[] = []
      // Its place is taken at once; what it has done is known when it is over.
      this.transactions.push({ id, outcome: 'unknown', operations })
      const { told, isOver } = await this.#transaction(
        client,
        'BEGIN ISOLATION LEVEL SERIALIZABLE',
        random.chance(0.05),
        async () => {
          for (let i = random.between(1, OPERATIONS_MAX); i > 0; i--) await this.#operate(client, random, operations)
        },
      )
      this.transactions[id] = { id, outcome: told, operations }
      return isOver ? 'unknown' : told
    })
  }

  async #operate(client: EndpointClient, random: Random, operations: Operation[]): Promise<void> {
    const at = random.below(LISTS)
    const list = this.#lists[at]!
    const { key } = list
    const isArray = key % 2 === 0
    if (random.chance(0.5)) {
      const text = isArray ? 'SELECT items FROM arrays WHERE key = $1' : 'SELECT items FROM texts WHERE key = $1'
      const { rows } = await client.query(text, [key])
      operations.push({ kind: 'read', key, values: itemsOf(rows[0]?.items) })
      return
    }
    const value = list.next++
    if (value >= LIST_LENGTH) this.#lists[at] = { key: ++this.#lastList, next: 1 }
    operations.push({ kind: 'append', key, value })
    await client.query(
      isArray
        ? `INSERT INTO arrays VALUES ($1, ARRAY[$2::int])
             ON CONFLICT (key) DO UPDATE SET items = arrays.items || excluded.items`
        : `INSERT INTO texts VALUES ($1, $2::int::text)
             ON CONFLICT (key) DO UPDATE SET items = texts.items || ' ' || excluded.items`,
      [key, value],
    )
  }
}

/** Of a list, as either table has it; nothing when it has no row yet. */
export function itemsOf(items: unknown): readonly number[] {
  if (typeof items === 'string') return items.split(' ').map(Number)
  return Array.isArray(items) ? items.map(Number) : []
}
