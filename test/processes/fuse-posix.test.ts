/** The file system as programs see it: the same answers as a disk's, and the programs that people use. */
import assert from 'node:assert/strict'
import { mkdirSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { hasProgram, Place, runProgram, startServer, whyNoMount } from '../fuse-mounts.ts'
import { printedSeed } from '../waiting.ts'

const skip = whyNoMount() ?? false
const CHECKS = join(import.meta.dirname, '../posix-checks.ts')
const EXERCISER = join(import.meta.dirname, '../file-exerciser.ts')
const ROOT = join(import.meta.dirname, '../..')
/** Of statfs: ext2, ext3, ext4. */
const EXT_MAGIC = 0xef53

async function answersOf(folder: string): Promise<Record<string, unknown>> {
  const { status, output } = await runProgram(process.execPath, [CHECKS, folder])
  assert.equal(status, 0, output)
  return JSON.parse(output) as Record<string, unknown>
}

describe('POSIX', { skip }, () => {
  for (const mode of ['direct', 'cached']) {
    it(`the answers are those of the disk, ${mode}`, async (t) => {
      using place = new Place()
      const disk = place.beside('disk')
      mkdirSync(disk)
      if (statfsSync(disk).type !== EXT_MAGIC) t.diagnostic('compared with another file system than ext4')
      await using server = await startServer(place.path, ...(mode === 'cached' ? ['--cached'] : []))
      const [expected, answered] = [await answersOf(disk), await answersOf(place.path)]
      assert.deepEqual(answered, expected)
      t.diagnostic(`${Object.keys(expected).length} questions`)
      assert.equal((await server.end()).status, 0)
    })
  }
})

describe('random operations on a file', { skip }, () => {
  for (const mode of ['direct', 'cached']) {
    it(mode, async () => {
      using place = new Place()
      await using server = await startServer(place.path, ...(mode === 'cached' ? ['--cached'] : []))
      const seed = printedSeed(`file exerciser, ${mode}`)
      const { status, output } = await runProgram(process.execPath, [
        EXERCISER,
        join(place.path, 'file'),
        '2000',
        `${seed}`,
      ])
      assert.equal(status, 0, output)
      assert.equal((await server.end()).status, 0)
    })
  }
})

describe('programs', { skip }, () => {
  const scripts: readonly (readonly [name: string, needs: readonly string[], script: string])[] = [
    [
      'cp, diff, mv, find, rm',
      ['diff'],
      `cp -a "${ROOT}/src" src && diff -r src "${ROOT}/src" && mv src other && mkdir in && mv other in/ && ` +
        `test "$(find in -type f | wc -l)" = "$(find "${ROOT}/src" -type f | wc -l)" && rm -r in && test -z "$(ls -A)"`,
    ],
    ['tar', ['tar'], `tar cf t.tar -C "${ROOT}" src && tar xf t.tar && diff -r src "${ROOT}/src"`],
    ['dd', ['dd'], 'dd if=/dev/urandom of=a bs=8k count=500 oflag=dsync && dd if=a of=b bs=1M conv=fsync && cmp a b'],
    [
      'git',
      ['git'],
      `git init -q repo && cd repo && cp -r "${ROOT}/src" . && git add . && ` +
        `git -c user.name=x -c user.email=x@example.com commit -qm one && git fsck --strict && git gc -q && ` +
        `cd .. && git clone -q repo copy && diff -r repo/src copy/src && test -z "$(git -C copy status --porcelain)"`,
    ],
    [
      'sqlite3, both journals',
      ['python3'],
      `cat > t.py <<'END'
import sqlite3
for mode in ('delete', 'wal'):
    db = sqlite3.connect(mode)
    db.execute('pragma journal_mode=' + mode); db.execute('pragma synchronous=full')
    db.execute('create table t(a integer primary key, b text)')
    for i in range(50):
        with db: db.executemany('insert into t(b) values(?)', [('x' * i,)] * 20)
    with db: db.execute('delete from t where a % 3 = 0')
    assert db.execute('pragma integrity_check').fetchone() == ('ok',)
    assert db.execute('select count(*) from t').fetchone() == (667,)
    db.close()
END
python3 t.py`,
    ],
    [
      'fio, verified',
      ['fio'],
      'fio --name=v --rw=randrw --bs=8k --size=8m --verify=crc32c --direct=1 --fsync=32 --ioengine=psync --output=/dev/null',
    ],
  ]
  for (const [name, needs, script] of scripts) {
    it(name, async (t) => {
      for (const program of needs) if (!(await hasProgram(program))) return t.skip(`no ${program} here`)
      using place = new Place()
      await using server = await startServer(place.path)
      const { status, output } = await runProgram('sh', ['-ec', script], { cwd: place.path })
      assert.equal(status, 0, output)
      const { counts, status: ended } = await server.end()
      assert.equal(ended, 0)
      t.diagnostic(`${String(counts?.requests)} requests`)
    })
  }
})
