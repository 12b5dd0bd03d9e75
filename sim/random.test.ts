import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from './random.ts'

const draw = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.u32())

describe('a stream of chance', () => {
  it('is the same for the same seed and another for the next', () => {
    assert.deepEqual(draw(new Random(7), 50), draw(new Random(7), 50))
    assert.notDeepEqual(draw(new Random(7), 50), draw(new Random(8), 50))
  })

  it('forks into streams that depend on the name alone', () => {
    const one = new Random(3)
    const two = new Random(3)
    const disk = one.fork('disk')
    const other = two.fork('disk')
    draw(other, 10)
    assert.deepEqual(draw(one, 5), draw(two, 5), 'draws in a fork do not move its origin')
    assert.notDeepEqual(draw(disk, 5), draw(new Random(3).fork('network'), 5))
  })

  it('spreads evenly and stays inside its bounds', () => {
    const random = new Random(1)
    const counts = new Array<number>(10).fill(0)
    for (let i = 0; i < 20_000; i++) counts[random.below(10)]!++
    for (const count of counts) assert.ok(count > 1_800 && count < 2_200, `${counts}`)
    for (let i = 0; i < 1_000; i++) {
      const n = random.between(3, 5)
      assert.ok(n >= 3 && n <= 5)
      const m = random.magnitude(10, 1_000)
      assert.ok(m >= 10 && m <= 1_000)
    }
  })

  it('weighs', () => {
    const random = new Random(2)
    const counts = { often: 0, seldom: 0, never: 0 }
    for (let i = 0; i < 10_000; i++) counts[random.weighted({ often: 9, seldom: 1, never: 0 })]++
    assert.equal(counts.never, 0)
    assert.ok(counts.seldom > 800 && counts.seldom < 1_200)
  })
})
