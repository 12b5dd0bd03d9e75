/**
 * Preloaded into a child (`node --import`): replaces the source of one file as it is loaded, in all of its threads.
 * The child says so on stderr; without that line nothing was tested.
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { mutate } from './mutant.ts'
import { APPLIED, MUTANT_VARIABLE, readMutant } from './run-mutant.ts'

const mutant = readMutant(process.env[MUTANT_VARIABLE])
if (mutant !== undefined) {
  const target = new URL(`../../${mutant.file}`, import.meta.url).href
  registerHooks({
    load: (url, context, nextLoad) => {
      if (url !== target) return nextLoad(url, context)
      const source = mutate(mutant, readFileSync(fileURLToPath(url), 'utf8'))
      process.stderr.write(`${APPLIED} ${mutant.name}\n`)
      return { format: 'module-typescript', source, shortCircuit: true }
    },
  })
}
