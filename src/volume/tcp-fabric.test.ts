import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { Echo } from '../../test/echo-node.ts'
import { nodeId } from '../protocol/lsn.ts'
import { preamble } from '../storage/framing.ts'
import { parseAddress } from '../storage/real-socket.ts'
import { type NodeThread, startNodeThread } from '../storage/worker-thread.ts'
import { TcpFabric, type TcpFabricOptions } from './tcp-fabric.ts'

/** A fabric that remembers what its handlers were told. */
class Witness {
  readonly fabric: TcpFabric
  readonly events: string[] = []
  readonly answers: { address: string; type: number; body: Buffer }[] = []
  readonly log: string[] = []

  constructor(options: TcpFabricOptions = {}) {
    this.fabric = new TcpFabric({ log: (line) => this.log.push(line), ...options })
    this.fabric.onUp(() => this.events.push('up'))
    this.fabric.onDown(() => this.events.push('down'))
    this.fabric.onMessage((address, type, body) => this.answers.push({ address, type, body: Buffer.from(body) }))
  }

  echo(address: string, ...parts: Uint8Array[]): boolean {
    return this.fabric.send(address, [Uint8Array.of(Echo.ECHO), ...parts])
  }
}

async function until(holds: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 10_000
  while (!holds()) {
    assert(performance.now() < giveUpAt, 'it did not happen within 10 s')
    await pause(2)
  }
}

describe('the network of the driver', () => {
  const module = new URL('../../test/echo-node.ts', import.meta.url).href
  let root = ''
  let names = 0
  const threads: NodeThread[] = []
  const servers: Server[] = []
  const fabrics: TcpFabric[] = []

  const start = async (port = 0): Promise<NodeThread> => {
    const node = nodeId(`n${++names}`)
    const thread = await startNodeThread({ node, zone: 'z', folder: join(root, node), host: '127.0.0.1', port, module })
    threads.push(thread)
    return thread
  }
  const witness = (options?: TcpFabricOptions): Witness => {
    const made = new Witness(options)
    fabrics.push(made.fabric)
    return made
  }
  /** Listens and says only this; takes nothing from its sockets. */
  const listen = async (greeting: Uint8Array): Promise<string> => {
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      socket.on('error', () => {})
      socket.write(greeting)
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert(address !== null && typeof address === 'object')
    return `127.0.0.1:${address.port}`
  }

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'borealis-fabric-'))
  })
  afterEach(async () => {
    for (const fabric of fabrics.splice(0)) fabric.close()
    for (const server of servers.splice(0)) server.close()
    await Promise.all(threads.splice(0).map((thread) => thread.stop()))
  })
  after(() => rmSync(root, { recursive: true }))

  it('brings messages of all sizes to nodes and back, in parts or whole', async () => {
    const [first, second] = [await start(), await start()]
    const { fabric, ...seen } = witness()
    const sizes = [0, 1, 1000, 16_383, 16_384, 300_000, 5_000_000]
    for (const { address } of [first, second]) {
      for (const size of sizes) {
        const body = new Uint8Array(size).fill(size & 255)
        const parts = [body.subarray(0, size / 3), body.subarray(size / 3)]
        assert.equal(fabric.send(address, [Uint8Array.of(Echo.ECHO), ...parts]), true)
      }
    }
    await until(() => seen.answers.length === 2 * sizes.length)
    for (const { address } of [first, second]) {
      const bodies = seen.answers.filter((answer) => answer.address === address).map(({ body }) => body)
      assert.deepEqual(
        bodies.map(({ length }) => length),
        sizes,
      )
      assert(bodies.every((body) => body.every((byte) => byte === (body.length & 255))))
    }
    assert.deepEqual(seen.events, ['up', 'up'])
    assert.equal(fabric.bufferedBytes(first.address), 0)
  })

  it('says when a node goes, drops what is sent meanwhile, and comes back by itself', async () => {
    const node = await start()
    const { port } = parseAddress(node.address)
    const seen = witness()
    seen.echo(node.address)
    await until(() => seen.answers.length === 1)
    await node.stop()
    await until(() => seen.events.at(-1) === 'down')
    assert.equal(seen.echo(node.address), false)
    await until(() => seen.events.filter((event) => event === 'down').length >= 3)
    assert.equal(seen.log.length, 1, 'one line, not one for each attempt')
    await start(port)
    await until(() => seen.events.at(-1) === 'up')
    assert.equal(seen.echo(node.address), true)
    await until(() => seen.answers.length === 2)
  })

  it('refuses an end that speaks something else', async () => {
    for (const greeting of [preamble(99), Buffer.from('220 mail ready\r\n')]) {
      const address = await listen(greeting)
      const seen = witness()
      seen.echo(address)
      await until(() => seen.events.includes('down'))
      assert.match(seen.log[0] ?? '', /UnsupportedFormat/)
      assert.equal(seen.events.includes('up'), false)
    }
  })

  it('drops messages beyond the limit for an end that does not read, and counts what waits', async () => {
    const address = await listen(preamble())
    const seen = witness({ queuedBytesMax: 8 << 20 })
    const megabyte = new Uint8Array(1 << 20)
    let accepted = 0
    for (let i = 0; i < 60; i++) {
      if (seen.echo(address, megabyte)) accepted++
      await pause(1)
    }
    assert(accepted >= 7 && accepted < 60, `${accepted} accepted`)
    assert(seen.fabric.bufferedBytes(address) > 4 << 20)
    assert(seen.fabric.bufferedBytes(address) <= 8 << 20)
  })

  it('refuses what is no address', () => {
    const seen = witness()
    for (const address of ['', 'here', '1.2.3.4:', '1.2.3.4:99999', '::1:80']) {
      assert.throws(() => seen.echo(address), { code: 'BadRequest' })
    }
  })

  it('says nothing any more once it is closed', async () => {
    const node = await start()
    const seen = witness()
    seen.echo(node.address)
    await until(() => seen.events.length === 1)
    seen.fabric.close()
    assert.equal(seen.echo(node.address), false)
    const answers = seen.answers.length
    await pause(50)
    assert.deepEqual([seen.events, seen.answers.length], [['up'], answers])
  })
})
