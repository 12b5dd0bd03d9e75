import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { VolumeError } from '../protocol/errors.ts'
import { groupIndex, volumeId } from '../protocol/lsn.ts'
import { MemoryRegistry } from './memory-registry.ts'
import { groupKey, nodeKey, type Registry, UPDATE_TRIES_MAX, update, volumeKey } from './registry.ts'
import { SqliteRegistry } from './sqlite-registry.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code

const folder = mkdtempSync(join(tmpdir(), 'registry-'))
const opened: SqliteRegistry[] = []
after(() => {
  for (const registry of opened) registry.close()
  rmSync(folder, { recursive: true, force: true })
})
let files = 0
const newFile = (): string => join(folder, `${files++}.db`)
function openSqlite(file = newFile()): SqliteRegistry {
  const registry = SqliteRegistry.open(file)
  opened.push(registry)
  return registry
}

const KINDS: readonly (readonly [string, () => Registry])[] = [
  ['in memory', () => new MemoryRegistry()],
  ['in SQLite', () => openSqlite()],
]

for (const [kind, make] of KINDS) {
  describe(`a registry ${kind}`, () => {
    it('makes a cell only where there is none, and changes and deletes it only at its version', async () => {
      const registry = make()
      assert.equal(await registry.get('node/a'), undefined)
      assert.equal(await registry.cas('node/a', 7, 'x'), false)
      assert.equal(await registry.cas('node/a', 0, 'x'), true)
      assert.equal(await registry.cas('node/a', 0, 'y'), false)
      const { value, version } = (await registry.get('node/a')) ?? assert.fail()
      assert.equal(value, 'x')
      assert.equal(await registry.cas('node/a', version, 'y'), true)
      assert.equal(await registry.cas('node/a', version, null), false)
      const second = (await registry.get('node/a')) ?? assert.fail()
      assert.equal(await registry.cas('node/a', second.version, null), true)
      assert.equal(await registry.get('node/a'), undefined)
    })

    it('never uses a version twice, also when a cell is made again', async () => {
      const registry = make()
      const versions: number[] = []
      for (const key of ['a', 'b', 'a', 'a']) {
        await registry.cas(key, 0, 'x')
        const version = (await registry.get(key))?.version ?? 0
        versions.push(version)
        await registry.cas(key, version, null)
      }
      assert.deepEqual(
        versions,
        [...new Set(versions)].sort((a, b) => a - b),
      )
    })

    it('lists keys by prefix, sorted, and takes no character for a wildcard', async () => {
      const registry = make()
      for (const key of ['node/b', 'node/a', 'node%', 'node', 'volume/é', 'volume/e', 'Node/c'])
        await registry.cas(key, 0, '')
      assert.deepEqual(await registry.list('node/'), ['node/a', 'node/b'])
      assert.deepEqual(await registry.list('node%'), ['node%'])
      assert.deepEqual(await registry.list('volume/é'), ['volume/é'])
      assert.equal((await registry.list('')).length, 7)
    })

    it('lets every one of many concurrent updates through once', async () => {
      const registry = make()
      const add = () => update(registry, 'count', (value) => String(Number(value ?? 0) + 1))
      const versions = await Promise.all(Array.from({ length: 20 }, add))
      assert.equal((await registry.get('count'))?.value, '20')
      assert.equal(new Set(versions).size, 20)
    })
  })
}

describe('both registries', () => {
  it('answer alike', async () => {
    const key = fc.constantFrom('a', 'b', 'ab')
    const call = fc.record({ key, expected: fc.nat(6), value: fc.option(fc.constantFrom('x', 'y')) })
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
        const [memory, sqlite] = [new MemoryRegistry(), openSqlite(':memory:')]
        for (const { key, expected, value } of calls) {
          assert.equal(await sqlite.cas(key, expected, value), await memory.cas(key, expected, value))
          assert.deepEqual(await sqlite.get(key), await memory.get(key))
          assert.deepEqual(await sqlite.list('a'), await memory.list('a'))
        }
        sqlite.close()
      }),
      { numRuns: 100 },
    )
  })
})

describe('update', () => {
  it('writes nothing when nothing changes, and deletes on null', async () => {
    const registry = new MemoryRegistry()
    await registry.cas('a', 0, 'x')
    const before = await registry.get('a')
    assert.equal(await update(registry, 'a', () => 'x'), before?.version)
    assert.deepEqual(await registry.get('a'), before)
    await update(registry, 'a', () => null)
    await update(registry, 'a', () => null)
    assert.equal(await registry.get('a'), undefined)
  })

  it('answers a version between those of the values before and after', async () => {
    const registry = new MemoryRegistry()
    await registry.cas('a', 0, 'x')
    await registry.cas('b', 0, 'y')
    const version = await update(registry, 'a', () => 'z')
    assert.ok(version > 1 && version <= ((await registry.get('a'))?.version ?? 0))
  })

  it('gives up with Conflict after a bounded number of tries', async () => {
    let tries = 0
    const never: Registry = {
      get: () => Promise.resolve({ value: 'x', version: 1 }),
      cas: () => Promise.resolve(++tries < 0),
      list: () => Promise.resolve([]),
    }
    await assert.rejects(
      update(never, 'a', () => 'y'),
      hasCode('Conflict'),
    )
    assert.equal(tries, UPDATE_TRIES_MAX)
  })
})

describe('a registry in SQLite', () => {
  it('is shared by processes that open and change it at the same time', async () => {
    const file = newFile()
    const racer = join(import.meta.dirname, '../../test/registry-racer.ts')
    const processes = [0, 1].map(() =>
      spawn(process.execPath, [racer, file, '60'], { stdio: ['ignore', 'inherit', 'inherit'] }),
    )
    const exits = await Promise.all(processes.map((child) => once(child, 'exit')))
    assert.deepEqual(
      exits.map(([status]) => status),
      [0, 0],
    )
    assert.equal((await openSqlite(file).get('node/count'))?.value, '120')
  })

  it('is there again when it is opened again', async () => {
    const file = newFile()
    const first = openSqlite(file)
    await first.cas('a', 0, 'x')
    first.close()
    first.close()
    await assert.rejects(first.get('a'), hasCode('Closed'))
    assert.equal((await openSqlite(file).get('a'))?.value, 'x')
  })

  it('refuses a newer schema, and a file that is none of SQLite', () => {
    const newer = newFile()
    const database = new DatabaseSync(newer)
    database.exec('PRAGMA user_version = 2')
    database.close()
    assert.throws(() => SqliteRegistry.open(newer), hasCode('UnsupportedFormat'))
    const other = newFile()
    writeFileSync(other, 'this is no database at all, but long enough to have a header of one '.repeat(20))
    assert.throws(() => SqliteRegistry.open(other), hasCode('Corrupt'))
  })
})

describe('keys', () => {
  it('are kind and name', () => {
    assert.equal(volumeKey(volumeId(0xa1)), 'volume/vol-000000a1')
    assert.equal(groupKey(volumeId(1), groupIndex(12)), 'group/vol-00000001/12')
    assert.equal(nodeKey('a1'), 'node/a1')
  })
})
