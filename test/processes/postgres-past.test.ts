/** Looking at a cluster's past from the command line: branches, and files mounted at an LSN or a time. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { mountsAt } from '../../src/fuse/real-mount.ts'
import { parseVolumeName } from '../../src/protocol/lsn.ts'
import { SqliteRegistry } from '../../src/volume/sqlite-registry.ts'
import { openFleet } from '../../src/volume/tcp-fleet.ts'
import { endWithUs } from '../child-processes.ts'
import { type Finished, whyNoMount } from '../fuse-mounts.ts'
import { RegionHome } from '../region-home.ts'
import { pause, until } from '../waiting.ts'

const skip = whyNoMount() ?? false

const UP = ['--memory-mib', '128']

/** A time is turned into an LSN by what the volume notes once a second. */
const TIME_STEP_MS = 1100

/** What `bin/borealis` hands over to: signals reach it as they are. */
const BOREALIS = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')

/** `borealis volume mount`, running. */
class Mounted implements AsyncDisposable {
  readonly folder: string
  readonly #ended: Promise<Finished>
  readonly #child: ReturnType<typeof spawn>
  output = ''

  constructor(home: RegionHome, folder: string, args: readonly string[]) {
    this.folder = folder
    const command = [BOREALIS, 'volume', 'mount', 'demo', folder, ...args]
    const env = { ...process.env, BOREALIS_HOME: home.root }
    this.#child = endWithUs(spawn(process.execPath, command, { env, stdio: ['ignore', 'pipe', 'pipe'] }))
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (text) => {
        this.output += text
      })
    this.#ended = once(this.#child, 'close').then(([status, signal]) => ({ status, signal, output: this.output }))
  }

  async ready(): Promise<this> {
    await until('it is mounted', () => this.output.includes('Ctrl-C') || this.#child.exitCode !== null)
    assert.match(this.output, /^demo at LSN \d+ is at /)
    return this
  }

  /** As with Ctrl-C, unless another signal is given. */
  end(signal: NodeJS.Signals = 'SIGINT'): Promise<Finished> {
    this.#child.kill(signal)
    return this.#ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}

describe('the past of a cluster', { skip }, () => {
  let home: RegionHome
  let folder: string
  /** When there were 1,000 rows, and the LSN of that. */
  let thousandAt: string
  let thousandLsn: number

  before(async () => {
    home = await RegionHome.make(UP)
    folder = mkdtempSync(join(tmpdir(), 'borealis-past-'))
    await home.up()
    await query('demo', 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS i')
    thousandLsn = await head()
    await pause(TIME_STEP_MS)
    thousandAt = new Date().toISOString()
    await pause(TIME_STEP_MS)
    await query('demo', 'INSERT INTO t SELECT generate_series(1, 1000)')
  })
  after(async () => {
    await home?.[Symbol.asyncDispose]()
    if (folder !== undefined) rmSync(folder, { recursive: true })
  })

  async function query(cluster: string, statement: string): Promise<unknown[][]> {
    const client = await home.connect(cluster)
    try {
      return (await client.query({ text: statement, rowMode: 'array' })).rows
    } finally {
      await client.end()
    }
  }

  const rowsIn = async (cluster: string): Promise<unknown> =>
    (await query(cluster, 'SELECT count(*)::int FROM t'))[0]?.[0]

  /** How far the volume of `demo` is durable. */
  async function head(): Promise<number> {
    const { clusters } = await home.status()
    const registry = SqliteRegistry.open(join(home.root, 'region', 'registry.sqlite'))
    const fleet = openFleet(registry)
    try {
      return await fleet.volumes.head(parseVolumeName(clusters[0]?.volume.id ?? '')!)
    } finally {
      fleet.close()
      registry.close()
    }
  }

  async function succeeds(...args: readonly string[]): Promise<string> {
    const { status, output } = await home.borealis(...args)
    assert.equal(status, 0, output)
    return output
  }

  async function empty(name: string): Promise<string> {
    mkdirSync(join(folder, name))
    return join(folder, name)
  }

  const clusters = async (): Promise<string[]> => (await home.status()).clusters.map(({ name }) => name)

  it('is a cluster of its own when it is branched at an LSN, with the users of its source', async () => {
    const output = await succeeds('cluster', 'branch', 'demo', 'at-lsn', '--at', `${thousandLsn}`)
    assert.match(output, new RegExp(`^branch at-lsn of demo at LSN ${thousandLsn} is available at 127[.]`))
    assert.equal(await rowsIn('at-lsn'), 1000)
    await query('at-lsn', 'INSERT INTO t VALUES (0)')
    assert.deepEqual([await rowsIn('at-lsn'), await rowsIn('demo')], [1001, 2000])
  })

  it('is found by a time as well, and now is the default', async () => {
    await succeeds('cluster', 'branch', 'demo', 'at-time', '--at', thousandAt)
    assert.equal(await rowsIn('at-time'), 1000)
    await succeeds('cluster', 'branch', 'demo', 'at-head')
    assert.equal(await rowsIn('at-head'), 2000)
  })

  it('of a branch goes back through its source', async () => {
    await succeeds('cluster', 'branch', 'at-head', 'through', '--at', `${thousandLsn}`)
    assert.equal(await rowsIn('through'), 1000)
    assert.match(await succeeds('cluster', 'list'), new RegExp(`through .* at-head at LSN ${thousandLsn}\n`))
    await succeeds('cluster', 'delete', 'through')
  })

  it('is refused in one line where there is none, and nothing is changed', async () => {
    const present = await clusters()
    const branch = (...args: readonly string[]) => home.borealis('cluster', 'branch', ...args)
    const refusals: readonly [number, RegExp, () => Promise<Finished>][] = [
      [
        1,
        /^borealis: LSN 9000000000000000 is in the future of demo, which is at \d+\n$/,
        () => branch('demo', 'x', '--at', '9000000000000000'),
      ],
      [
        1,
        /^borealis: 2999-01-01T00:00:00.000Z is in the future/,
        () => branch('demo', 'x', '--at', '2999-01-01T00:00Z'),
      ],
      [
        1,
        /^borealis: 2001-01-01T00:00:00.000Z is before what is kept of demo/,
        () => branch('demo', 'x', '--at', '2001-01-01 00:00:00'),
      ],
      [
        1,
        /^borealis: demo had no database yet at LSN 0: choose a later point\n$/,
        () => branch('demo', 'x', '--at', '0'),
      ],
      [2, /^borealis: --at -5/, () => branch('demo', 'x', '--at=-5')],
      [
        2,
        /^borealis: --at yesterday is neither an LSN nor a time such as /,
        () => branch('demo', 'x', '--at', 'yesterday'),
      ],
      [
        2,
        /^borealis: --at 99999999999999999999: no volume has an LSN as high as that/,
        () => branch('demo', 'x', '--at', '99999999999999999999'),
      ],
      [2, /^borealis: X is no name for a cluster/, () => branch('demo', 'X')],
      [2, /^borealis: NEW is missing/, () => branch('demo')],
      [1, /^borealis: there is a cluster at-lsn already: choose another name\n$/, () => branch('demo', 'at-lsn')],
      [1, /^borealis: there is no cluster nobody: see borealis cluster list\n$/, () => branch('nobody', 'x')],
      [
        1,
        /^borealis: there is no cluster nobody/,
        async () => home.borealis('volume', 'mount', 'nobody', await empty('a')),
      ],
      [
        1,
        /^borealis: .*none is no folder to mount on: make it first\n$/,
        () => home.borealis('volume', 'mount', 'demo', join(folder, 'none')),
      ],
      [
        1,
        /^borealis: .* is not empty: choose another folder\n$/,
        () => home.borealis('volume', 'mount', 'demo', folder),
      ],
      [
        1,
        /^borealis: demo has no files yet at LSN 0: choose a later one\n$/,
        () => home.borealis('volume', 'mount', 'demo', join(folder, 'a'), '--at', '0'),
      ],
    ]
    for (const [status, line, command] of refusals) {
      const finished = await command()
      assert.match(finished.output, line)
      assert.equal(finished.status, status, finished.output)
    }
    assert.deepEqual(await clusters(), present)
    assert.equal(existsSync(join(home.root, 'clusters', 'x')), false)
    const volumes = SqliteRegistry.open(join(home.root, 'region', 'registry.sqlite'))
    try {
      assert.equal((await volumes.list('volume/')).length, present.length)
    } finally {
      volumes.close()
    }
  })

  it('is mounted read-only until Ctrl-C, while the writer goes on', async () => {
    const place = await empty('read-only')
    await using mounted = await new Mounted(home, place, ['--at', `${thousandLsn}`]).ready()
    assert.equal(await readFile(join(place, 'data', 'PG_VERSION'), 'utf8'), '17\n')
    await assert.rejects(writeFile(join(place, 'new'), ''), { code: 'EROFS' })
    const again = await home.borealis('volume', 'mount', 'demo', place)
    assert.match(again.output, /^borealis: .* is in use: a file system is served there\n$/)
    const control = () => readFile(join(place, 'data', 'global', 'pg_control'))
    const before = await control()
    await query('demo', 'CREATE TABLE other AS SELECT generate_series(1, 1000)')
    const superuser = await home.superuser()
    await superuser.query('CHECKPOINT')
    await superuser.end()
    assert.ok(before.equals(await control()))
    const { status, output } = await mounted.end()
    assert.equal(status, 0, output)
    assert.deepEqual([mountsAt(place), await readdir(place)], [0, []])
  })

  it('is mounted with changes of its own, which nobody else sees and which go with it', async () => {
    const place = await empty('overlay')
    const first = await new Mounted(home, place, ['--overlay']).ready()
    await rm(join(place, 'data'), { recursive: true })
    await writeFile(join(place, 'mine'), 'x'.repeat(100_000))
    assert.deepEqual(await readdir(place), ['mine'])
    assert.equal((await first.end()).status, 0)
    await using second = await new Mounted(home, place, ['--overlay']).ready()
    assert.deepEqual(await readdir(second.folder), ['data'])
    assert.equal(await rowsIn('demo'), 2000)
  })

  it('is mounted again where whoever served it was killed', async () => {
    const place = await empty('killed')
    const first = await new Mounted(home, place, []).ready()
    await first.end('SIGKILL')
    assert.equal(mountsAt(place), 1)
    await using _ = await new Mounted(home, place, []).ready()
    assert.deepEqual([mountsAt(place), await readdir(place)], [1, ['data']])
  })

  it('stays with its branches when the cluster itself is deleted', async () => {
    await succeeds('cluster', 'branch', 'at-head', 'of-branch')
    // They are being written to while they become volumes of their own.
    const client = await home.connect('at-lsn')
    let isDeleted = false
    const deletion = succeeds('cluster', 'delete', 'demo').finally(() => {
      isDeleted = true
    })
    let written = 0
    for (; !isDeleted; written++) await client.query('INSERT INTO t VALUES ($1)', [-written])
    await deletion
    await client.end()
    console.log(`${written} inserts while the branch was being detached`)
    assert.deepEqual(await clusters(), ['at-head', 'at-lsn', 'at-time', 'of-branch'])
    const counts = { 'at-lsn': 1001 + written, 'at-time': 1000, 'at-head': 2000, 'of-branch': 2000 }
    for (const [name, count] of Object.entries(counts)) {
      await query(name, 'CREATE TABLE mine (i int)')
      assert.equal(await rowsIn(name), count, name)
      assert.match(await succeeds('volume', 'check', name), /: 0 differences\n/)
    }
    await home.down()
    await succeeds('up', '--detach', '--no-demo', ...UP)
    for (const [name, count] of Object.entries(counts)) assert.equal(await rowsIn(name), count, name)
  })
})
