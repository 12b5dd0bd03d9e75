import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { CrashDisk, PowerLoss } from '../../test/crash-disk.ts'
import { VolumeError } from '../protocol/errors.ts'
import { readState, removeState, type StoredState, writeState } from './durable-state.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code
const read = (disk: CrashDisk): StoredState => readState(disk, 'node', 'promise')
const write = (disk: CrashDisk, value: unknown): void => writeState(disk, 'node', 'promise', value)
const A = 'node/promise.a'
const B = 'node/promise.b'
const JSON_AT = 32

function written(...values: unknown[]): CrashDisk {
  const disk = new CrashDisk(1)
  for (const value of values) write(disk, value)
  return disk
}

describe('a state', () => {
  it('is absent, then what was written last', () => {
    const disk = new CrashDisk(1)
    assert.deepEqual(read(disk), { status: 'absent' })
    write(disk, { epoch: 1 })
    write(disk, { epoch: 2, pins: ['é'] })
    assert.deepEqual(read(disk), { status: 'present', value: { epoch: 2, pins: ['é'] }, sequence: 2, repaired: false })
    assert.deepEqual(disk.list('node'), ['promise.a', 'promise.b'])
    removeState(disk, 'node', 'promise')
    assert.deepEqual(read(disk), { status: 'absent' })
  })

  it('is never taken back: whenever the power goes, twice, it is what was written or what was about to be', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(60), fc.nat(12), fc.boolean(), (seed, first, second, killed) => {
        const disk = new CrashDisk(seed)
        let promised = 0
        let next = 1
        for (const crashAt of [first, second, second + first]) {
          disk.crashAt = disk.operations + crashAt
          for (;;) {
            try {
              const state = read(disk)
              const value = state.status === 'absent' ? 0 : state.status === 'present' ? (state.value as number) : -1
              assert.ok(value >= promised && value <= next, `${value} is neither ${promised} nor up to ${next}`)
              // Who was told of it may rely on it.
              promised = value
              if (disk.crashAt === Number.POSITIVE_INFINITY) break
              for (next = promised + 1; ; next++) {
                write(disk, next)
                promised = next
              }
            } catch (error) {
              if (!(error instanceof PowerLoss)) throw error
              if (killed) disk.revive()
              else disk.restart()
            }
          }
          disk.restart()
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('is as before when the disk is full', () => {
    const disk = written(1)
    disk.capacityBytes = 3 * (JSON_AT + 1)
    assert.throws(() => write(disk, 2), hasCode('DiskFull'))
    assert.deepEqual(read(disk), { status: 'present', value: 1, sequence: 1, repaired: false })
    assert.deepEqual(disk.list('node'), ['promise.a', 'promise.b'])
  })
})

describe('rot', () => {
  it('in one copy, at any bit, is mended', () => {
    for (const path of [A, B]) {
      for (let bit = 0; bit < 8 * (JSON_AT + 7); bit++) {
        const disk = written('older', 'newer')
        disk.flip(path, bit >> 3, bit & 7)
        assert.deepEqual(read(disk), { status: 'present', value: 'newer', sequence: 2, repaired: true })
        assert.deepEqual(disk.bytesOf(A), disk.bytesOf(B))
        assert.deepEqual(read(disk), { status: 'present', value: 'newer', sequence: 2, repaired: false })
      }
    }
  })

  it('in both copies is damage, and the next write begins behind what can still be told', () => {
    for (const offset of [0, JSON_AT]) {
      const disk = written(1, 2, 3)
      disk.flip(A, offset)
      disk.flip(B, offset)
      assert.equal(read(disk).status, 'damaged')
      write(disk, 4)
      assert.deepEqual(read(disk), { status: 'present', value: 4, sequence: offset === 0 ? 1 : 4, repaired: false })
    }
  })

  it('in the newer copy is damage when the other is older', () => {
    const older = written(1).bytesOf(B)
    const disk = written(1, 2)
    disk.plant(B, older)
    assert.deepEqual(read(disk), { status: 'present', value: 2, sequence: 2, repaired: true })
    disk.plant(B, older)
    disk.flip(A, JSON_AT)
    assert.equal(read(disk).status, 'damaged')
  })

  it('of the length is damage too: a copy that was cut short or emptied', () => {
    for (const length of [0, 5, JSON_AT, JSON_AT + 2]) {
      const disk = written('state')
      disk.plant(A, disk.bytesOf(A).subarray(0, length))
      assert.deepEqual(read(disk), { status: 'present', value: 'state', sequence: 1, repaired: true })
    }
  })
})

describe('a missing copy', () => {
  it('is made again', () => {
    for (const path of [A, B]) {
      const disk = written(7)
      disk.remove(path)
      assert.deepEqual(read(disk), { status: 'present', value: 7, sequence: 1, repaired: true })
      assert.ok(disk.exists(path))
    }
  })
})

describe('format 1', () => {
  const fixture = readFileSync(new URL('../../test/fixtures/durable-state-v1.bin', import.meta.url))

  it('is read, and is what is written', () => {
    const disk = new CrashDisk(1)
    disk.plant(A, fixture)
    const state = read(disk)
    assert.deepEqual(state, { status: 'present', value: { epoch: 2, cutoff: 4096 }, sequence: 2, repaired: true })
    assert.deepEqual(written({ epoch: 1 }, { epoch: 2, cutoff: 4096 }).bytesOf(B), Uint8Array.from(fixture))
  })

  it('refuses a newer version', () => {
    const newer = Buffer.from(fixture)
    newer.writeUInt16LE(2, 8)
    newer.writeUInt32LE(crc32(newer.subarray(4, JSON_AT)), 0)
    const disk = written(1)
    disk.plant(B, newer)
    assert.throws(() => read(disk), hasCode('UnsupportedFormat'))
  })
})
