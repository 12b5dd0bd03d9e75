import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Ino, ROOT_INO } from '../filesystem/file-operations.ts'
import { FileSystem } from '../filesystem/file-system.ts'
import { MemoryDevice } from '../filesystem/memory-device.ts'
import { PAGE_BYTES, RelationFiles } from './relation-files.ts'

const now = () => ({ seconds: 0, nanoseconds: 0 })
const OWNER = { uid: 0, gid: 0 }

async function emptyFiles(): Promise<RelationFiles> {
  const device = new MemoryDevice()
  await FileSystem.format(device, { now })
  return new RelationFiles(await FileSystem.attach(device, { now }))
}

describe('files of pages', () => {
  const make = async (files: RelationFiles, path: string): Promise<Ino> => {
    const names = path.split('/')
    let at: Ino = ROOT_INO
    for (const name of names.slice(0, -1)) {
      try {
        at = files.lookup(at, name).ino
      } catch {
        at = (await files.mkdir(at, name, 0o700, OWNER)).ino
      }
    }
    return (await files.create(at, names.at(-1) ?? '', 0o600, OWNER)).ino
  }

  it('are tables, indexes and what belongs to them, by their place and name', async () => {
    const files = await emptyFiles()
    for (const path of [
      'data/base/5/16384',
      'data/base/5/16384.1',
      'data/base/5/16384_fsm',
      'data/base/5/16384_vm.2',
      'data/base/5/16385_init',
      'data/base/5/t3_16384',
      'data/global/1260',
    ]) {
      assert.equal(files.pageBytesOf(await make(files, path)), PAGE_BYTES, path)
    }
  })

  it('are not the others, though some have numbers for names', async () => {
    const files = await emptyFiles()
    for (const path of [
      'data/PG_VERSION',
      'data/base/5/pg_filenode.map',
      'data/base/5/pg_internal.init.77',
      'data/global/pg_control',
      'data/pg_wal/000000010000000000000001',
      'data/pg_twophase/00000735',
      'data/base/pgsql_tmp/1',
    ]) {
      assert.equal(files.pageBytesOf(await make(files, path)), undefined, path)
    }
  })

  it('are what they are called now', async () => {
    const files = await emptyFiles()
    const file = await make(files, 'data/global/pg_internal.init.1')
    const folder = files.lookup(files.lookup(ROOT_INO, 'data').ino, 'global').ino
    await files.rename(folder, 'pg_internal.init.1', folder, '16999')
    assert.equal(files.pageBytesOf(file), PAGE_BYTES)
    await files.rename(folder, '16999', folder, 'pg_internal.init')
    assert.equal(files.pageBytesOf(file), undefined)
  })

  it('are known again after the file system was attached anew, when the kernel asks for them', async () => {
    const device = new MemoryDevice()
    await FileSystem.format(device, { now })
    const first = new RelationFiles(await FileSystem.attach(device, { now }))
    const file = await make(first, 'data/base/5/16384')
    const second = new RelationFiles(await FileSystem.attach(device, { now }))
    assert.equal(second.pageBytesOf(file), undefined)
    let at: Ino = ROOT_INO
    for (const name of ['data', 'base', '5', '16384']) at = second.lookup(at, name).ino
    assert.equal(at, file)
    assert.equal(second.pageBytesOf(file), PAGE_BYTES)
  })

  it('are all known when everything was looked up, for a kernel that does not ask again', async () => {
    const device = new MemoryDevice()
    await FileSystem.format(device, { now })
    const first = new RelationFiles(await FileSystem.attach(device, { now }))
    const made = new Map<string, Ino>()
    const paths = ['data/base/5/16384', 'data/base/5/16384_fsm', 'data/base/6/1259', 'data/global/1260']
    for (const path of [...paths, 'data/pg_wal/1', 'data/base/5/PG_VERSION']) made.set(path, await make(first, path))
    const second = new RelationFiles(await FileSystem.attach(device, { now }))
    second.lookUpAll()
    assert.deepEqual(
      [...made].filter(([, ino]) => second.pageBytesOf(ino) === PAGE_BYTES).map(([path]) => path),
      paths,
    )
    // What is made later in a directory that the kernel knows.
    const folder = second.lookup(second.lookup(second.lookup(ROOT_INO, 'data').ino, 'base').ino, '6').ino
    assert.equal(second.pageBytesOf((await second.create(folder, '16999', 0o600, OWNER)).ino), PAGE_BYTES)
  })
})
