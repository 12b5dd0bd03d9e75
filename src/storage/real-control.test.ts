import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe, it } from 'node:test'
import { serveControl } from './real-control.ts'

const folder = mkdtempSync(join(tmpdir(), 'borealis-control-'))
after(() => rmSync(folder, { recursive: true }))

async function connected(path: string): Promise<{ socket: Socket; next: () => Promise<unknown> }> {
  const socket = createConnection(path)
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  await once(socket, 'connect')
  return {
    socket,
    next: async () => {
      const { value, done } = await lines.next()
      return done === true ? undefined : JSON.parse(value)
    },
  }
}

describe('a control socket', () => {
  it('greets whoever connects, tells everybody, and hears everybody', async () => {
    const path = join(folder, 'one')
    const heard: unknown[] = []
    let wake = (): void => {}
    const server = await serveControl(
      path,
      (message) => {
        heard.push(message)
        wake()
      },
      () => ({ hello: heard.length }),
    )
    assert.equal(statSync(path).mode & 0o777, 0o600)
    const first = await connected(path)
    assert.deepEqual(await first.next(), { hello: 0 })
    const until = new Promise<void>((resolve) => {
      wake = resolve
    })
    first.socket.write('no command\n{"do":"stop"}\n')
    await until
    assert.deepEqual(heard, [{ do: 'stop' }])
    const second = await connected(path)
    assert.deepEqual(await second.next(), { hello: 1 })
    server.broadcast({ state: 'stopped' })
    // What was said last is heard, and then comes the end.
    await server.close()
    for (const { next } of [first, second]) {
      assert.deepEqual(await next(), { state: 'stopped' })
      assert.equal(await next(), undefined)
    }
    assert.equal(existsSync(path), false)
  })

  it('takes the place of one that is dead, and of no other', async () => {
    const path = join(folder, 'two')
    writeFileSync(path, '')
    const server = await serveControl(
      path,
      () => {},
      () => ({}),
    )
    await assert.rejects(
      serveControl(
        path,
        () => {},
        () => ({}),
      ),
      /another process listens/,
    )
    const { socket, next } = await connected(path)
    assert.deepEqual(await next(), {})
    socket.end()
    await server.close()
  })
})
