import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FileType, ROOT_INO, type Timestamp } from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { MemoryDevice } from './memory-device.ts'
import { ScratchDirectories } from './scratch-directories.ts'

const now = (): Timestamp => ({ seconds: 1_700_000_000, nanoseconds: 1 })
const OWNER = { uid: 1, gid: 2 }
const directories = ['pg_stat_tmp', 'base/pgsql_tmp']

async function attach(device: MemoryDevice) {
  const main = await FileSystem.attach(device, { now })
  const scratch = new MemoryDevice()
  return { main, scratch, system: await ScratchDirectories.graft(main, { now, device: scratch, directories }) }
}

async function prepared() {
  const device = new MemoryDevice()
  await FileSystem.format(device, { now })
  const attached = await attach(device)
  const { system } = attached
  const base = await system.mkdir(ROOT_INO, 'base', 0o700, OWNER)
  const temporary = await system.mkdir(base.ino, 'pgsql_tmp', 0o700, OWNER)
  return { device, ...attached, base: base.ino, temporary: temporary.ino }
}

describe('scratch directories', () => {
  it('hold files that do not touch the device', async () => {
    const { device, system, temporary } = await prepared()
    const before = new Map([...device.blocks].map(([block, bytes]) => [block, Buffer.from(bytes)]))
    const { ino } = await system.create(temporary, 'sort.0', 0o600, OWNER)
    await system.write(ino, 5, Buffer.from('sorted'))
    assert.equal(Buffer.from(await system.read(ino, 0, 99)).toString(), '\0\0\0\0\0sorted')
    const inner = await system.mkdir(temporary, 'set', 0o700, OWNER)
    await system.rename(temporary, 'sort.0', inner.ino, 'sort.1')
    await system.link(ino, temporary, 'again')
    await system.setattr(ino, { size: 3 })
    assert.equal(system.lookup(inner.ino, 'sort.1').links, 2)
    assert.equal(system.lookup(inner.ino, '..').ino, temporary)
    assert.equal(system.getattr(ino).size, 3)
    for (const [block, bytes] of device.blocks) assert.ok(before.get(block)?.equals(bytes))
    assert.equal(device.blocks.size, before.size)
    await system.unlink(inner.ino, 'sort.1')
    await system.rmdir(temporary, 'set')
    assert.throws(() => system.lookup(temporary, 'set'), { code: 'ENOENT' })
  })

  it('are directories like others from outside', async () => {
    const { system, base, temporary } = await prepared()
    await system.setattr(temporary, { mode: 0o750 })
    assert.equal(system.lookup(base, 'pgsql_tmp').mode, FileType.DIRECTORY | 0o750)
    await system.create(temporary, 'a', 0o600, OWNER)
    const entries = system.readdir(temporary, 0, 10)
    assert.deepEqual(
      entries.map(({ name }) => name),
      ['.', '..', 'a'],
    )
    assert.deepEqual([entries[0]?.ino, entries[1]?.ino], [temporary, base])
    assert.equal(entries[2]?.ino, system.lookup(temporary, 'a').ino)
    assert.throws(() => system.rmdir(base, 'pgsql_tmp'), { code: 'ENOTEMPTY' })
    await system.unlink(temporary, 'a')
    await system.rmdir(base, 'pgsql_tmp')
    const again = await system.mkdir(base, 'pgsql_tmp', 0o700, OWNER)
    assert.deepEqual(system.readdir(again.ino, 2, 10), [])
    await system.create(again.ino, 'b', 0o600, OWNER)
    await system.fsync()
  })

  it('are empty after every attach', async () => {
    const { device, system, base, temporary } = await prepared()
    await system.create(temporary, 'a', 0o600, OWNER)
    await system.create(base, 'kept', 0o600, OWNER)
    const again = await attach(device)
    assert.deepEqual(again.system.readdir(temporary, 2, 10), [])
    assert.equal(again.system.lookup(base, 'kept').size, 0)
    assert.deepEqual(again.main.check(), [])
  })

  it('go on as they were on the same device, with files that lost their names and are open', async () => {
    const { device, scratch, system, base, temporary } = await prepared()
    const sort = await system.create(temporary, 'sort', 0o600, OWNER)
    await system.write(sort.ino, 0, Buffer.from('sorted'))
    const [inside, outside] = [
      await system.create(temporary, 'a', 0o600, OWNER),
      await system.create(base, 'a', 0o600, OWNER),
    ]
    for (const { ino } of [inside, outside]) await system.write(ino, 0, Buffer.from('open'))
    await system.unlink(temporary, 'a')
    await system.unlink(base, 'a')
    // Left by nobody who has it open.
    const lost = await system.create(temporary, 'lost', 0o600, OWNER)
    await system.unlink(temporary, 'lost')
    assert.deepEqual(new Set(system.openOrphans), new Set([inside.ino, outside.ino, lost.ino]))

    const stillOpen = [inside.ino, outside.ino]
    const main = await FileSystem.attach(device, { now, stillOpen })
    const next = await ScratchDirectories.graft(main, { now, device: scratch, directories, stillOpen })
    assert.equal(next.lookup(temporary, 'sort').ino, sort.ino)
    assert.equal(Buffer.from(await next.read(sort.ino, 0, 9)).toString(), 'sorted')
    for (const { ino } of [inside, outside]) {
      assert.equal(Buffer.from(await next.read(ino, 0, 9)).toString(), 'open')
      assert.equal(next.getattr(ino).links, 0)
    }
    assert.throws(() => next.getattr(lost.ino), { code: 'ENOENT' })
    assert.deepEqual(new Set(next.openOrphans), new Set(stillOpen))
    for (const ino of stillOpen) await next.release(ino)
    for (const ino of stillOpen) assert.throws(() => next.getattr(ino), { code: 'ENOENT' })
    assert.deepEqual(main.check(), [])
    assert.equal((await next.create(temporary, 'b', 0o600, OWNER)).ino > 2 ** 40, true)
  })

  it('let nothing be moved across their border, nor themselves', async () => {
    const { system, base, temporary } = await prepared()
    const outside = await system.create(base, 'outside', 0o600, OWNER)
    const inside = await system.create(temporary, 'inside', 0o600, OWNER)
    await system.mkdir(ROOT_INO, 'd', 0o700, OWNER)
    for (const crossing of [
      () => system.rename(base, 'outside', temporary, 'x'),
      () => system.rename(temporary, 'inside', base, 'x'),
      () => system.link(outside.ino, temporary, 'x'),
      () => system.link(inside.ino, base, 'x'),
      () => system.rename(base, 'pgsql_tmp', base, 'x'),
      () => system.rename(ROOT_INO, 'd', base, 'pgsql_tmp'),
      () => system.rename(ROOT_INO, 'd', ROOT_INO, 'pg_stat_tmp'),
    ]) {
      assert.throws(crossing, { code: 'EXDEV', errno: 18 })
    }
  })
})
