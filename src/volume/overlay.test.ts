import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { MemoryDisk } from '../../test/memory-disk.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type BlockNumber, blockNumber, lsn } from '../protocol/lsn.ts'
import type { Change } from './change.ts'
import { OverlayStore } from './overlay-store.ts'
import { OverlayView } from './overlay-view.ts'
import type { VolumeView } from './volume-view.ts'

const BYTES = 16
const ROOM = 6
const filled = (value: number): Uint8Array => new Uint8Array(BYTES).fill(value)
const put = (block: number, value: number): Change => ({ block: blockNumber(block), bytes: filled(value) })
const trim = (block: number, count: number): Change => ({ trim: blockNumber(block), count })
const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code

/** An overlay of six blocks over a volume in which each block is filled with 100 and its number. */
function overlay() {
  const disk = new MemoryDisk()
  const state = { of: 'open' as VolumeView['state'] }
  const view = {
    readPoint: lsn(9),
    get state() {
      return state.of
    },
    record: { blockBytes: BYTES },
    read: (block: BlockNumber) => Promise.resolve(filled(100 + block)),
  } as unknown as VolumeView
  const store = new OverlayStore(disk.create('scratch'), BYTES, ROOM * BYTES + 5)
  return { state, store, view: new OverlayView(view, store) }
}

describe('an overlay', () => {
  it('shows what was written to it, else the volume; takes all of a change or nothing; and is bounded', async () => {
    const change = fc.oneof(
      fc
        .record({ block: fc.nat(9), value: fc.integer({ min: 1, max: 99 }) })
        .map((each) => put(each.block, each.value)),
      fc
        .record({ block: fc.nat(9), count: fc.integer({ min: 1, max: 4 }) })
        .map((each) => trim(each.block, each.count)),
    )
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ changes: fc.array(change, { maxLength: 5 }) }) },
      { weight: 1, arbitrary: fc.record({ reclaim: fc.nat(9) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { view, store } = overlay()
        let model = new Map<number, number>()
        for (const each of steps) {
          if ('reclaim' in each) {
            view.reclaim((block) => block === each.reclaim)
            model.delete(each.reclaim)
          } else {
            const next = new Map(model)
            for (const one of each.changes) {
              if ('trim' in one) for (let i = 0; i < one.count; i++) next.set(one.trim + i, 0)
              else next.set(one.block, one.bytes[0] as number)
            }
            try {
              view.write(each.changes)
              model = next
            } catch (error) {
              assert.ok(hasCode('DiskFull')(error) || hasCode('BadRequest')(error))
            }
          }
          for (let block = 0; block < 14; block++) {
            const [value] = await view.read(blockNumber(block))
            assert.equal(value, model.get(block) ?? 100 + block)
          }
          const slots = [...model.values()].filter((value) => value !== 0).length
          assert.equal(view.overlayBytes, slots * BYTES)
          assert.ok(slots <= ROOM)
          assert.equal(store.room, ROOM - slots)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('that is full takes a block again that it holds, and refuses one that it has only as zeros', async () => {
    const { view } = overlay()
    view.write([trim(0, 1), ...[1, 2, 3, 4, 5, 6].map((block) => put(block, block))])
    view.write([put(1, 50)])
    assert.throws(() => view.write([put(1, 60), put(0, 60)]), hasCode('DiskFull'))
    assert.deepEqual([(await view.read(blockNumber(0)))[0], (await view.read(blockNumber(1)))[0]], [0, 50])
  })

  it('that was saved goes on in another, with its room', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ block: fc.nat(2 ** 34), value: fc.nat(255) }), { maxLength: 40 }), (steps) => {
        const file = new MemoryDisk().create('scratch')
        const store = new OverlayStore(file, BYTES, ROOM * BYTES)
        const model = new Map<BlockNumber, number>()
        for (const { block: number, value } of steps) {
          const block = blockNumber(number)
          if (value % 4 === 0) store.trim(block)
          else if (value % 4 === 1) store.forget(block)
          else if (store.room > 0 || !store.takesRoom(block)) store.write(block, filled(value))
          else continue
          if (value % 4 === 1) model.delete(block)
          else model.set(block, value % 4 === 0 ? 0 : value)
        }
        const saved = store.save()
        // Twice: the first may be gone before it has done anything.
        for (let i = 0; i < 2; i++) {
          const next = new OverlayStore(file, BYTES, ROOM * BYTES)
          next.load(saved)
          assert.deepEqual(new Map([...next.blocks()].map((block) => [block, next.read(block)?.[0]])), model)
          assert.deepEqual([next.room, next.bytes], [store.room, store.bytes])
          if (i === 0) continue
          for (let block = 1; next.room > 0; block++) next.write(blockNumber(2 ** 35 + block), filled(255))
          for (const [block, value] of model) assert.deepEqual(next.read(block), filled(value))
        }
      }),
    )
  })

  it('whose disk is full keeps its room', () => {
    const disk = new MemoryDisk()
    const store = new OverlayStore(disk.create('scratch'), BYTES, ROOM * BYTES)
    disk.capacityBytes = 0
    assert.throws(() => store.write(blockNumber(1), filled(1)), hasCode('DiskFull'))
    assert.deepEqual([store.room, store.bytes, store.read(blockNumber(1))], [ROOM, 0, undefined])
  })

  it('gives out and takes copies', async () => {
    const { view } = overlay()
    const given = filled(7)
    view.write([{ block: blockNumber(1), bytes: given }])
    given.fill(8)
    ;(await view.read(blockNumber(1))).fill(9)
    assert.deepEqual(await view.read(blockNumber(1)), filled(7))
  })

  it('takes nothing when its view has ended', () => {
    for (const [of, code] of [
      ['expired', 'LeaseExpired'],
      ['closed', 'Closed'],
    ] as const) {
      const { view, state } = overlay()
      state.of = of
      assert.throws(() => view.write([put(1, 1)]), hasCode(code))
    }
  })
})
