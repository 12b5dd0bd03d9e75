import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { BlockNumber } from '../protocol/lsn.ts'
import type { Change } from './block-device.ts'
import type { Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { MemoryDevice } from './memory-device.ts'
import { ACTS, restarted, type Step, takeStep } from './tree-history.ts'
import { describeTree, TreeModel } from './tree-model.ts'

let clock = 0
const now = (): Timestamp => ({ seconds: 1_700_000_000 + Math.floor(clock++ / 3), nanoseconds: clock })

const number = fc.nat(1000)
const step: fc.Arbitrary<Step> = fc.record({
  act: fc.constantFrom(...ACTS),
  pick: fc.tuple(number, number, number, number),
  offset: fc.oneof(
    fc.nat(20_000),
    fc.nat(300_000),
    fc.nat(40).map((block) => block * 8192),
  ),
  length: fc.oneof(fc.nat(300), fc.nat(30_000), fc.constant(8192), fc.constant(16_384), fc.constant(70_000)),
})

/** Remembers what it held after each mini-transaction. */
class RememberingDevice extends MemoryDevice {
  readonly states: ReadonlyMap<BlockNumber, Uint8Array>[] = []
  override append(changes: readonly Change[]) {
    // What was remembered is not written to.
    for (const change of changes) {
      const bytes = 'block' in change ? this.blocks.get(change.block) : undefined
      if (bytes !== undefined && 'block' in change) this.blocks.set(change.block, bytes.slice())
    }
    const lsn = super.append(changes)
    this.states.push(new Map(this.blocks))
    return lsn
  }
}

/** Lets every other change and read wait: what was planned is taken back, and done again. */
class HesitatingDevice extends MemoryDevice {
  whileWaiting: () => void = () => undefined
  #calls = 0

  override prepare(changes: readonly Change[]): Promise<void> | undefined {
    return changes.length > 0 && this.#calls++ % 2 === 0 ? Promise.resolve().then(this.whileWaiting) : undefined
  }

  override read(block: BlockNumber): Uint8Array | Promise<Uint8Array> {
    const bytes = super.read(block)
    return this.#calls++ % 3 === 0 ? Promise.resolve(bytes) : bytes
  }
}

async function formatted<T extends MemoryDevice>(device: T, capacityBytes = 2 ** 40): Promise<T> {
  await FileSystem.format(device, { now, capacityBytes })
  return device
}

describe('a file system is what its model is', () => {
  it('after any operations, and after being attached again at any moment', async () => {
    const history = fc.array(
      fc.oneof({ weight: 25, arbitrary: step }, { weight: 1, arbitrary: fc.constant('attach' as const) }),
      {
        minLength: 1,
        maxLength: 250,
        size: 'max',
      },
    )
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const device = await formatted(new MemoryDevice())
        let system = await FileSystem.attach(device, { now })
        const model = new TreeModel()
        for (const taken of steps) {
          if (taken === 'attach') {
            system = await FileSystem.attach(device, { now })
            restarted(model)
            assert.equal(await describeTree(system), model.describe())
          } else await takeStep(system, model, taken)
        }
        assert.equal(await describeTree(system), model.describe())
        assert.deepEqual(system.check(), [])
      }),
      { numRuns: 120 },
    )
  })

  it('when the device lets it wait, with nothing changed meanwhile', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 120, size: 'max' }), async (steps) => {
        const device = await formatted(new HesitatingDevice(), 200 * 65_536)
        const system = await FileSystem.attach(device, { now })
        const model = new TreeModel()
        device.whileWaiting = () => assert.deepEqual(system.check(), [])
        for (const taken of steps) await takeStep(system, model, taken)
        assert.equal(await describeTree(system), model.describe())
        assert.equal(await describeTree(await FileSystem.attach(device, { now })), model.describe())
      }),
      { numRuns: 40 },
    )
  })

  it('at the end of every mini-transaction, for whoever attaches there', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 100, size: 'max' }), async (steps) => {
        const device = await formatted(new RememberingDevice())
        const system = await FileSystem.attach(device, { now })
        const model = new TreeModel()
        const expected = [model.describe()]
        for (const taken of steps) {
          await takeStep(system, model, taken)
          // No operation of this size takes more than one mini-transaction; one that fails takes none.
          assert.ok(device.states.length - expected.length <= 1)
          if (device.states.length > expected.length) expected.push(model.describe())
        }
        for (const [at, state] of device.states.entries()) {
          const copy = new MemoryDevice(8192, state)
          const then = await FileSystem.attach(copy, { now })
          assert.deepEqual(then.check(), [])
          assert.equal(await describeTree(then), expected[at])
        }
      }),
      { numRuns: 50 },
    )
  })
})
