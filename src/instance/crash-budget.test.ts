import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CrashBudget } from './crash-budget.ts'

describe('what ends by itself', () => {
  it('is started again at once, then later and later, then not any more', () => {
    const budget = new CrashBudget(3)
    assert.deepEqual(
      [0, 1, 2, 3].map((ms) => budget.crashed(ms)),
      [50, 100, 200, undefined],
    )
  })

  it('is forgiven after a minute', () => {
    const budget = new CrashBudget(1)
    assert.equal(budget.crashed(0), 50)
    assert.equal(budget.crashed(60_000), 50)
  })

  it('is never given up where that was chosen', () => {
    const budget = new CrashBudget(Infinity)
    for (let ms = 0; ms < 1000; ms++) budget.crashed(ms)
    assert.equal(budget.crashed(1000), 5000)
  })
})
