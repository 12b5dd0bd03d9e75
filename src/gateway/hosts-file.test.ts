import assert from 'node:assert/strict'
import {
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type BlockOwner, withBlock } from './hosts-block.ts'
import { writeHosts } from './hosts-file.ts'

const OWNER: BlockOwner = { hash: 'k3j9x0q2m4zt', home: '/root/.borealis' }
const ENTRIES = [{ name: 'a.example', address: '127.20.0.2' }]
/** No newline at its end, and a byte that is no UTF-8. */
const HOSTS = Buffer.from('127.0.0.1 localhost\n# caf\xe9', 'latin1')
const WITH_BLOCK = withBlock(HOSTS, OWNER, ENTRIES)

class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'borealis-hosts-'))
  readonly hosts = join(this.path, 'hosts')
  constructor() {
    writeFileSync(this.hosts, HOSTS, { mode: 0o664 })
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}

describe('a hosts file', () => {
  it('is replaced by one of the same owner and mode, and nothing is left beside it', async () => {
    using folder = new Folder()
    const { ino, mode, uid, gid } = statSync(folder.hosts)
    await writeHosts(folder.hosts, OWNER, ENTRIES)
    const after = statSync(folder.hosts)
    assert.deepEqual(readFileSync(folder.hosts), WITH_BLOCK)
    assert.deepEqual([after.mode, after.uid, after.gid], [mode, uid, gid])
    assert.notEqual(after.ino, ino)
    await writeHosts(folder.hosts, OWNER, [])
    assert.deepEqual(readFileSync(folder.hosts), HOSTS)
    assert.deepEqual(readdirSync(folder.path), ['hosts'])
  })

  it('that says so already is left alone', async () => {
    using folder = new Folder()
    await writeHosts(folder.hosts, OWNER, ENTRIES)
    const { ino } = statSync(folder.hosts)
    await writeHosts(folder.hosts, OWNER, ENTRIES)
    assert.equal(statSync(folder.hosts).ino, ino)
  })

  it('is changed where it is when only addresses change, whatever their lengths', async () => {
    using folder = new Folder()
    await writeHosts(folder.hosts, OWNER, ENTRIES)
    const { ino } = statSync(folder.hosts)
    for (const address of ['127.20.0.3', '127.200.100.250', '1.2.3.4']) {
      const entries = [{ name: 'a.example', address }]
      assert.equal(await writeHosts(folder.hosts, OWNER, entries), true)
      assert.deepEqual(readFileSync(folder.hosts), withBlock(HOSTS, OWNER, entries))
    }
    assert.equal(statSync(folder.hosts).ino, ino)
    assert.deepEqual(readdirSync(folder.path), ['hosts'])
  })

  it('with another name is written in place: both names are the same file', async () => {
    using folder = new Folder()
    const other = join(folder.path, 'other')
    linkSync(folder.hosts, other)
    const { ino } = statSync(folder.hosts)
    await writeHosts(folder.hosts, OWNER, ENTRIES)
    assert.deepEqual([statSync(folder.hosts).ino, statSync(other).ino], [ino, ino])
    assert.deepEqual(readFileSync(other), WITH_BLOCK)
    await writeHosts(other, OWNER, [])
    assert.deepEqual(readFileSync(folder.hosts), HOSTS)
  })

  it('behind a symbolic link is changed where it is', async () => {
    using folder = new Folder()
    const link = join(folder.path, 'link')
    symlinkSync('hosts', link)
    await writeHosts(link, OWNER, ENTRIES)
    assert.ok(lstatSync(link).isSymbolicLink())
    assert.deepEqual(readFileSync(folder.hosts), WITH_BLOCK)
  })

  it('gets all blocks of regions that come at the same time', async () => {
    using folder = new Folder()
    const owners = Array.from({ length: 8 }, (_, i) => ({ ...OWNER, hash: `region${i}` }))
    for (let round = 0; round < 10; round++) {
      await Promise.all(owners.map((owner) => writeHosts(folder.hosts, owner, ENTRIES)))
      const text = readFileSync(folder.hosts, 'latin1')
      for (const { hash } of owners) assert.equal(text.split(`# BEGIN borealis ${hash}:`).length, 2, hash)
      await Promise.all(owners.map((owner) => writeHosts(folder.hosts, owner, [])))
      assert.deepEqual(readFileSync(folder.hosts), HOSTS)
    }
  })

  it('is whole for those who read it meanwhile', async () => {
    using folder = new Folder()
    let done = false
    const read = (async () => {
      const seen = new Set<string>()
      while (!done) seen.add(await readFile(folder.hosts, 'latin1'))
      return seen
    })()
    for (let i = 0; i < 20; i++) await writeHosts(folder.hosts, OWNER, i % 2 === 0 ? ENTRIES : [])
    done = true
    for (const text of await read)
      assert.ok(
        [HOSTS, WITH_BLOCK].some((each) => each.toString('latin1') === text),
        text,
      )
  })

  it('is changed though a region was killed while it changed it', async () => {
    using folder = new Folder()
    writeFileSync(`${folder.hosts}.borealis-next`, 'half of')
    await writeHosts(folder.hosts, OWNER, ENTRIES)
    assert.deepEqual(readFileSync(folder.hosts), WITH_BLOCK)
    assert.deepEqual(readdirSync(folder.path), ['hosts'])
  })

  it("that is not there, or not ours to write, is the caller's to know about", async () => {
    using folder = new Folder()
    await assert.rejects(writeHosts(join(folder.path, 'none'), OWNER, ENTRIES), { code: 'ENOENT' })
    // Nobody can write this one, not even root; the error depends on the kernel.
    await assert.rejects(
      writeHosts('/proc/version', OWNER, ENTRIES),
      ({ code }: NodeJS.ErrnoException) => code !== undefined,
    )
  })
})
