import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runSeed } from './world.ts'

describe('the volume under faults', () => {
  // Seeds in great number are a check of their own: `npm run sim`.
  it('replays a seed exactly', async () => {
    for (const seed of [3, 9]) assert.deepEqual(await runSeed(seed, {}), await runSeed(seed, {}))
  })
})
