import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Change } from './block-device.ts'
import { type AllocateMode, type Ino, ino, ROOT_INO, type Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { FsError } from './fs-error.ts'
import { MemoryDevice } from './memory-device.ts'
import { ACTS, type Step, startStep } from './tree-history.ts'
import { describeTree } from './tree-model.ts'
import { WaitingDevice } from './waiting-device.ts'

let seconds = 1_700_000_000
const now = (): Timestamp => ({ seconds, nanoseconds: 5 })
const OWNER = { uid: 1, gid: 1 }
const MIB = 2 ** 20
const GIB = 2 ** 30
const TIB = 2 ** 40

async function fresh<T extends MemoryDevice>(device: T, capacityBytes?: number): Promise<FileSystem> {
  await FileSystem.format(device, capacityBytes === undefined ? { now } : { now, capacityBytes })
  return FileSystem.attach(device, { now })
}

async function newFile(system: FileSystem, name = 'f'): Promise<Ino> {
  return (await system.create(ROOT_INO, name, 0o600, OWNER)).ino
}

/** Keeps the mini-transactions. */
class CountingDevice extends MemoryDevice {
  readonly appended: Change[][] = []
  override append(changes: readonly Change[]) {
    this.appended.push([...changes])
    return super.append(changes)
  }
}

const FILE_BYTES = 400_000
const ZEROING: readonly AllocateMode[] = ['punch-hole', 'zero-range', 'zero-range-keep-size', 'allocate-keep-size']

describe('a file is a row of bytes', () => {
  const position = fc.oneof(
    fc.nat(FILE_BYTES),
    fc.nat(FILE_BYTES >> 13).map((block) => block * 8192),
    fc.nat(FILE_BYTES >> 16).map((chunk) => chunk * 65_536),
  )
  const act = fc.record({
    kind: fc.constantFrom('write', 'write', 'write', 'truncate', 'read', 'read', ...ZEROING),
    from: position,
    to: position,
    fill: fc.integer({ min: 1, max: 255 }),
  })

  for (const blockBytes of [8192, 32_768]) {
    it(`whatever is written, cut, punched and read, in blocks of ${blockBytes}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: 60, size: 'max' }), async (acts) => {
          const device = new MemoryDevice(blockBytes)
          const system = await fresh(device)
          const file = await newFile(system)
          let expected: Buffer = Buffer.alloc(0)
          const grown = (size: number): Buffer => Buffer.concat([expected], Math.max(size, expected.length))
          for (const { kind, from, to, fill } of acts) {
            const [start, end] = [Math.min(from, to), Math.max(from, to) + 1]
            if (kind === 'write') {
              await system.write(file, start, Buffer.alloc(end - start, fill))
              expected = grown(end).fill(fill, start, end)
            } else if (kind === 'truncate') {
              await system.setattr(file, { size: start })
              expected = Buffer.concat([expected], start)
            } else if (kind === 'read') {
              const bytes = await system.read(file, start, end - start)
              assert.ok(expected.subarray(start, end).equals(bytes))
            } else {
              await system.fallocate(file, kind, start, end - start)
              if (kind === 'zero-range') expected = grown(end)
              if (kind !== 'allocate-keep-size') expected.subarray(start, end).fill(0)
            }
          }
          assert.equal(system.getattr(file).size, expected.length)
          assert.ok(expected.equals(await system.read(file, 0, FILE_BYTES * 2)))
          assert.deepEqual(system.check(), [])
          // Nothing lies outside of what files show: a file made longer would show it.
          await system.setattr(file, { size: 0 })
          await system.setattr(file, { size: FILE_BYTES })
          assert.ok((await system.read(file, 0, FILE_BYTES)).every((byte) => byte === 0))
          await system.unlink(ROOT_INO, 'f')
          await system.release(file)
          const kept = [...device.blocks.values()].filter((bytes) => bytes.some((byte) => byte !== 0)).length
          assert.ok(kept <= 3, `${kept} blocks are left of superblock, inodes and extents`)
        }),
        { numRuns: 40 },
      )
    })
  }
})

describe('operations on many files at once, while the device waits', () => {
  it('leave a file system that is what is in its blocks', async () => {
    const number = fc.nat(1000)
    const step: fc.Arbitrary<Step> = fc.record({
      act: fc.constantFrom(...ACTS),
      pick: fc.tuple(number, number, number, number),
      offset: fc.nat(200_000),
      length: fc.nat(20_000),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 20, maxLength: 100, size: 'max' }),
        fc.infiniteStream(fc.nat(100)),
        async (steps, order) => {
          const device = new WaitingDevice()
          const system = await fresh(device)
          const next = (): number => order.next().value as number
          const inos = [ROOT_INO, ...Array.from({ length: 12 }, (_, i) => ino(i + 5))]
          for (const name of ['a', 'x', 'y']) await system.mkdir(ROOT_INO, name, 0o700, OWNER)
          for (const name of ['b', 'f', 'g', 'h'])
            await system.write(await newFile(system, name), 5, Buffer.alloc(9000, 1))
          device.isSlow = () => next() % 2 === 0
          // What each answers depends on the order: only the whole is looked at.
          const done = Promise.allSettled(steps.map(async (taken) => startStep(system, inos, taken)))
          let isDone = false
          done.then(() => (isDone = true)).catch(() => undefined)
          while (!isDone) {
            if (device.waiting > 0) device.release(next() % device.waiting)
            await new Promise((resolve) => setImmediate(resolve))
            assert.deepEqual(system.check(), [])
          }
          for (const outcome of await done) {
            if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof FsError, String(outcome.reason))
          }
          device.isSlow = () => false
          const again = await FileSystem.attach(device, { now })
          assert.deepEqual(again.check(), [])
          assert.equal(await describeTree(again), await describeTree(system))
        },
      ),
      { numRuns: 40 },
    )
  })
})

describe('operations on one file, while the device waits', () => {
  it('lose nothing of each other, whatever is answered first', async () => {
    const parts = fc.array(fc.record({ at: fc.nat(30_000), length: fc.integer({ min: 1, max: 9000 }) }), {
      minLength: 2,
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(parts, fc.infiniteStream(fc.nat(100)), async (writes, order) => {
        const device = new WaitingDevice()
        const system = await fresh(device)
        const file = await newFile(system)
        await system.write(file, 0, Buffer.alloc(20_000, 1))
        const expected = Buffer.alloc(50_000, 0).fill(1, 0, 20_000)
        const next = (): number => order.next().value as number
        device.isSlow = () => next() % 3 === 0
        // Writes to one file are carried out in the order in which they were asked for.
        const waiting = writes.map(({ at, length }, i) => {
          expected.fill(i + 2, at, at + length)
          return system.write(file, at, Buffer.alloc(length, i + 2))
        })
        const done = Promise.all(waiting)
        let isDone = false
        done.then(() => (isDone = true)).catch(() => undefined)
        while (!isDone) {
          if (device.waiting > 0) device.release(next() % device.waiting)
          await new Promise((resolve) => setImmediate(resolve))
        }
        device.isSlow = () => false
        const { size } = system.getattr(file)
        assert.ok(expected.subarray(0, size).equals(await system.read(file, 0, size)))
        assert.deepEqual(system.check(), [])
      }),
      { numRuns: 60 },
    )
  })

  it('a read that was overtaken shows one state of the file', async () => {
    const device = new WaitingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    await system.write(file, 0, Buffer.alloc(16_384, 1))
    device.isSlow = (what) => what === 'read'
    const read = system.read(file, 0, 16_384) as Promise<Uint8Array>
    device.release(0)
    await system.write(file, 0, Buffer.alloc(16_384, 2))
    device.isSlow = () => false
    device.release(0)
    const bytes = await read
    assert.ok(bytes.every((byte) => byte === 2))
  })

  it('a read of a file that is removed meanwhile does not show what came after it', async () => {
    const device = new WaitingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    await system.write(file, 0, Buffer.alloc(8192, 1))
    await system.release(file)
    device.isSlow = (what) => what === 'read'
    const read = system.read(file, 0, 8192) as Promise<Uint8Array>
    await system.unlink(ROOT_INO, 'f')
    const other = await newFile(system, 'other')
    await system.write(other, 0, Buffer.alloc(8192, 2))
    device.release(0)
    await assert.rejects(read, { code: 'ENOENT' })
  })

  it('without a quorum nothing that changes is done, and all of it afterwards', async () => {
    const device = new WaitingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    device.isSlow = (what) => what === 'append'
    const answers = [
      system.mkdir(ROOT_INO, 'd', 0o700, OWNER),
      system.write(file, 0, Buffer.alloc(8192, 1)),
      system.rename(ROOT_INO, 'f', ROOT_INO, 'g'),
    ]
    assert.throws(() => system.lookup(ROOT_INO, 'd'), { code: 'ENOENT' })
    assert.equal(system.getattr(file).size, 0)
    assert.deepEqual(system.check(), [])
    device.isSlow = () => false
    while (device.waiting > 0) device.release()
    await Promise.all(answers)
    assert.equal(system.lookup(ROOT_INO, 'g').size, 8192)
    assert.equal(system.lookup(ROOT_INO, 'd').links, 2)
    assert.deepEqual(system.check(), [])
  })

  it('what the device refuses has changed nothing', async () => {
    const device = new MemoryDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    device.append = () => {
      throw new Error('refused')
    }
    const before = system.getattr(file)
    assert.throws(() => system.mkdir(ROOT_INO, 'd', 0o700, OWNER), { code: 'EIO', errno: 5 })
    assert.throws(() => system.write(file, 0, Buffer.alloc(9000, 1)), { code: 'EIO' })
    assert.throws(() => system.unlink(ROOT_INO, 'f'), { code: 'EIO' })
    assert.throws(() => system.rename(ROOT_INO, 'f', ROOT_INO, 'g'), { code: 'EIO' })
    assert.throws(() => system.fallocate(file, 'allocate', 0, TIB), { code: 'EIO' })
    assert.deepEqual(system.getattr(file), before)
    assert.deepEqual(system.check(), [])
    assert.deepEqual(system.readdir(ROOT_INO, 2, 9).length, 1)
  })
})

describe('what is written', () => {
  it('is one mini-transaction, of one change for each block, up to 1 MiB', async () => {
    const device = new CountingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    await system.write(file, 0, Buffer.alloc(MIB, 1))
    device.appended.length = 0
    for (const [offset, length, blocks] of [
      [8192, 8192, 1],
      [16_384, 16_384, 2],
      [0, MIB, 128],
      [100, MIB - 8192, 128],
      [8191, 2, 2],
    ] as const) {
      await system.write(file, offset, Buffer.alloc(length, 2))
      assert.equal(device.appended.pop()?.length, blocks)
      assert.equal(device.appended.length, 0)
    }
    assert.throws(() => system.write(file, 0, Buffer.alloc(MIB + 1)), { code: 'EINVAL' })
  })

  it('costs no metadata in what is allocated, but once a second, for the times', async () => {
    const device = new CountingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    await system.fallocate(file, 'allocate', 0, 16 * MIB)
    device.appended.length = 0
    for (let i = 0; i < 100; i++) await system.write(file, i * 8192, Buffer.alloc(8192, i + 1))
    assert.deepEqual(new Set(device.appended.map(({ length }) => length)), new Set([1]))
    seconds++
    await system.write(file, 0, Buffer.alloc(8192, 7))
    await system.write(file, 0, Buffer.alloc(8192, 8))
    assert.deepEqual(
      device.appended.slice(100).map(({ length }) => length),
      [2, 1],
    )
    assert.equal(system.getattr(file).mtime.seconds, seconds)
    const copy = await FileSystem.attach(new MemoryDevice(8192, device.blocks), { now })
    assert.deepEqual(copy.getattr(file).mtime, { seconds, nanoseconds: 5 })
  })

  it('reads nothing where zeros are certain', async () => {
    const device = new WaitingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    device.isSlow = (what) => what === 'read'
    await system.write(file, 1000, Buffer.alloc(100, 1))
    await system.setattr(file, { size: TIB })
    assert.equal(((await system.read(file, TIB - MIB, MIB)) as Uint8Array).length, MIB)
    await system.write(file, TIB - 100, Buffer.alloc(100, 1))
    assert.equal(device.waiting, 0)
  })
})

describe('large files', () => {
  it('of 2 TiB take what was written to them', async () => {
    const system = await fresh(new MemoryDevice())
    const file = await newFile(system)
    await system.write(file, 2 * TIB - 5, Buffer.from('end!!'))
    assert.equal(system.getattr(file).size, 2 * TIB)
    assert.equal(system.getattr(file).blocks, 128)
    assert.equal(Buffer.from(await system.read(file, 2 * TIB - 6, 100)).toString(), '\0end!!')
    await system.write(file, TIB, Buffer.from('middle'))
    assert.equal(system.getattr(file).blocks, 256)
    await system.fallocate(file, 'punch-hole', 10, 2 * TIB - 20)
    assert.equal(system.getattr(file).blocks, 128)
    assert.equal(Buffer.from(await system.read(file, 2 * TIB - 11, 100)).toString(), '\0\0\0\0\0\0end!!'.slice(0, 11))
    assert.deepEqual(system.check(), [])
  })

  it('grow in extents that double, and few of them', async () => {
    const device = new CountingDevice()
    const system = await fresh(device)
    const files = [await newFile(system, 'a'), await newFile(system, 'b')]
    let extents = 0
    device.appended.length = 0
    for (let offset = 0; offset < 16 * MIB; offset += 65_536) {
      for (const file of files) {
        await system.write(file, offset, Buffer.alloc(65_536, 1))
        // Blocks, inode, and an extent when one was made.
        extents += (device.appended.at(-1)?.length ?? 0) - 9
      }
    }
    assert.ok(extents <= 20, `${extents} changes of extents`)
  })

  it('are cut and removed in bounded steps; whoever looks in between sees the file whole or cut', async () => {
    const device = new CountingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    const free = system.statfs().blocksFree
    await system.fallocate(file, 'allocate', 0, 40 * GIB)
    await system.write(file, 0, Buffer.alloc(8192, 1))
    await system.write(file, 39 * GIB, Buffer.alloc(8192, 1))
    device.appended.length = 0
    await system.setattr(file, { size: 100 })
    assert.ok(device.appended.length > 30, `${device.appended.length} steps`)
    for (const changes of device.appended) {
      assert.ok(changes.length < 10)
      for (const change of changes) assert.ok(!('trim' in change) || change.count <= GIB / 8192)
    }
    assert.equal(system.getattr(file).size, 100)
    assert.deepEqual(system.check(), [])
    await system.write(file, 10 * GIB, Buffer.alloc(8192, 1))
    await system.unlink(ROOT_INO, 'f')
    await system.release(file)
    assert.equal(system.statfs().blocksFree, free)
    assert.deepEqual(system.check(), [])
  })

  it('that were being removed are gone after the next attach', async () => {
    const device = new CountingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    const free = system.statfs().blocksFree
    await system.fallocate(file, 'allocate', 0, 5 * GIB)
    await system.unlink(ROOT_INO, 'f')
    const append = device.append.bind(device)
    let steps = 2
    device.append = (changes) => {
      if (steps-- === 0) throw new Error('crash')
      return append(changes)
    }
    assert.throws(() => system.release(file), { code: 'EIO' })
    device.append = append
    device.readOnly = true
    const before = await FileSystem.attach(device, { now })
    assert.ok(before.statfs().blocksFree < free)
    device.readOnly = false
    const after = await FileSystem.attach(device, { now })
    assert.equal(after.statfs().blocksFree, free)
    assert.deepEqual(after.check(), [])
  })

  it('in more extents than one step takes are cut from the end', async () => {
    const device = new CountingDevice()
    const system = await fresh(device)
    const file = await newFile(system)
    for (let i = 0; i < 2500; i++) await system.write(file, i * 131_072, Buffer.alloc(10, 1))
    device.appended.length = 0
    await system.setattr(file, { size: 5 })
    assert.equal(device.appended.length, 3)
    for (const changes of device.appended) assert.ok(changes.length * 8192 <= 16 * MIB)
    assert.equal(Buffer.from(await system.read(file, 0, 100)).toString('latin1'), '\x01'.repeat(5))
    assert.deepEqual(system.check(), [])
  })
})
