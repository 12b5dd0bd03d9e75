/** Servers that die and are replaced under a running program, which must not notice. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Death, DescriptorKeeper } from '../../src/fuse/descriptor-keeper.ts'
import { mountsAt } from '../../src/fuse/real-mount.ts'
import { type Finished, Place, runProgram, SERVER, whyNoMount } from '../fuse-mounts.ts'
import { until } from '../waiting.ts'

const skip = whyNoMount() ?? false
const WRITER = join(import.meta.dirname, '../fuse-writer.ts')
const KEEPER = join(import.meta.dirname, '../fuse-keeper.ts')

const writing = (place: Place, seconds: number): Promise<Finished> =>
  runProgram(process.execPath, [WRITER, place.path, `${seconds}`, '7'])

/** A keeper whose server keeps its blocks in a journal, and a fsync that takes as long as one over a network. */
function keep(place: Place, onDeath: (death: Death) => boolean = () => true): Promise<DescriptorKeeper> {
  const command = [process.execPath, SERVER, '--journal', place.beside('journal'), '--sync-ms', '2'] as const
  return DescriptorKeeper.start({ path: place.path, command: [...command], onDeath, quiet: true })
}

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

describe('a keeper', { skip }, () => {
  it('starts a server, and both leave nothing', async () => {
    using place = new Place()
    const keeper = await keep(place)
    assert.equal((await runProgram('sh', ['-c', 'echo x > file && cat file'], { cwd: place.path })).output, 'x\n')
    await keeper.stop()
    assert.equal(await keeper.ended, 'stopped')
    assert.equal(place.mounts, 0)
  })

  it('a server that is killed again and again is a pause for a program that writes, never an error', async (t) => {
    using place = new Place()
    const deaths: Death[] = []
    const keeper = await keep(place, (death) => {
      deaths.push(death)
      return true
    })
    try {
      const writer = writing(place, 8)
      for (let round = 0; round < 4; round++) {
        await sleep(1200 + 130 * round)
        keeper.server.kill()
      }
      const { status, output } = await writer
      assert.equal(status, 0, output)
      t.diagnostic(output.trim())
      assert.deepEqual(
        deaths.map(({ signal, inOrder, generation }) => [signal, inOrder, generation]),
        [0, 1, 2, 3].map((generation) => ['SIGKILL', false, generation]),
      )
      const { names, pages } = JSON.parse(output) as { names: number; pages: number }
      assert.equal(names > 5 && pages > 100, true, output)
    } finally {
      await keeper.stop()
    }
    assert.equal(place.mounts, 0)
  })

  it('a server that is replaced in order is a pause, too', async (t) => {
    using place = new Place()
    const deaths: Death[] = []
    const keeper = await keep(place, (death) => {
      deaths.push(death)
      return true
    })
    try {
      await keeper.server.serving
      const writer = writing(place, 5)
      for (let round = 0; round < 3; round++) {
        await sleep(1100)
        await keeper.replaceServer()
      }
      const { status, output } = await writer
      assert.equal(status, 0, output)
      t.diagnostic(output.trim())
      assert.deepEqual(
        deaths.map(({ inOrder }) => inOrder),
        [true, true, true],
      )
    } finally {
      await keeper.stop()
    }
  })

  it('a new one that does not come up leaves the old one in place', async () => {
    using place = new Place()
    const program = place.beside('server.sh')
    const become = (text: string) => writeFileSync(program, text)
    become(`exec ${process.execPath} ${SERVER} --memory`)
    const deaths: Death[] = []
    const onDeath = (death: Death) => deaths.push(death) > 0
    const keeper = await DescriptorKeeper.start({ path: place.path, command: ['sh', program], onDeath, quiet: true })
    try {
      const { output } = await runProgram('sh', ['-c', 'echo x > file && cat file'], { cwd: place.path })
      assert.equal(output, 'x\n')
      const { pid } = keeper.server
      become('exit 3')
      await assert.rejects(keeper.replaceServer(), { message: 'it ended with status 3' })
      assert.deepEqual([keeper.server.pid, deaths], [pid, []])
      become(`exec ${process.execPath} ${SERVER} --memory`)
      await keeper.replaceServer()
      assert.notEqual(keeper.server.pid, pid)
      assert.deepEqual(deaths, [{ generation: 0, status: 75, signal: null, served: true, inOrder: true }])
    } finally {
      await keeper.stop()
    }
  })

  it('one that dies when it is its turn, and had not served, is followed by another', async () => {
    using place = new Place()
    const deaths: Death[] = []
    const keeper = await DescriptorKeeper.start({
      path: place.path,
      command: [process.execPath, SERVER, '--memory'],
      onTurn: (server) => void (server.generation > 0 && server.generation < 3 && server.kill()),
      onDeath: (death) => deaths.push(death) > 0,
      quiet: true,
    })
    try {
      await keeper.server.serving
      await keeper.replaceServer()
      assert.deepEqual(
        deaths.map(({ generation, served, inOrder }) => [generation, served, inOrder]),
        [
          [0, true, true],
          [1, false, false],
          [2, false, false],
        ],
      )
      assert.equal(keeper.server.generation, 3)
    } finally {
      await keeper.stop()
    }
  })

  it('cut off, callers get an error at once, also while the server stands still', async () => {
    using place = new Place()
    const keeper = await keep(place)
    const writer = writing(place, 60)
    await sleep(1500)
    keeper.server.child.kill('SIGSTOP')
    const startedMs = performance.now()
    await keeper.abort()
    const { status, output } = await writer
    assert.equal(status, 1)
    assert.match(output, /ECONNABORTED|ENOTCONN/)
    assert.equal(performance.now() - startedMs < 5000, true)
    assert.equal(place.mounts, 0)
  })

  it('a server that died before it said anything is replaced as well', async () => {
    using place = new Place()
    const keeper = await DescriptorKeeper.start({
      path: place.path,
      // Killed while the first request, INIT, waits.
      command: [process.execPath, SERVER, '--memory'],
      onTurn: (server) => void (server.generation === 0 && server.kill()),
      quiet: true,
    })
    try {
      const { output } = await runProgram('sh', ['-c', 'echo x > file && cat file'], { cwd: place.path })
      assert.equal(output, 'x\n')
    } finally {
      await keeper.stop()
    }
  })

  it('when no successor is wanted, callers get ENOTCONN and the mount goes', async () => {
    using place = new Place()
    const keeper = await keep(place, () => false)
    const writer = writing(place, 60)
    await sleep(1500)
    keeper.server.kill()
    assert.equal(await keeper.ended, 'given-up')
    const { status, output } = await writer
    assert.equal(status, 1)
    // The first for what waited, the second for what comes.
    assert.match(output, /ECONNABORTED|ENOTCONN/)
    assert.equal(place.mounts, 0)
  })

  it('a program that cannot serve is given up', async () => {
    using place = new Place()
    for (const command of [['/nonexistent/program'], [process.execPath, '-e', 'process.exit(1)']] as const) {
      const keeper = await DescriptorKeeper.start({ path: place.path, command: [...command], quiet: true })
      assert.equal(await keeper.ended, 'given-up')
      assert.equal(place.mounts, 0)
    }
  })
})

describe('whoever is killed, nothing is left over', { skip }, () => {
  /** A keeper in a process of its own, and its server's process. */
  async function started(place: Place) {
    const keeper = runProgram(process.execPath, [KEEPER, place.path, SERVER, '--memory'])
    const pids = () =>
      readdirSync('/proc')
        .map(Number)
        .filter((pid) => pid > 0 && commandOf(pid).includes(place.path) && isAlive(pid))
    const servers = () =>
      readdirSync('/proc')
        .map(Number)
        .filter((pid) => pid > 0 && environmentOf(pid).includes(`FUSE_PLACE=${place.path}`))
    await until('a server', () => servers().length === 1)
    const made = await runProgram('sh', ['-c', 'echo x > file && cat file'], { cwd: place.path })
    assert.equal(made.output, 'x\n')
    const [keeperPid = 0] = pids()
    return { keeper, keeperPid, serverPid: servers()[0] ?? 0, servers }
  }
  const textOf = (path: string): string => {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return ''
    }
  }
  const commandOf = (pid: number) => textOf(`/proc/${pid}/cmdline`)
  const environmentOf = (pid: number) => textOf(`/proc/${pid}/environ`)

  it('the keeper alone: the server unmounts and ends', async () => {
    using place = new Place()
    const { keeper, keeperPid, serverPid } = await started(place)
    process.kill(keeperPid, 'SIGKILL')
    await keeper
    await until('the server ends', () => !isAlive(serverPid))
    assert.equal(mountsAt(place.path), 0)
  })

  it('the server, then the keeper before its successor: a dead mount, which the next start takes away', async () => {
    using place = new Place()
    const { keeper, keeperPid, serverPid, servers } = await started(place)
    process.kill(serverPid, 'SIGKILL')
    process.kill(keeperPid, 'SIGKILL')
    await keeper
    await until('no server', () => servers().length === 0)
    const next = await DescriptorKeeper.start({
      path: place.path,
      command: [process.execPath, SERVER, '--memory'],
      quiet: true,
    })
    assert.equal(mountsAt(place.path), 1)
    await next.stop()
    assert.equal(mountsAt(place.path), 0)
  })

  it('the keeper is asked to stop: both end', async () => {
    using place = new Place()
    const { keeper, keeperPid, serverPid } = await started(place)
    process.kill(keeperPid, 'SIGTERM')
    assert.equal((await keeper).status, 0)
    assert.equal(isAlive(serverPid), false)
    assert.equal(mountsAt(place.path), 0)
  })
})
