/** Runs many seeds over a few threads, and stops what hangs. */
import { Worker } from 'node:worker_threads'
import { SimFailure } from './checks.ts'
import type { RunResult } from './scenario.ts'

/** A seed takes about 0.2 s; one that takes this long is in an endless loop. */
const SEED_MS_MAX = 60_000

export interface SeedFailure {
  readonly seed: number
  readonly virtualMs: number
  readonly message: string
  readonly stack: string
  readonly trace: readonly string[]
}

export interface WorkerTask {
  /** URL of a module that exports `runSeed`. */
  readonly scenario: string
  readonly from: number
  readonly seeds: number
  /** Index of the next seed, shared by all threads. */
  readonly counter: SharedArrayBuffer
}

export type SeedMessage =
  | { readonly kind: 'began'; readonly seed: number }
  | { readonly kind: 'passed'; readonly result: RunResult }
  | { readonly kind: 'failed'; readonly failure: SeedFailure }

export function failureOf(seed: number, error: unknown): SeedFailure {
  const cause = error instanceof SimFailure ? error.cause : error
  return {
    seed,
    virtualMs: error instanceof SimFailure ? error.virtualMs : 0,
    message: error instanceof Error ? error.message : String(error),
    stack: cause instanceof Error ? (cause.stack ?? '') : '',
    trace: error instanceof SimFailure ? error.trace : [],
  }
}

export interface SeedsOptions {
  readonly scenario: string
  readonly from: number
  readonly seeds: number
  readonly workers: number
  readonly passed: (result: RunResult) => void
  readonly failed: (failure: SeedFailure) => void
  readonly seedMsMax?: number
  /** Begin no more seeds once one has failed. */
  readonly stopAtFailure?: boolean
}

/** Resolves when every seed has passed or failed. */
export async function runSeeds(options: SeedsOptions): Promise<void> {
  const counter = new SharedArrayBuffer(4)
  const { scenario, from, seeds, workers } = options
  const task: WorkerTask = { scenario, from, seeds, counter }
  const failed = (failure: SeedFailure): void => {
    if (options.stopAtFailure === true) Atomics.store(new Int32Array(counter), 0, seeds)
    options.failed(failure)
  }
  await Promise.all(Array.from({ length: Math.min(workers, seeds) }, () => runWorker(task, { ...options, failed })))
}

/** One thread, replaced when it had to be killed. */
async function runWorker(task: WorkerTask, options: SeedsOptions): Promise<void> {
  while (Atomics.load(new Int32Array(task.counter), 0) < task.seeds) await runUntilEnd(task, options)
}

function runUntilEnd(task: WorkerTask, { passed, failed, seedMsMax = SEED_MS_MAX }: SeedsOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./seed-worker.ts', import.meta.url), { workerData: task })
    let current: number | undefined
    let limit: NodeJS.Timeout | undefined
    const lose = (message: string): void => {
      if (current !== undefined) failed({ seed: current, virtualMs: 0, message, stack: '', trace: [] })
      current = undefined
    }
    worker.on('message', (message: SeedMessage) => {
      clearTimeout(limit)
      if (message.kind === 'began') {
        current = message.seed
        limit = setTimeout(() => {
          lose(`still running after ${seedMsMax / 1_000} s`)
          void worker.terminate()
        }, seedMsMax)
        return
      }
      current = undefined
      if (message.kind === 'passed') passed(message.result)
      else failed(message.failure)
    })
    // An error outside of a seed (the module does not load) would come again with every new thread.
    worker.on('error', (error: unknown) => {
      if (current === undefined) reject(error)
      else lose(`the thread died: ${error instanceof Error ? error.message : String(error)}`)
    })
    worker.on('exit', () => {
      clearTimeout(limit)
      lose('the thread ended')
      resolve()
    })
  })
}
