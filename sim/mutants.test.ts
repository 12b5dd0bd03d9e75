/** Every rule that a mutant breaks is tested: what should notice it does, within its number of seeds. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MUTANTS } from './mutants/catalogue.ts'
import { runMutant } from './mutants/run-mutant.ts'

const files = new Set(MUTANTS.map(({ file }) => file))

for (const file of files) {
  describe(file, () => {
    for (const mutant of MUTANTS.filter((other) => other.file === file)) {
      it(`${mutant.rule} (${mutant.name})`, async () => {
        const { verdict, output } = await runMutant(mutant)
        assert.equal(verdict, 'noticed', output.slice(-4_000))
      })
    }
  })
}
