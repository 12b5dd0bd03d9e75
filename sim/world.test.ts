/**
 * The simulator over the real storage nodes and volumes. `npm run sim` runs more seeds; those of `SEEDS` run with every
 * `npm test`, on two threads, in about three minutes.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runSeeds, type SeedFailure } from './seed-runner.ts'
import { runSeed } from './world.ts'

const SEEDS = Number(process.env.BOREALIS_SIM_SEEDS ?? 1_000)
const scenario = new URL('./world.ts', import.meta.url).href

describe('the volume under faults', () => {
  it('replays a seed exactly', async () => {
    for (const seed of [3, 9]) assert.deepEqual(await runSeed(seed, {}), await runSeed(seed, {}))
  })

  it(`keeps its rules, and comes together when faults end (${SEEDS} seeds)`, async () => {
    const failures: SeedFailure[] = []
    let passed = 0
    await runSeeds({
      scenario,
      from: 1,
      seeds: SEEDS,
      workers: 2,
      passed: () => {
        passed++
      },
      failed: (failure) => failures.push(failure),
    })
    const [first] = failures
    const told =
      first === undefined ? '' : `${first.message}\nreplay: npm run sim -- --seeds 1 --from ${first.seed} --trace`
    assert.deepEqual(
      failures.map(({ seed }) => seed),
      [],
      told,
    )
    assert.equal(passed, SEEDS)
  })
})
