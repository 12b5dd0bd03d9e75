/** A thread that runs seeds: takes the next number from a shared counter until none is left. */
import { parentPort, workerData } from 'node:worker_threads'
import type { RunSeed } from './scenario.ts'
import { failureOf, type SeedMessage, type WorkerTask } from './seed-runner.ts'

const { scenario, from, seeds, counter } = workerData as WorkerTask
const { runSeed } = (await import(scenario)) as { runSeed: RunSeed }
const next = new Int32Array(counter)

const say = (message: SeedMessage): void => parentPort?.postMessage(message)

for (let i = Atomics.add(next, 0, 1); i < seeds; i = Atomics.add(next, 0, 1)) {
  say({ kind: 'began', seed: from + i })
  try {
    say({ kind: 'passed', result: await runSeed(from + i, {}) })
  } catch (error) {
    say({ kind: 'failed', failure: failureOf(from + i, error) })
  }
}
