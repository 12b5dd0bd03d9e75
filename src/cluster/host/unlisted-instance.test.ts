import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { reportOf } from '../../../test/cluster-records.ts'
import { serveControl } from '../../storage/real-control.ts'
import { identify } from './process-identity.ts'
import { endUnlisted, whoListens } from './unlisted-instance.ts'

const folder = mkdtempSync(join(tmpdir(), 'borealis-unlisted-'))
after(() => rmSync(folder, { recursive: true }))

describe('an instance that is in no list', () => {
  it('is known by what it says on its socket', async () => {
    const path = join(folder, 'instance.sock')
    const server = await serveControl(
      path,
      () => {},
      () => reportOf('demo-1', { pid: process.pid }),
    )
    assert.deepEqual(await whoListens(path), identify(process.pid))
    await server.close()
  })

  it('is nobody where nobody listens, or says what it is', async () => {
    const left = join(folder, 'left.sock')
    writeFileSync(left, '')
    for (const path of [left, join(folder, 'none.sock')]) assert.equal(await endUnlisted(path, 100), 0)
    const silent = join(folder, 'silent.sock')
    const server = createServer(() => {}).listen(silent)
    assert.equal(await whoListens(silent), undefined)
    server.close()
  })
})
