import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MemoryDisk } from '../../test/memory-disk.ts'
import { VolumeError } from '../protocol/errors.ts'
import { alignedBuffer } from './aligned.ts'
import { FaultyDisk } from './faulty-disk.ts'
import { FaultBoard, parseFault } from './node-faults.ts'

const BYTES = Uint8Array.of(1, 2, 3)

function setUp(random: () => number = () => 0) {
  const board = new FaultBoard()
  const slept: number[] = []
  const clock = { ms: 1000 }
  const memory = new MemoryDisk()
  // The thread of a node sees the same numbers through memory that it shares.
  const disk = new FaultyDisk(memory, new FaultBoard(board.shared), {
    now: () => clock.ms,
    random,
    sleep: (ms) => slept.push(ms),
  })
  return { board, slept, clock, memory, disk }
}

const fails = (action: () => unknown) =>
  assert.throws(action, (error) => error instanceof VolumeError && error.code === 'Corrupt')

describe('a disk with faults', () => {
  it('is the disk under it as long as there are none', () => {
    const { disk, slept } = setUp()
    const file = disk.create('f')
    file.write(0, BYTES)
    file.sync()
    assert.deepEqual(disk.open('f').read(0, 3), BYTES)
    assert.deepEqual(slept, [])
  })

  it('fails every operation at 100 percent, and none when the time is over', () => {
    const { board, clock, disk } = setUp(() => 0.9)
    const file = disk.create('f')
    file.write(0, BYTES)
    board.set({ kind: 'failing-disk', percent: 100, untilMs: 2000 })
    for (const action of [
      () => file.read(0, 3),
      () => file.write(0, BYTES),
      () => disk.create('g'),
      () => disk.open('f'),
      () => disk.list(''),
      () => disk.rename('f', 'h'),
      () => disk.remove('f'),
      () => disk.syncFolder(''),
    ]) {
      fails(action)
    }
    clock.ms = 2000
    assert.deepEqual(disk.list(''), ['f'])
    assert.deepEqual(board.current(clock.ms), [])
  })

  it('gives no sync of a file that has lost something, also when the fault is over', () => {
    const { board, disk } = setUp()
    const file = disk.create('f')
    file.allocate(4096)
    board.set({ kind: 'failing-disk', percent: 100, untilMs: 2000 })
    fails(() => file.writeDurable(0, alignedBuffer(4096)))
    board.heal()
    fails(() => file.sync())
    fails(() => file.writeDurable(0, alignedBuffer(4096)))
    disk.create('another').sync()
  })

  it('may have done what it says has failed', () => {
    for (const [chance, size] of [
      [0, 3],
      [0.9, 0],
    ] as const) {
      const { board, disk } = setUp(() => chance)
      const file = disk.create('f')
      board.set({ kind: 'failing-disk', percent: 100, untilMs: 2000 })
      fails(() => file.write(0, BYTES))
      assert.equal(file.size(), size)
    }
  })

  it('fails a share of its operations', () => {
    let turn = 0
    const { board, disk } = setUp(() => (turn++ % 4) / 4)
    const file = disk.create('f')
    file.write(0, BYTES)
    board.set({ kind: 'failing-disk', percent: 25, untilMs: 2000 })
    const outcomes = Array.from({ length: 8 }, () => {
      try {
        return file.read(0, 3).length
      } catch {
        return 'failed'
      }
    })
    assert.equal(outcomes.filter((each) => each === 'failed').length, 2)
  })

  it('takes its time, between the two that were given', () => {
    let random = 0
    const { board, slept, disk } = setUp(() => random)
    board.set({ kind: 'slow-disk', percent: 100, msMin: 30, msMax: 50, untilMs: 2000 })
    const file = disk.create('f')
    random = 0.5
    file.write(0, BYTES)
    assert.deepEqual(slept, [30, 40])
    assert.deepEqual(file.read(0, 3), BYTES)
  })

  it('has one fault of each kind, the last', () => {
    const { board } = setUp()
    const faults = [
      { kind: 'failing-disk', percent: 3, untilMs: 20 },
      { kind: 'slow-disk', percent: 4, msMin: 1, msMax: 2, untilMs: 30 },
      { kind: 'cut', untilMs: 40 },
    ] as const
    board.set({ kind: 'cut', untilMs: 999 })
    for (const fault of faults) board.set(fault)
    assert.deepEqual(board.current(10), faults)
    assert.deepEqual(board.current(30), [faults[2]])
  })
})

describe('a fault that is asked for', () => {
  for (const [what, problem] of [
    [{}, /failing-disk, slow-disk, cut/],
    [{ kind: 'cut' }, /untilMs/],
    [{ kind: 'failing-disk', percent: 101, untilMs: 1 }, /percent/],
    [{ kind: 'slow-disk', percent: 1, msMin: 3, msMax: 2, untilMs: 1 }, /msMin and msMax/],
  ] as const) {
    it(`is refused when it makes no sense: ${JSON.stringify(what)}`, () =>
      assert.throws(() => parseFault(what), { name: 'VolumeError', message: problem }))
  }
})
