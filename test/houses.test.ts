import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { describe, it } from 'node:test'
import {
  coreProblems,
  HOUSES,
  importProblems,
  isShell,
  LINES_MAX,
  namesWithoutSubject,
  pureProblems,
} from './house-rules.ts'
import { isTest, parseSource, root, sourceFiles } from './source-file.ts'

const source = sourceFiles('src/**/*.ts')
const inHouse = (name: string) => source.filter(({ path }) => path.startsWith(`src/${name}/`) && !isTest(path))

describe('houses of src import downwards only', () => {
  for (const name of HOUSES) {
    const files = source.filter(({ path }) => path.startsWith(`src/${name}/`))
    if (files.length > 0) it(name, () => assert.deepEqual(files.flatMap(importProblems), []))
  }

  it('every file is in a house', () => {
    const homeless = source.filter(({ path }) => !HOUSES.some((name) => path.startsWith(`src/${name}/`)))
    assert.deepEqual(
      homeless.map(({ path }) => path),
      [],
    )
  })
})

describe('cores are free of the outside world', () => {
  it('src/protocol has no clock, randomness, timer, promise or module of Node but zlib', () => {
    assert.deepEqual(inHouse('protocol').flatMap(pureProblems), [])
  })

  for (const name of ['storage', 'volume', 'filesystem']) {
    it(`src/${name} gets clock, randomness, disk and network as arguments, outside of its shells`, () => {
      assert.deepEqual(
        inHouse(name)
          .filter(({ path }) => !isShell(path))
          .flatMap(coreProblems),
        [],
      )
    })
  }
})

describe('a stranger finds the room', () => {
  it(`no file in src is over ${LINES_MAX} lines`, () => {
    assert.deepEqual(
      source.filter(({ lines }) => lines > LINES_MAX).map(({ path, lines }) => `${path}: ${lines}`),
      [],
    )
  })

  it('nothing is called utils, helpers, common or misc', () => {
    const paths = globSync('{src,sim,bench,test,scripts}/**', { cwd: root })
    assert.deepEqual(
      paths.filter((path) => namesWithoutSubject(path).length > 0),
      [],
    )
  })
})

describe('the rules themselves notice', () => {
  const problems = (check: (file: ReturnType<typeof parseSource>) => string[], path: string, text: string) =>
    check(parseSource(path, text)).length

  it('an import upwards, also of a type, over several lines, or dynamic', () => {
    const path = 'src/protocol/a.ts'
    assert.equal(problems(importProblems, path, "import { x } from './b.ts'"), 0)
    assert.equal(problems(importProblems, path, "import type { X } from '../storage/x.ts'"), 1)
    assert.equal(problems(importProblems, path, "import {\n  x,\n} from '../volume/x.ts'"), 1)
    assert.equal(problems(importProblems, path, "export * from '../storage/x.ts'"), 1)
    assert.equal(problems(importProblems, path, "const x = await import('../storage/x.ts')"), 1)
    assert.equal(problems(importProblems, 'src/volume/a.ts', "import { x } from '../storage/x.ts'"), 0)
    assert.equal(problems(importProblems, 'src/volume/deep/a.ts', "import { x } from '../../fuse/x.ts'"), 1)
  })

  it('an import from outside of src, which only a test may have', () => {
    const text = "import { x } from '../../sim/x.ts'"
    assert.equal(problems(importProblems, 'src/storage/a.ts', text), 1)
    assert.equal(problems(importProblems, 'src/storage/a.test.ts', text), 0)
  })

  it('what the order would allow and the design does not', () => {
    assert.equal(problems(importProblems, 'src/fuse/a.ts', "import { x } from '../volume/x.ts'"), 1)
    assert.equal(problems(importProblems, 'src/instance/a.ts', "import { x } from '../volume/x.ts'"), 0)
  })

  it('clocks, randomness, timers and promises, but not in comments', () => {
    const path = 'src/protocol/a.ts'
    for (const text of [
      'const t = Date.now()',
      'const d = new Date()',
      'const r = Math.random()',
      'setTimeout(f, 1)',
      'async function f() {}',
      'let p: Promise<void>',
      "import { readFileSync } from 'node:fs'",
      "import fc from 'fast-check'",
    ]) {
      assert.equal(problems(pureProblems, path, text), 1, text)
    }
    assert.equal(problems(pureProblems, path, '/** never Date.now() */\n// nor await\nconst x = 1'), 0)
    assert.equal(problems(pureProblems, path, "import { crc32 } from 'node:zlib'"), 0)
    assert.equal(problems(coreProblems, 'src/volume/a.ts', 'async function open() {}'), 0)
    assert.equal(problems(coreProblems, 'src/volume/a.ts', "import net from 'node:net'"), 1)
    assert.equal(problems(coreProblems, 'src/volume/a.ts', "import { randomUUID } from 'node:crypto'"), 1)
  })

  it('shells by their names', () => {
    for (const name of [
      'storage-node.ts',
      'real-disk.ts',
      'tcp-transport.ts',
      'main.ts',
      'host-main.ts',
      'node-worker.ts',
    ]) {
      assert.equal(isShell(`src/storage/${name}`), true, name)
    }
    assert.equal(isShell('src/storage/sqlite-registry.ts'), true)
    for (const name of ['node.ts', 'disk.ts', 'domain.ts', 'domain-maintenance.ts', 'surreal-disk.ts']) {
      assert.equal(isShell(`src/storage/${name}`), false, name)
    }
  })

  it('names without a subject', () => {
    assert.deepEqual(namesWithoutSubject('src/utils/x.ts'), ['utils'])
    assert.deepEqual(namesWithoutSubject('src/storage/disk-helpers.ts'), ['disk-helpers.ts'])
    assert.deepEqual(namesWithoutSubject('src/storage/commonality.ts'), [])
  })
})
