/**
 * One seeded run, as the command and the tests see it. `world.ts` is the real one; a module that exports `runSeed`
 * can stand in for it.
 */
import { SimFailure } from './checks.ts'
import { EventQueue } from './events.ts'
import { Random } from './random.ts'
import { forbidOutsideWorld } from './sealed-room.ts'
import { Trace } from './trace.ts'

export interface RunOptions {
  /** Gets every line of the trace. */
  readonly print?: (line: string) => void
}

export interface RunResult {
  readonly seed: number
  /** Equal for two runs only if all they did was. */
  readonly hash: string
  readonly virtualMs: number
  /** What happened how often: faults, flushes, recoveries ... A rare path that no run takes tests nothing. */
  readonly counts: Readonly<Record<string, number>>
}

export type RunSeed = (seed: number, options: RunOptions) => Promise<RunResult>

/** What a scenario is given for one seed. */
export interface Stage {
  readonly seed: number
  readonly events: EventQueue
  readonly random: Random
  readonly trace: Trace
  /** Counts one occurrence of something worth knowing. */
  count(what: string): void
}

/** Turns a scenario into `runSeed`: seals it off from the real world and reports what it throws with its trace. */
export function seeded(scenario: (stage: Stage) => Promise<void>): RunSeed {
  return async (seed, options) => {
    const events = new EventQueue()
    const trace = new Trace(events, options.print)
    const counts: Record<string, number> = {}
    const count = (what: string): void => {
      counts[what] = (counts[what] ?? 0) + 1
    }
    const reopen = forbidOutsideWorld()
    try {
      await scenario({ seed, events, random: new Random(seed), trace, count })
    } catch (error) {
      throw new SimFailure(seed, events.nowUs / 1_000, trace.tail(), error)
    } finally {
      reopen()
    }
    return { seed, hash: trace.hash, virtualMs: events.nowUs / 1_000, counts }
  }
}
