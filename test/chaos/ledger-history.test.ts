import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Author, type EntryOutcome, finalProblems, type Snapshot, snapshotProblems } from './ledger-history.ts'

const OUTCOMES: Readonly<Record<string, EntryOutcome>> = { c: 'committed', f: 'failed', u: 'unknown' }

/** @param outcomes a letter for each entry */
function author(id: number, outcomes: string): Author {
  const made = new Author(id)
  for (const letter of outcomes) made.settle(made.begin(), OUTCOMES[letter]!)
  return made
}

const ledger = (entries: Record<number, number[]>) =>
  new Map(Object.entries(entries).map(([id, numbers]) => [Number(id), new Set(numbers)]))

const snapshot = (session: number, authors: number[], more: Partial<Snapshot> = {}): Snapshot => ({
  session,
  role: 'reader',
  from: 0,
  authors: Int32Array.from(authors),
  acknowledged: new Int32Array(),
  balance: 100,
  ...more,
})

const only = (problems: readonly string[], pattern: RegExp): void => {
  assert.equal(problems.length, 1, problems.join('\n'))
  assert.match(problems[0] ?? '', pattern)
}

describe('the ledger at the end', () => {
  it('has what was acknowledged, not what failed, and perhaps what is unknown', () => {
    assert.deepEqual(finalProblems([author(1, 'cfcu')], ledger({ 1: [0, 2, 3] })), [])
    assert.deepEqual(finalProblems([author(1, 'cfcu')], ledger({ 1: [0, 2] })), [])
    assert.deepEqual(finalProblems([author(1, 'fu')], ledger({})), [])
  })

  it('has lost something', () => {
    only(finalProblems([author(1, 'cc')], ledger({ 1: [0] })), /^lost: entry 1 of 1/)
    only(finalProblems([author(1, 'cu')], ledger({})), /^lost: entry 0/)
  })

  it('has something that it cannot have', () => {
    only(finalProblems([author(1, 'cf')], ledger({ 1: [0, 1] })), /^phantom: entry 1 of 1 had failed/)
    only(finalProblems([author(1, 'c')], ledger({ 1: [0, 1] })), /^phantom: entry 1 of 1 was never sent/)
    only(finalProblems([], ledger({ 1: [0] })), /^phantom: there is no author 1/)
  })
})

describe('what sessions saw', () => {
  const final = ledger({ 1: [0, 1, 3], 2: [0, 1, 2] })
  const problems = (...snapshots: Snapshot[]) => snapshotProblems(snapshots, final, 100)

  it('were beginnings of one order of commits', () => {
    assert.deepEqual(
      problems(
        snapshot(1, [1, 1, 2]),
        snapshot(2, []),
        snapshot(2, [1, 0, 1]),
        snapshot(1, [1, 1, 2, 2, 1, 2]),
        snapshot(1, [1, 3, 3, 2, 1, 2]),
        snapshot(2, [2, 2, 3], { from: 2 }),
      ),
      [],
    )
  })

  it('a balance that is not whole', () => {
    only(problems(snapshot(1, [], { balance: 99 })), /balances of 99/)
  })

  it('something that the writer does not have later', () => {
    only(problems(snapshot(1, [1, 2, 2])), /entry 2 of 1, which is not there/)
    only(problems(snapshot(1, [5, 0, 1])), /entry 0 of 5, which is not there/)
  })

  it('an entry, and not one before it', () => {
    only(problems(snapshot(1, [1, 3, 2])), /saw 2 of 3 entries of 1 up to 3/)
  })

  it('less than before in the same session', () => {
    const [problem] = problems(snapshot(1, [1, 1, 2]), snapshot(1, [1, 0, 1]))
    assert.match(problem ?? '', /session 1 on a reader saw entry 1 of 1, and then no more/)
    assert.deepEqual(problems(snapshot(1, [1, 1, 2]), snapshot(2, [1, 0, 1])), [], 'another session may')
  })

  it('a whole author less than before', () => {
    assert.match(problems(snapshot(1, [1, 1, 2, 2, 0, 1]), snapshot(1, [1, 1, 2]))[0] ?? '', /and then no more/)
  })

  it('two readers that show commits in different orders', () => {
    only(problems(snapshot(1, [1, 0, 1]), snapshot(2, [2, 0, 1])), /others and not/)
    only(problems(snapshot(1, [1, 1, 2, 2, 0, 1]), snapshot(2, [1, 0, 1, 2, 2, 3])), /others and not/)
  })

  it('a writer that does not show what was acknowledged before; a reader may', () => {
    const acknowledged = Int32Array.from([1, 1])
    only(problems(snapshot(1, [1, 0, 1], { role: 'writer', acknowledged })), /did not see entry 1 of 1/)
    only(problems(snapshot(1, [], { role: 'writer', acknowledged })), /did not see entry 1 of 1/)
    assert.deepEqual(problems(snapshot(1, [1, 0, 1], { acknowledged })), [])
    assert.deepEqual(problems(snapshot(1, [1, 1, 2], { role: 'writer', acknowledged })), [])
  })
})
