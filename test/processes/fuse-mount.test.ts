import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, readlinkSync, statfsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MountError, openAndMount, unmountHere } from '../../src/fuse/real-mount.ts'
import { type Finished, hasProgram, Place, runProgram, SERVER, startServer, whyNoMount } from '../fuse-mounts.ts'

const reason = whyNoMount()
const skip = reason ?? false
const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

const codeOf = (work: () => unknown): unknown => {
  try {
    work()
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}

describe('mounting', { skip }, () => {
  it('is there, is used, and leaves nothing', async () => {
    using place = new Place()
    await using server = await startServer(place.path)
    assert.equal(place.mounts, 1)
    writeFileSync(join(place.path, 'file'), 'content')
    assert.equal(readFileSync(join(place.path, 'file'), 'utf8'), 'content')
    assert.equal(statfsSync(place.path).bsize > 0, true)
    const { status, counts } = await server.end()
    assert.equal(status, 0)
    assert.equal(counts?.reason, 'unmounted')
    assert.equal(place.mounts, 0)
    assert.deepEqual(readdirSync(place.path), [])
  })

  it('ends when somebody else unmounts', async () => {
    using place = new Place()
    await using server = await startServer(place.path)
    unmountHere(place.path)
    assert.equal((await server.ended).status, 0)
  })

  it('an open file holds up the end, but not for ever', async () => {
    using place = new Place()
    await using server = await startServer(place.path)
    const holder = spawn('sleep', ['60'], { cwd: place.path, stdio: 'ignore' })
    try {
      const startedMs = performance.now()
      const { status, counts } = await server.end()
      assert.deepEqual([status, counts?.reason], [0, 'closed'])
      assert.equal(performance.now() - startedMs >= 900, true)
    } finally {
      holder.kill('SIGKILL')
    }
  })

  it('a place in use is refused in one line', async () => {
    using place = new Place()
    await using _server = await startServer(place.path)
    await assert.rejects(openAndMount(place.path), (error) => error instanceof MountError && error.code === 'InUse')
    const second = await runProgram(process.execPath, [SERVER, place.path])
    assert.equal(second.status, 1)
    assert.match(second.output, /^.* is in use: .*\n$/)
    assert.equal(place.mounts, 1)
  })

  it('a place that is none is refused in one line', async () => {
    using place = new Place()
    for (const path of [place.beside('nothing'), place.beside('nothing/deeper'), '/proc/version']) {
      const { status, output } = await runProgram(process.execPath, [SERVER, path])
      assert.equal(status, 1)
      assert.match(output, /^.* is no directory to mount on.*\n$/)
    }
  })

  it('a server that hangs is in use, not dead', async () => {
    using place = new Place()
    await using server = await startServer(place.path)
    server.child.kill('SIGSTOP')
    await assert.rejects(openAndMount(place.path), (error) => error instanceof MountError && error.code === 'InUse')
    server.child.kill('SIGCONT')
    assert.equal((await server.end()).status, 0)
  })

  it('the descriptor is not for the programs that the server starts', async () => {
    using place = new Place()
    await using server = await startServer(place.path)
    const folder = `/proc/${server.child.pid}/fd`
    const device = readdirSync(folder).filter((fd) => {
      try {
        return readlinkSync(join(folder, fd)) === '/dev/fuse'
      } catch {
        return false
      }
    })
    assert.equal(device.length, 1)
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/${server.child.pid}/fdinfo/${device[0]}`, 'utf8'))
    assert.notEqual(Number.parseInt(flags?.[1] ?? '0', 8) & 0o2000000, 0, 'close-on-exec')
  })
})

describe('a server that was killed', { skip }, () => {
  it('leaves callers with ENOTCONN, and its dead mount is taken away by the next', async () => {
    using place = new Place()
    const first = await startServer(place.path)
    await first.end('SIGKILL')
    assert.equal(
      codeOf(() => statfsSync(place.path)),
      'ENOTCONN',
    )
    assert.equal(place.mounts, 1)
    await using second = await startServer(place.path)
    assert.equal(place.mounts, 1)
    assert.equal(statSync(place.path).isDirectory(), true)
    assert.equal((await second.end()).status, 0)
    assert.equal(place.mounts, 0)
  })

  it('ten times, in the middle of writes, leaves one dead mount and nothing else', async () => {
    using place = new Place()
    for (let round = 0; round < 10; round++) {
      const server = await startServer(place.path, '--memory')
      const writing = runProgram('sh', ['-c', 'while echo x >> file; do :; done'], { cwd: place.path })
      await sleep(20 * round)
      await server.end('SIGKILL')
      await writing
      assert.equal(place.mounts, 1)
    }
  })
})

describe('namespaces of an ordinary user', { skip }, () => {
  /** In a mount namespace that goes with its last process: nothing can be left over outside. */
  const inNamespaces = (place: Place, device: string, { uid }: { readonly uid?: number }): Promise<Finished> => {
    const server = `"${process.execPath}" "${SERVER}" "${place.path}" --device "${device}"`
    const script =
      `${server} & server=$!; for i in $(seq 100); do grep -q " ${place.path} " /proc/self/mountinfo && break; sleep 0.1; done; ` +
      `echo content > "${place.path}/file" && cat "${place.path}/file" && stat -c %u "${place.path}/file"; kill $server; wait $server`
    const args = ['--user', '--map-current-user', '--keep-caps', '--mount', 'sh', '-c', script]
    return runProgram('unshare', args, {
      ...(uid === undefined ? {} : { uid, gid: uid }),
      env: { PATH: process.env.PATH },
    })
  }
  const forbidden = ({ output }: Finished): string | undefined =>
    /unshare: .*(?:Operation not permitted|No space left on device|unrecognized option).*/.exec(output)?.[0]

  it('as root of the machine', { skip: isRoot ? false : 'we are not root' }, async (t) => {
    using place = new Place()
    const finished = await inNamespaces(place, '/dev/fuse', {})
    const why = forbidden(finished)
    if (why !== undefined) return t.skip(why)
    assert.match(finished.output, /ready\n(?:.*\n)*content\n0\n/)
    assert.equal(finished.status, 0, finished.output)
    assert.equal(place.mounts, 0)
  })

  it('as nobody, with a device that all may open', { skip: isRoot ? false : 'we are not root' }, async (t) => {
    using place = new Place()
    const device = place.beside('fuse')
    const made = await runProgram('mknod', ['-m', '666', device, 'c', '10', '229'])
    if (made.status !== 0) return t.skip(made.output)
    chmodSync(place.root, 0o755)
    await runProgram('chown', [`${NOBODY}:${NOBODY}`, place.path])
    const reachable = await runProgram(process.execPath, ['--version'], { uid: NOBODY, gid: NOBODY }).catch(
      () => undefined,
    )
    if (reachable?.status !== 0) return t.skip('nobody may not read this folder')
    const finished = await inNamespaces(place, device, { uid: NOBODY })
    const why = forbidden(finished) ?? /.*may not be opened.*/.exec(finished.output)?.[0]
    if (why !== undefined) return t.skip(why)
    assert.match(finished.output, new RegExp(`ready\\n(?:.*\\n)*content\\n${NOBODY}\\n`))
    assert.equal(finished.status, 0, finished.output)
    assert.equal(place.mounts, 0)
  })

  it('without any, one line says what to do', { skip: isRoot ? false : 'we are not root' }, async (t) => {
    using place = new Place()
    chmodSync(place.root, 0o755)
    const finished = await runProgram(process.execPath, [SERVER, place.path], { uid: NOBODY, gid: NOBODY }).catch(
      () => undefined,
    )
    if (finished === undefined || /EACCES|Cannot find module/.test(finished.output))
      return t.skip('nobody may not read this folder')
    assert.equal(finished.status, 1)
    assert.match(finished.output, /^.*--device \/dev\/fuse --cap-add SYS_ADMIN.*\n$/)
  })

  it('unshare is there', async (t) => {
    if (!(await hasProgram('unshare'))) t.skip('no unshare, of util-linux')
  })
})
