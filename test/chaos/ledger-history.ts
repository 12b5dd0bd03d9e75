/**
 * An append-only ledger, as its clients remember it: what each wrote, what it was told, and what sessions have read.
 *
 * An author writes entries 0, 1, 2 ..., each a transaction of its own, one after the other, and never writes again after
 * an entry that it was told nothing of: that may still happen any time. So what is there of an author must at any time be
 * a beginning of what it wrote, without what failed, and one number says how far.
 */
export type EntryOutcome = 'committed' | 'failed' | 'unknown'

/** What a session saw, in one snapshot. */
export interface Snapshot {
  readonly session: number
  readonly role: 'writer' | 'reader'
  /** The first author that it tells of. */
  readonly from: number
  /** Triples by author, ascending: author, the last entry that is there, how many are there. */
  readonly authors: Int32Array
  /** Pairs: author, and its last entry that was acknowledged when the snapshot was asked for. */
  readonly acknowledged: Int32Array
  /** Of all accounts. */
  readonly balance: number
}

export class Author {
  readonly id: number
  readonly outcomes: EntryOutcome[] = []
  #acknowledged = -1

  constructor(id: number) {
    this.id = id
  }

  /** The last entry that was acknowledged; -1 for none. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** @returns the number of the entry, which nobody knows anything of yet */
  begin(): number {
    return this.outcomes.push('unknown') - 1
  }

  settle(entry: number, outcome: EntryOutcome): void {
    this.outcomes[entry] = outcome
    if (outcome === 'committed') this.#acknowledged = entry
  }
}

/** What is in the ledger at the end: the entries of each author. */
export type FinalLedger = ReadonlyMap<number, ReadonlySet<number>>

export function finalProblems(authors: readonly Author[], final: FinalLedger): string[] {
  const problems: string[] = []
  for (const { id, outcomes } of authors) {
    const there = final.get(id) ?? new Set()
    for (const [entry, outcome] of outcomes.entries()) {
      if (outcome === 'committed' && !there.has(entry)) problems.push(`lost: entry ${entry} of ${id} was acknowledged`)
      if (outcome === 'failed' && there.has(entry)) problems.push(`phantom: entry ${entry} of ${id} had failed`)
    }
    for (const entry of there)
      if (entry >= outcomes.length) problems.push(`phantom: entry ${entry} of ${id} was never sent`)
  }
  const known = new Set(authors.map(({ id }) => id))
  for (const id of final.keys()) if (!known.has(id)) problems.push(`phantom: there is no author ${id}`)
  return problems
}

interface Seen {
  readonly author: number
  readonly last: number
  readonly count: number
}

function* seenIn({ authors }: Snapshot): Generator<Seen> {
  for (let i = 0; i < authors.length; i += 3)
    yield { author: authors[i]!, last: authors[i + 1]!, count: authors[i + 2]! }
}

/** The entries of each author in order, to count those up to one of them. */
class FinalEntries {
  readonly #entries: ReadonlyMap<number, readonly number[]>

  constructor(final: FinalLedger) {
    this.#entries = new Map([...final].map(([author, entries]) => [author, [...entries].sort((a, b) => a - b)]))
  }

  /** How many there are up to this one; undefined when this one is not there. */
  upTo(author: number, entry: number): number | undefined {
    const at = this.#entries.get(author)?.indexOf(entry) ?? -1
    return at < 0 ? undefined : at + 1
  }

  before(author: number): number {
    let count = 0
    for (const [each, entries] of this.#entries) if (each < author) count += entries.length
    return count
  }
}

const lastOf = (snapshot: Snapshot, author: number): number => {
  for (const seen of seenIn(snapshot)) if (seen.author === author) return seen.last
  return -1
}

/** @returns an author of whom `later` shows less than `earlier`; undefined when there is none */
function missing(earlier: Snapshot, later: Snapshot): Seen | undefined {
  for (const seen of seenIn(earlier))
    if (seen.author >= later.from && lastOf(later, seen.author) < seen.last) return seen
  return undefined
}

const nameOf = ({ role, session }: Snapshot): string => `session ${session} on a ${role}`

/** What one session saw stays seen by it. */
function sessionProblems(snapshots: readonly Snapshot[]): string[] {
  const before = new Map<number, Snapshot>()
  return snapshots.flatMap((snapshot) => {
    const last = before.get(snapshot.session)
    before.set(snapshot.session, snapshot)
    const gone = last === undefined ? undefined : missing(last, snapshot)
    return gone === undefined ? [] : [`${nameOf(snapshot)} saw entry ${gone.last} of ${gone.author}, and then no more`]
  })
}

/** All snapshots show beginnings of one and the same order of commits: of any two, one has all that the other has. */
function orderProblems(snapshots: readonly Snapshot[], final: FinalEntries): string[] {
  const before = new Map<number, number>()
  const size = (snapshot: Snapshot): number => {
    const { from } = snapshot
    let sum = before.get(from) ?? final.before(from)
    before.set(from, sum)
    for (const { count } of seenIn(snapshot)) sum += count
    return sum
  }
  const sorted = snapshots.map((snapshot) => ({ snapshot, size: size(snapshot) })).sort((a, b) => a.size - b.size)
  return sorted.slice(1).flatMap(({ snapshot }, i) => {
    const smaller = sorted[i]!.snapshot
    const seen = missing(smaller, snapshot)
    return seen === undefined
      ? []
      : [`${nameOf(smaller)} saw entry ${seen.last} of ${seen.author}, ${nameOf(snapshot)} others and not that one`]
  })
}

/** @param balance that all accounts have together, at any time */
export function snapshotProblems(snapshots: readonly Snapshot[], ledger: FinalLedger, balance: number): string[] {
  const final = new FinalEntries(ledger)
  const problems: string[] = []
  for (const snapshot of snapshots) {
    const name = nameOf(snapshot)
    if (snapshot.balance !== balance) problems.push(`${name} saw balances of ${snapshot.balance}, not ${balance}`)
    for (const { author, last, count } of seenIn(snapshot)) {
      const there = final.upTo(author, last)
      if (there === undefined) problems.push(`${name} saw entry ${last} of ${author}, which is not there at the end`)
      else if (there !== count) problems.push(`${name} saw ${count} of ${there} entries of ${author} up to ${last}`)
    }
    if (snapshot.role === 'reader') continue
    const { acknowledged } = snapshot
    for (let i = 0; i < acknowledged.length; i += 2) {
      const [author = 0, entry = 0] = acknowledged.subarray(i, i + 2)
      if (author >= snapshot.from && lastOf(snapshot, author) < entry)
        problems.push(`${name} did not see entry ${entry} of ${author}, which had been acknowledged`)
    }
  }
  const of = (role: Snapshot['role']) => snapshots.filter((each) => each.role === role)
  problems.push(...sessionProblems(snapshots))
  // A commit is seen on the writer a moment before or after it is in the log: writer and readers each have an order.
  for (const role of ['writer', 'reader'] as const) problems.push(...orderProblems(of(role), final))
  return problems
}
