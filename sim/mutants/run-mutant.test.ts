import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MUTANTS } from './catalogue.ts'
import { type Mutant, mutate } from './mutant.ts'
import { runMutant } from './run-mutant.ts'

const sourceOf = (mutant: Mutant): string =>
  readFileSync(fileURLToPath(new URL(`../../${mutant.file}`, import.meta.url)), 'utf8')

describe('the catalogue of mutants', () => {
  it('names each once', () => {
    assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length)
  })

  it('is in docs/simulator.md, with what has to notice', () => {
    const rows = readFileSync(new URL('../../docs/simulator.md', import.meta.url), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| '))
      .map((line) => line.split('|').map((cell) => cell.trim()))
    for (const { name, runner } of MUTANTS) {
      const row = rows.find((cells) => cells.some((cell) => cell.split('; ').includes(name)))
      assert.ok(row, `"${name}" is not there`)
      if (runner.kind === 'test') assert.ok(row.includes(`\`${runner.file.replace(/^src\//, '')}\``), name)
    }
  })

  it('changes source that is there, into source that parses', () => {
    for (const mutant of MUTANTS) mutate(mutant, sourceOf(mutant))
  })
})

describe('a mutant', () => {
  const mutant: Mutant = {
    name: 'test of the harness',
    rule: 'A record is visible from the end of its mini-transaction on.',
    file: 'src/protocol/record.ts',
    find: '(record.lsn + record.toCpl) as Lsn',
    replace: 'record.lsn',
    runner: { kind: 'test', file: 'src/protocol/record.test.ts' },
  }

  it('has to be exactly one change that parses', () => {
    const source = sourceOf(mutant)
    assert.throws(() => mutate({ ...mutant, find: 'not there' }, source), /0 times/)
    assert.throws(() => mutate({ ...mutant, find: 'record' }, source), /times instead of once/)
    assert.throws(() => mutate({ ...mutant, replace: mutant.find }, source), /changes nothing/)
    assert.throws(() => mutate({ ...mutant, replace: '((' }, source))
  })

  it('is noticed by a check that looks at its rule', async () => {
    assert.equal((await runMutant(mutant)).verdict, 'noticed')
  })

  it('survives a check that does not, or a change that matters to nobody', async () => {
    assert.equal((await runMutant({ ...mutant, replace: '(record.toCpl + record.lsn) as Lsn' })).verdict, 'survived')
  })

  it('is not applied when the check does not load its file, or breaks down', async () => {
    const elsewhere: Mutant = { ...mutant, runner: { kind: 'test', file: 'sim/random.test.ts' } }
    assert.equal((await runMutant(elsewhere)).verdict, 'not applied')
    assert.equal((await runMutant({ ...mutant, find: 'not there' })).verdict, 'not applied')
  })

  it('that hangs is noticed', async () => {
    const hangs: Mutant = { ...mutant, replace: '((): Lsn => { for (;;); })()' }
    assert.equal((await runMutant(hangs, 3_000)).verdict, 'noticed')
  })
})
