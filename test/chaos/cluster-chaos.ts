/** A cluster under load to which everything happens that it has to survive, and what has to be true of it afterwards. */
import assert from 'node:assert/strict'
import type pg from 'pg'
import { Random } from '../../sim/random.ts'
import { checkRelations } from '../database-checks.ts'
import { connectAsSuperuser } from '../postgres-instance.ts'
import { RegionHome } from '../region-home.ts'
import { pause, until } from '../waiting.ts'
import { ChaosEvents } from './chaos-events.ts'
import { ACCOUNT_BALANCE, CHAOS_SCHEMA, ChaosLoad, itemsOf, TOTAL_BALANCE } from './chaos-load.ts'
import { ChaosSessions } from './chaos-sessions.ts'
import { EndpointNames } from './endpoint-client.ts'
import { finalProblems, snapshotProblems } from './ledger-history.ts'
import { listAppendAnomalies } from './list-append.ts'

export interface ChaosOptions {
  readonly seed: number
  /** Of the events; what comes before and after is not counted. */
  readonly ms: number
  readonly readers: number
  /** Commits are acknowledged before they are durable: then this has to find that some are lost. */
  readonly asynchronous: boolean
  readonly say: (line: string) => void
}

const CLUSTER = 'demo'
const NODE_SETTINGS = ['logFileBytes=4194304', 'logRetainBytes=8388608', 'flushBytes=1048576', 'layerBytes=4194304']
const CLIENTS = { appenders: 3, payers: 3, listWriters: 4 }

/** After each event the next may come at once, or when the cluster has been seen to go on. */
const CALM_CHANCE = 0.6
const CALM_WRITES = 50
const GAP_MS_MAX = 2000
/** For nobody to be able to write, on a machine with other work, while one thing after the other happens. */
const OUTAGE_MS_MAX = 180_000
const PROBLEMS_SHOWN = 40

export interface ChaosReport {
  readonly seed: number
  readonly events: Readonly<Record<string, number>>
  readonly refusals: readonly string[]
  readonly committed: number
  readonly unknown: number
  readonly failed: number
  readonly snapshots: { readonly writer: number; readonly reader: number; readonly sessions: number }
  readonly pauseMsMax: number
  readonly problems: readonly string[]
}

interface Chaos {
  readonly home: RegionHome
  readonly load: ChaosLoad
  readonly sessions: ChaosSessions
  readonly events: ChaosEvents
  readonly options: ChaosOptions
}

/** Resolves with what was wrong; everything that was started is gone then. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, readers, say } = options
  const sets = NODE_SETTINGS.flatMap((setting) => ['--set', setting])
  await using home = await RegionHome.make(['--memory-mib', '128', '--readers', `${readers}`, ...sets])
  home.environment.BOREALIS_HOSTS_FILE = EndpointNames.makeHostsFile(home)
  await home.up()
  const superuser = await home.superuser(CLUSTER)
  await superuser.query(CHAOS_SCHEMA)
  if (options.asynchronous) await superuser.query('ALTER ROLE postgres SET synchronous_commit = off')
  await superuser.query('GRANT ALL ON ALL TABLES IN SCHEMA public TO postgres')
  await superuser.end()
  const random = new Random(seed)
  const names = await EndpointNames.of(home, CLUSTER)
  const load = new ChaosLoad(names, random.fork('load'), CLIENTS)
  const sessions = new ChaosSessions(names, load)
  const events = new ChaosEvents(home, CLUSTER, random.fork('events'), say)
  const chaos = { home, load, sessions, events, options }
  load.start()
  sessions.start()
  try {
    await happen(chaos, random.fork('times'))
    return await judge(chaos)
  } catch (error) {
    say(`${JSON.stringify(await home.status().catch(String), undefined, 1)}\n${home.logs()}`)
    throw error
  } finally {
    await events.settle()
    await Promise.all([load.stop(), sessions.stop()])
  }
}

async function happen({ load, events, options }: Chaos, random: Random): Promise<void> {
  const end = performance.now() + options.ms
  while (performance.now() < end) {
    await events.happen()
    if (random.chance(CALM_CHANCE)) await load.progress(CALM_WRITES, OUTAGE_MS_MAX)
    await pause(random.below(GAP_MS_MAX))
  }
  await events.settle()
  await load.progress(CALM_WRITES, OUTAGE_MS_MAX)
}

/** Who writes, asked of each of them. */
async function writers(home: RegionHome): Promise<string[]> {
  const { instances } = await home.status()
  const found: string[] = []
  for (const { name, port } of instances.filter(({ cluster }) => cluster === CLUSTER)) {
    const client = await connectAsSuperuser(`${home.root}/instances/${name}/run`, port)
    const { rows } = await client.query('SELECT pg_is_in_recovery() AS "isReader"')
    await client.end()
    if (rows[0]?.isReader === false) found.push(name)
  }
  return found
}

const isWhole = async (home: RegionHome): Promise<boolean> => {
  const { instances, storageNodes } = await home.status()
  return instances.every(({ state }) => state === 'available') && storageNodes.every(({ state }) => state === 'running')
}

/** All that is there of what the load wrote. */
async function contents(client: pg.Client) {
  const ledger = new Map<number, Set<number>>()
  const { rows } = await client.query({ text: 'SELECT author, entry FROM ledger', rowMode: 'array' })
  for (const [author, entry] of rows as [number, number][]) {
    const entries = ledger.get(author)
    if (entries === undefined) ledger.set(author, new Set([entry]))
    else entries.add(entry)
  }
  const lists = new Map<number, readonly number[]>()
  for (const table of ['arrays', 'texts'])
    for (const { key, items } of (await client.query(`SELECT key, items FROM ${table}`)).rows)
      lists.set(key, itemsOf(items))
  return { ledger, lists }
}

/** Each transfer is in both accounts, or it is nowhere. */
async function accountProblems(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(`
    SELECT id, balance, wanted FROM accounts JOIN (
      SELECT id, ${ACCOUNT_BALANCE} - coalesce(sum(amount) FILTER (WHERE debtor = id), 0)
        + coalesce(sum(amount) FILTER (WHERE creditor = id), 0) AS wanted
      FROM accounts LEFT JOIN ledger ON id IN (debtor, creditor) GROUP BY id) w USING (id)
    WHERE balance <> wanted`)
  return rows.map(({ id, balance, wanted }) => `account ${id} has ${balance}; by the ledger it is ${wanted}`)
}

async function judge({ home, load, sessions, events, options }: Chaos): Promise<ChaosReport> {
  await until('everything is available again', () => isWhole(home).catch(() => false), OUTAGE_MS_MAX)
  await load.stop()
  const client = await home.superuser(CLUSTER)
  const { ledger, lists } = await contents(client)
  // Readers show all of it in the end.
  const shown = sessions.snapshots.length
  await until(
    'all readers show everything',
    async () => {
      const recent = await readerCounts(home)
      const all = [...ledger.values()].reduce((sum, entries) => sum + entries.size, 0)
      return recent.every((count) => count === all)
    },
    OUTAGE_MS_MAX,
  )
  await until('a last look', () => sessions.snapshots.length > shown + 1, OUTAGE_MS_MAX)
  await sessions.stop()
  const { snapshots } = sessions
  const of = (role: string) => snapshots.filter((each) => each.role === role).length
  const outcomes = [
    ...load.authors.flatMap((author) => author.outcomes),
    ...load.transactions.map(({ outcome }) => outcome),
  ]
  const count = (outcome: string) => outcomes.filter((each) => each === outcome).length
  const found = await writers(home)
  const check = await home.borealis('volume', 'check', CLUSTER)
  const problems = [
    ...finalProblems(load.authors, ledger),
    ...snapshotProblems(snapshots, ledger, TOTAL_BALANCE),
    ...sessions.problems,
    ...sessions.listProblems(lists),
    ...listAppendAnomalies(load.transactions, lists).map(({ name, text }) => `${name}: ${text}`),
    ...(await accountProblems(client)),
    ...(await checkRelations(client)).problems,
    ...(found.length === 1 ? [] : [`these write: ${found.join(', ') || 'nobody'}`]),
    ...(check.status === 0 ? [] : [`volume check: ${check.output}`]),
  ]
  await client.end()
  return {
    seed: options.seed,
    events: events.counts,
    refusals: [...new Set(events.refusals)],
    committed: count('committed'),
    unknown: count('unknown'),
    failed: count('failed'),
    snapshots: { writer: of('writer'), reader: of('reader'), sessions: sessions.sessions },
    pauseMsMax: Math.round(load.pauseMsMax),
    problems:
      problems.length > PROBLEMS_SHOWN ? [...problems.slice(0, PROBLEMS_SHOWN), `${problems.length} in all`] : problems,
  }
}

async function readerCounts(home: RegionHome): Promise<number[]> {
  const { instances } = await home.status()
  const counts: number[] = []
  for (const { name, port, role } of instances) {
    if (role !== 'reader') continue
    const client = await connectAsSuperuser(`${home.root}/instances/${name}/run`, port)
    counts.push((await client.query('SELECT count(*)::int AS count FROM ledger')).rows[0]?.count)
    await client.end()
  }
  return counts
}

/** Of a run that was long enough for it: that something has happened, and that it was looked at. */
export function assertMeaningful({ committed, snapshots, events }: ChaosReport): void {
  const happened = Object.values(events).reduce((sum, count) => sum + count, 0)
  assert(happened >= 5, `only ${happened} events`)
  assert(committed > 200, `only ${committed} commits`)
  assert(snapshots.reader > 50 && snapshots.writer > 50, `only ${JSON.stringify(snapshots)} snapshots`)
}
