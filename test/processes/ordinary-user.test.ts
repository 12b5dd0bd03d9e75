/** All of it without root: instances mount in namespaces of their own, and everything runs as whoever started it. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hasProgram } from '../fuse-mounts.ts'
import { OrdinaryUser } from '../ordinary-user.ts'
import { RegionHome } from '../region-home.ts'
import { until } from '../waiting.ts'

const found = await OrdinaryUser.find()
const skip = typeof found === 'string' ? found : false

describe('an ordinary user', { skip }, () => {
  const user = found as OrdinaryUser
  let home: RegionHome

  before(async () => {
    home = await RegionHome.makeFor(user, ['--memory-mib', '128'])
  })
  after(async () => {
    await home?.[Symbol.asyncDispose]()
    user[Symbol.dispose]()
  })

  const ownerOf = (pid: number): number => statSync(`/proc/${pid}`).uid
  const isThere = (pid: number): boolean => readdirSync('/proc').includes(`${pid}`)

  async function available() {
    const writer = await until('the writer is available', async () => {
      const now = await home.writer()
      return now.state === 'available' && now
    })
    assert(writer.pid !== null && writer.enginePid !== null)
    return { instance: writer.pid, engine: writer.enginePid }
  }

  async function rows(): Promise<number> {
    const client = await home.connect()
    const { rowCount } = await client.query('SELECT FROM filled')
    await client.end()
    return rowCount ?? 0
  }

  it('starts a region; its engine runs as that user, without a privilege', async () => {
    await home.up()
    const { instance, engine } = await available()
    assert.deepEqual([ownerOf(instance), ownerOf(engine)], [user.uid, user.uid])
    const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${engine}/status`, 'utf8'))
    assert.equal(BigInt(`0x${capabilities?.[1]}`), 0n)
  })

  it('has its engine for clients anywhere, and its files for nobody else', async () => {
    const client = await home.connect()
    await client.query('CREATE TABLE filled AS SELECT generate_series(1, 1000)')
    await client.end()
    assert.equal(await rows(), 1000)
    assert.equal(home.mounts, 0)
    assert.deepEqual(readdirSync(join(home.root, 'instances', 'demo-1', 'mount')), [])
  })

  it('connects with psql', async (t) => {
    if (!(await hasProgram('psql'))) return t.skip('no psql here')
    const { status, output } = await home.borealis('psql', 'demo', '-Atc', 'SELECT count(*) FROM filled')
    assert.deepEqual([status, output.trim()], [0, '1000'])
  })

  it('makes and deletes clusters, and checks their volumes', async () => {
    for (const args of [
      ['cluster', 'create', 'second'],
      ['cluster', 'delete', 'second'],
      ['volume', 'check', 'demo'],
    ]) {
      const { status, output } = await home.borealis(...args)
      assert.equal(status, 0, output)
    }
  })

  it('replaces the server under the running engine', async () => {
    const { instance, engine } = await available()
    const { status, output } = await home.borealis('patch', 'demo')
    assert.equal(status, 0, output)
    assert.equal(await rows(), 1000)
    assert.deepEqual(await available(), { instance, engine })
  })

  it('loses nothing when the instance is killed, which takes its engine with it', async () => {
    const { instance, engine } = await available()
    process.kill(instance, 'SIGKILL')
    await until('the engine is gone', () => !isThere(engine))
    await until('another instance', async () => (await home.writer()).pid !== instance)
    await available()
    assert.equal(await rows(), 1000)
  })

  it('nor when everything is killed at once', async () => {
    const { pid, storageNodes } = await home.status()
    const { instance, engine } = await available()
    const zones = new Set(storageNodes.flatMap((node) => node.pid ?? []))
    for (const each of [pid, instance, engine, ...zones]) process.kill(each, 'SIGKILL')
    await until('they are gone', () => ![pid, instance, engine, ...zones].some(isThere))
    await home.up()
    await available()
    assert.equal(await rows(), 1000)
  })

  it('leaves nothing behind', async () => {
    await home.down()
    await until('no process is left', () => home.processes().length === 0)
    assert.equal(home.mounts, 0)
  })

  it('is told in one line what to do where there are no namespaces to be had', async () => {
    const { status, output } = await home.borealisThrough(user.throughWithoutNamespaces, 'up')
    assert.equal(status, 1)
    assert.match(output, /^borealis: .*No space left on device.*--cap-add SYS_ADMIN.*user namespaces.*\n$/)
  })

  it('and where the device may not be opened', { skip: process.getuid?.() !== 0 && 'we are not root' }, async (t) => {
    if ((statSync('/dev/fuse').mode & 0o006) === 0o006) return t.skip('all may open /dev/fuse here')
    const ordinary = ['setpriv', '--reuid', `${user.uid}`, '--regid', `${user.uid}`, '--clear-groups', '--']
    const { status, output } = await home.borealisThrough(ordinary, 'up')
    assert.equal(status, 1)
    assert.match(output, /^borealis: \/dev\/fuse may not be opened: .*\n$/)
  })
})
