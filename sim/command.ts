/** `npm run sim`: arguments, report and exit status. */
import { parseArgs } from 'node:util'
import type { RunSeed } from './scenario.ts'
import { failureOf, runSeeds, type SeedFailure } from './seed-runner.ts'

const USAGE = 'npm run sim -- --seeds N [--from S] [--workers W] [--stop] [--trace] [--counts]'

/** Two cores are what a machine is sure to have. */
const WORKERS = 2
/** More failures are counted but no longer shown: the first tell what there is to know. */
const SHOWN_FAILURES = 3
const PROGRESS_EVERY = 1_000

interface Arguments {
  readonly seeds: number
  readonly from: number
  readonly workers: number
  /** End at the first failure. */
  readonly stop: boolean
  readonly trace: boolean
  readonly counts: boolean
}

function readArguments(argv: readonly string[]): Arguments | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '1' },
        workers: { type: 'string', default: String(WORKERS) },
        stop: { type: 'boolean', default: false },
        trace: { type: 'boolean', default: false },
        counts: { type: 'boolean', default: false },
      },
    })
    const { stop, trace, counts } = values
    const number = (name: 'seeds' | 'from' | 'workers'): number => {
      if (!/^\d{1,9}$/.test(values[name])) throw new RangeError(`--${name} is a whole number, not ${values[name]}`)
      return Number(values[name])
    }
    return {
      seeds: number('seeds'),
      from: number('from'),
      workers: Math.max(1, number('workers')),
      stop,
      trace,
      counts,
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function report(failure: SeedFailure, write: (line: string) => void): void {
  for (const line of failure.trace) write(line)
  write(`seed ${failure.seed} failed at ${failure.virtualMs.toFixed(3)} ms: ${failure.message}`)
  if (failure.stack !== '') write(failure.stack)
  write(`replay: npm run sim -- --seeds 1 --from ${failure.seed} --trace`)
}

/** @returns the exit status: 0 when all passed, 1 when some failed, 2 for wrong usage */
export async function simulate(
  argv: readonly string[],
  scenario: string,
  write: (line: string) => void,
): Promise<number> {
  const args = readArguments(argv)
  if (typeof args === 'string') {
    write(`${args}; usage: ${USAGE}`)
    return 2
  }
  let passed = 0
  const failures: SeedFailure[] = []
  const counts: Record<string, number> = {}
  const onPass = (result: { readonly counts: Readonly<Record<string, number>> }): void => {
    passed++
    for (const [what, count] of Object.entries(result.counts)) counts[what] = (counts[what] ?? 0) + count
    if ((passed + failures.length) % PROGRESS_EVERY === 0) write(`${passed + failures.length} of ${args.seeds} seeds`)
  }
  const onFailure = (failure: SeedFailure): void => {
    failures.push(failure)
    if (failures.length <= SHOWN_FAILURES) report(failure, write)
  }
  if (args.trace) await traceSeeds(args, scenario, write, onPass, onFailure)
  else await runSeeds({ ...args, stopAtFailure: args.stop, scenario, passed: onPass, failed: onFailure })
  if (failures.length > SHOWN_FAILURES) {
    const seeds = failures.slice(SHOWN_FAILURES).map(({ seed }) => seed)
    write(
      `more seeds that failed: ${seeds
        .sort((a, b) => a - b)
        .slice(0, 50)
        .join(', ')}`,
    )
  }
  if (args.counts) for (const what of Object.keys(counts).sort()) write(`${String(counts[what]).padStart(10)} ${what}`)
  write(`${passed} passed, ${failures.length} failed`)
  return failures.length === 0 ? 0 : 1
}

/** In this thread, one after the other, every line as it happens. */
async function traceSeeds(
  { seeds, from }: Arguments,
  scenario: string,
  write: (line: string) => void,
  passed: (result: Awaited<ReturnType<RunSeed>>) => void,
  failed: (failure: SeedFailure) => void,
): Promise<void> {
  const { runSeed } = (await import(scenario)) as { runSeed: RunSeed }
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      passed(await runSeed(seed, { print: write }))
    } catch (error) {
      // The trace is on the screen already.
      failed({ ...failureOf(seed, error), trace: [] })
    }
  }
}
