import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ProcessClock } from './clock.ts'
import { EventQueue } from './events.ts'
import { Random } from './random.ts'

describe('the event queue', () => {
  it('runs in order of time, and of scheduling within one microsecond', () => {
    const queue = new EventQueue()
    const random = new Random(11)
    const ran: [number, number][] = []
    for (let i = 0; i < 500; i++) {
      const at = random.below(50)
      queue.at(at, () => ran.push([at, i]))
    }
    while (queue.step());
    const sorted = [...ran].sort((a, b) => a[0] - b[0] || a[1] - b[1])
    assert.equal(ran.length, 500)
    assert.deepEqual(ran, sorted)
  })

  it('never goes back in time and skips what was cancelled', () => {
    const queue = new EventQueue()
    const times: number[] = []
    queue.at(100, () => {
      queue.at(10, () => times.push(queue.nowUs))
      queue.after(5, () => times.push(queue.nowUs))
    })
    queue.cancel(queue.at(101, () => times.push(-1)))
    while (queue.step());
    assert.deepEqual(times, [100, 105])
    assert.equal(queue.nextUs(), undefined)
  })
})

describe('the clock of a process', () => {
  it('runs ahead while it works, and the world catches up', () => {
    const queue = new EventQueue()
    const clock = new ProcessClock(queue)
    queue.at(1_000, () => {
      clock.spend(250)
      clock.spend(250)
      assert.equal(clock.nowUs, 1_500)
      assert.equal(queue.nowUs, 1_000)
    })
    queue.at(1_400, () => assert.ok(clock.busy))
    queue.at(1_500, () => assert.ok(!clock.busy))
    while (queue.step());
  })
})
