import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { closedFolders, engineAccount, openFolders } from './account.ts'

const somebody = { uid: 65_525, gid: 65_525 }

describe('folders on the way to the engine', () => {
  let root = ''
  let inner = ''
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'borealis-account-'))
    inner = join(root, 'closed', 'open')
    await mkdir(inner, { recursive: true })
    await chmod(root, 0o755)
    await chmod(join(root, 'closed'), 0o700)
    await chmod(inner, 0o755)
  })
  after(() => rm(root, { recursive: true }))
  const path = (): string => join(inner, 'file')

  it('that are closed to its account are found', async () => {
    assert.deepEqual(await closedFolders(path(), somebody), [join(root, 'closed')])
    assert.deepEqual(await closedFolders(path(), undefined), [])
  })

  it('are open to their owner, whatever others may', async () => {
    const { uid, gid } = await stat(root)
    assert.deepEqual(await closedFolders(path(), { uid, gid }), [])
  })

  it('are opened to pass through, not to be listed, and once', async () => {
    assert.deepEqual(await openFolders(path(), somebody), [join(root, 'closed')])
    assert.equal((await stat(join(root, 'closed'))).mode & 0o777, 0o701)
    assert.deepEqual(await openFolders(path(), somebody), [])
  })
})

describe('the account', () => {
  it('is never root', () => assert.notEqual((engineAccount() ?? { uid: process.getuid?.() }).uid, 0))
})
