/** Runs what has to notice a mutant in a child process, and says whether it did. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutant.ts'

export const MUTANT_VARIABLE = 'BOREALIS_SIM_MUTANT'
export const APPLIED = 'mutant applied:'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PRELOAD = new URL('./patch-on-load.ts', import.meta.url).href

/** A mutant may loop for ever; that is noticed too. */
const RUN_MS_MAX = 120_000

export type Verdict = 'noticed' | 'survived' | 'not applied'

export interface MutantRun {
  readonly verdict: Verdict
  readonly output: string
}

export function readMutant(text: string | undefined): Mutant | undefined {
  return text === undefined || text === '' ? undefined : (JSON.parse(text) as Mutant)
}

function commandOf({ runner }: Mutant): string[] {
  if (runner.kind === 'seeds') {
    return ['sim/main.ts', '--from', String(runner.from), '--seeds', String(runner.seeds), '--stop']
  }
  // In this process, so that the preloaded hook sees the file under test.
  return ['--test-isolation=none', '--test', runner.file]
}

/**
 * The checks end with a count of failures; a child that ends otherwise broke down, and that proves nothing, unless it
 * was stopped because it hung.
 */
function failuresIn(output: string): number | undefined {
  const counts = [...output.matchAll(/^(?:\d+ passed, (\d+) failed|ℹ fail (\d+)|# fail (\d+))$/gm)].at(-1)
  return counts === undefined ? undefined : Number(counts[1] ?? counts[2] ?? counts[3])
}

export function runMutant(mutant: Mutant, msMax = RUN_MS_MAX): Promise<MutantRun> {
  return new Promise((resolve, reject) => {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const child = spawn(process.execPath, ['--import', PRELOAD, ...commandOf(mutant)], {
      cwd: ROOT,
      env: { ...env, [MUTANT_VARIABLE]: JSON.stringify(mutant) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    let hung = false
    const limit = setTimeout(() => {
      hung = true
      child.kill('SIGKILL')
    }, msMax)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (text: string) => {
        output += text
      })
    }
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(limit)
      const applied = output.includes(`${APPLIED} ${mutant.name}\n`)
      const failures = failuresIn(output)
      // Seeds that hang are stopped and counted one by one: all of them together may just be slow.
      const hangs = hung && mutant.runner.kind === 'test'
      const noticed = hangs || (failures ?? 0) > 0
      if (!applied) resolve({ verdict: 'not applied', output })
      else if (!hung && failures === undefined) resolve({ verdict: 'not applied', output: `it broke down:\n${output}` })
      else resolve({ verdict: noticed ? 'noticed' : 'survived', output })
    })
  })
}
