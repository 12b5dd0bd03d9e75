import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LocalFleet } from '../../test/local-fleet.ts'
import { MemoryDisk } from '../../test/memory-disk.ts'
import { blockNumber } from '../protocol/lsn.ts'
import { OverlayStore } from '../volume/overlay-store.ts'
import { OverlayView } from '../volume/overlay-view.ts'
import { ROOT_INO, type Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { describeTree } from './tree-model.ts'
import { overlayDevice, ScratchDevice, viewDevice, writerDevice } from './volume-devices.ts'

const now = (): Timestamp => ({ seconds: 1_700_000_000, nanoseconds: 1 })
const OWNER = { uid: 1, gid: 2 }
const BLOCK_BYTES = 8192
/** Groups so small that files lie in several. */
const GEOMETRY = { blockBytes: BLOCK_BYTES, blocksPerGroup: 64 }

const overlayStore = (): OverlayStore =>
  new OverlayStore(new MemoryDisk().create('scratch'), BLOCK_BYTES, 100 * BLOCK_BYTES)

async function written(system: FileSystem, name: string): Promise<void> {
  const { ino } = await system.create(ROOT_INO, name, 0o600, OWNER)
  for (let i = 0; i < 20; i++) await system.write(ino, i * 50_000 + 3, Buffer.alloc(9000, i + 1))
  await system.setattr(ino, { size: 700_001 })
  await system.fallocate(ino, 'punch-hole', 100_000, 200_000)
  await system.release(ino)
}

/** A new volume with a file in it, durable. */
async function begun(fleet: LocalFleet, name: string) {
  const { volumes } = fleet.client()
  const id = await volumes.create(GEOMETRY)
  const writer = await volumes.open(id)
  const device = writerDevice(writer)
  await FileSystem.format(device, { now })
  const system = await FileSystem.attach(device, { now })
  await written(system, name)
  await system.fsync()
  return { volumes, id, writer, system }
}

describe('a file system in a volume', () => {
  it('is there again for the next writer, for a view of its time, and for a reader that writes to itself', async () => {
    using fleet = await LocalFleet.start()
    const { volumes, id, writer, system } = await begun(fleet, 'first')
    const [expected, point] = [await describeTree(system), writer.vdl]
    await written(system, 'second')
    await system.unlink(ROOT_INO, 'first')
    await system.fsync()

    const past = await FileSystem.attach(viewDevice(await volumes.view(id, point)), { now })
    assert.equal(await describeTree(past), expected)
    assert.throws(() => past.unlink(ROOT_INO, 'first'), { code: 'EROFS' })
    await past.fsync()

    const overlay = new OverlayView(await volumes.view(id, point), overlayStore())
    const reader = await FileSystem.attach(overlayDevice(overlay, BLOCK_BYTES), { now })
    await reader.rename(ROOT_INO, 'first', ROOT_INO, 'mine')
    const mine = reader.lookup(ROOT_INO, 'mine').ino
    await reader.write(mine, 5, Buffer.from('local'))
    assert.equal(Buffer.from(await reader.read(mine, 4, 7)).toString('latin1'), '\x01local\x01')
    assert.throws(() => reader.fallocate(mine, 'allocate', 0, -1), { code: 'EINVAL' })
    const fill = async (): Promise<void> => {
      for (let i = 0; i < 10; i++) await reader.write(mine, i * 131_072, Buffer.alloc(131_072, i))
    }
    await assert.rejects(fill, { code: 'ENOSPC' })
    assert.deepEqual(reader.check(), [])

    const now2 = await describeTree(system)
    writer.close()
    await assert.rejects(async () => system.unlink(ROOT_INO, 'second'), { code: 'EIO' })
    await assert.rejects(async () => system.fsync(), { code: 'EIO' })
    const next = await FileSystem.attach(writerDevice(await volumes.open(id)), { now })
    assert.equal(await describeTree(next), now2)
    assert.deepEqual(next.check(), [])
  })

  it('stays at its LSN when the view that it is attached to follows the head', async () => {
    using fleet = await LocalFleet.start()
    const { volumes, id, writer, system } = await begun(fleet, 'first')
    const before = await describeTree(system)
    await fleet.announced()
    const view = await volumes.view(id)
    const past = await FileSystem.attach(viewDevice(view), { now })
    const overlay = overlayDevice(new OverlayView(view, overlayStore()), BLOCK_BYTES)
    const reader = await FileSystem.attach(overlay, { now })

    const first = system.lookup(ROOT_INO, 'first').ino
    await system.write(first, 0, Buffer.alloc(9000, 99))
    await written(system, 'second')
    await system.fsync()
    await fleet.announced()
    assert.equal(await view.follow(), writer.vdl)

    // The content is read only now.
    assert.deepEqual([await describeTree(past), await describeTree(reader)], [before, before])
    const following = await FileSystem.attach(viewDevice(view), { now })
    assert.equal(await describeTree(following), await describeTree(system))
  })

  it('branches', async () => {
    using fleet = await LocalFleet.start()
    const { volumes, id, writer, system } = await begun(fleet, 'shared')
    const before = await describeTree(system)
    const branch = await FileSystem.attach(writerDevice(await volumes.open(await volumes.branch(id, writer.vdl))), {
      now,
    })
    assert.equal(await describeTree(branch), before)
    await written(branch, 'other')
    await branch.unlink(ROOT_INO, 'shared')
    assert.deepEqual(branch.check(), [])
    assert.equal(await describeTree(system), before)
  })
})

describe('a scratch file', () => {
  it('is a device that holds what it has room for', async () => {
    const device = new ScratchDevice(overlayStore(), BLOCK_BYTES)
    await FileSystem.format(device, { now })
    const system = await FileSystem.attach(device, { now })
    await written(system, 'a')
    const { ino } = await system.create(ROOT_INO, 'b', 0o600, OWNER)
    const fill = async (): Promise<void> => {
      for (let i = 0; ; i++) await system.write(ino, i * BLOCK_BYTES, Buffer.alloc(BLOCK_BYTES, 1))
    }
    await assert.rejects(fill, { code: 'ENOSPC' })
    await system.setattr(ino, { size: 0 })
    await written(system, 'c')
    assert.deepEqual(system.check(), [])
  })
  it('takes all of a change or nothing when the local disk is full', async () => {
    const disk = new MemoryDisk()
    const store = new OverlayStore(disk.create('scratch'), BLOCK_BYTES, 1000 * BLOCK_BYTES)
    const device = new ScratchDevice(store, BLOCK_BYTES)
    const block = (n: number, value: number) => ({ block: blockNumber(n), bytes: Buffer.alloc(BLOCK_BYTES, value) })
    device.append([block(1, 1), block(2, 1)])
    disk.capacityBytes -= disk.freeBytes() - BLOCK_BYTES
    const tooMuch = [{ trim: blockNumber(2), count: 1 }, block(1, 2), block(3, 2), block(4, 2)]
    assert.throws(() => device.append(tooMuch), { code: 'DiskFull' })
    const read = () => [1, 2, 3, 4].map((n) => device.read(blockNumber(n))[0])
    assert.deepEqual(read(), [1, 1, 0, 0])
    device.append(tooMuch.slice(0, 3))
    assert.deepEqual(read(), [2, 0, 2, 0])
  })
})
