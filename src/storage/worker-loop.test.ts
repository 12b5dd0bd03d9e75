import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { Echo, type EchoState } from '../../test/echo-node.ts'
import { nodeId } from '../protocol/lsn.ts'
import { FrameDecoder, partsBytes, preamble, writeFrame } from './framing.ts'
import { parseAddress } from './real-socket.ts'
import { type NodeThread, startNodeThread } from './worker-thread.ts'

interface Answer {
  readonly type: number
  readonly body: Buffer
}

/** A client that is nothing but a socket and a decoder. */
class Client {
  readonly socket: Socket
  readonly closed: Promise<void>
  readonly #answers: Answer[] = []
  readonly #decoder = new FrameDecoder()
  #wake: () => void = () => {}

  constructor(address: string, opening: Uint8Array = preamble()) {
    this.socket = connect(parseAddress(address))
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()))
    this.socket.on('error', () => {})
    this.socket.on('data', (chunk: Buffer) => {
      this.#decoder.push(chunk)
      while (this.#decoder.next())
        this.#answers.push({ type: this.#decoder.type, body: Buffer.from(this.#decoder.body) })
      this.#wake()
    })
    this.socket.write(opening)
  }

  send(type: number, ...parts: Uint8Array[]): void {
    const all = [Uint8Array.of(type), ...parts]
    const bytes = partsBytes(all)
    const frame = new Uint8Array(4 + bytes)
    writeFrame(frame, 0, all, bytes)
    this.socket.write(frame)
  }

  async answer(): Promise<Answer> {
    for (;;) {
      const answer = this.#answers.shift()
      if (answer !== undefined) return answer
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async state(): Promise<EchoState> {
    this.send(Echo.STATE)
    return JSON.parse((await this.answer()).body.toString())
  }
}

const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer)

describe('the thread of a node', () => {
  const module = new URL('../../test/echo-node.ts', import.meta.url).href
  let root = ''
  let names = 0
  const threads: NodeThread[] = []
  const clients: Client[] = []

  const start = async (port = 0): Promise<NodeThread> => {
    const node = nodeId(`n${++names}`)
    const thread = await startNodeThread({ node, zone: 'z', folder: join(root, node), host: '127.0.0.1', port, module })
    threads.push(thread)
    return thread
  }
  const client = (address: string, opening?: Uint8Array): Client => {
    const made = new Client(address, opening)
    clients.push(made)
    return made
  }

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'borealis-loop-'))
  })
  afterEach(async () => {
    for (const { socket } of clients.splice(0)) socket.destroy()
    await Promise.all(threads.splice(0).map((thread) => thread.stop()))
  })
  after(() => rmSync(root, { recursive: true }))

  it('answers after the commit of the batch, in order, messages of all sizes', async () => {
    const { address, incarnation } = await start()
    assert.equal(incarnation, 'n1 in z')
    const one = client(address)
    const sizes = [0, 1, 100, 70_000, 3_000_000, 5]
    for (const size of sizes) one.send(Echo.ECHO, new Uint8Array(size).fill(size & 255))
    for (const size of sizes) {
      const { type, body } = await one.answer()
      assert.equal(type, Echo.ECHOED)
      assert.equal(Buffer.compare(body, Buffer.alloc(size, size & 255)), 0)
    }
    assert((await one.state()).commits <= sizes.length + 10)
  })

  it('makes one commit for what came while it was busy', async () => {
    const { address } = await start()
    const many = Array.from({ length: 8 }, () => client(address))
    for (const each of many) for (let i = 0; i < 100; i++) each.send(Echo.ECHO, u32(i))
    for (const each of many) {
      for (let i = 0; i < 100; i++) assert.equal((await each.answer()).body.readUInt32LE(), i)
    }
    assert(((await many[0]?.state())?.commits ?? 800) < 200)
  })

  it('ticks while nothing comes, and while background work goes on', async () => {
    const { address } = await start()
    const one = client(address)
    one.send(Echo.WORK, u32(400))
    const from = await one.state()
    let to = from
    // 400 slices of at least 0.5 ms each: ten periods between ticks.
    while (to.slices < 400) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      to = await one.state()
    }
    const working = to.ticks
    assert(working - from.ticks >= 5, `${working - from.ticks} ticks beside background work`)
    await new Promise((resolve) => setTimeout(resolve, 300))
    const idle = (await one.state()).ticks - working
    assert(idle >= 5, `${idle} ticks in 300 ms without anything to do`)
  })

  it('gives background work a share when messages never stop', async () => {
    const { address } = await start()
    const one = client(address)
    one.send(Echo.WORK, u32(1_000_000))
    for (let round = 0; round < 300; round++) {
      for (let i = 0; i < 20; i++) one.send(Echo.ECHO)
      for (let i = 0; i < 20; i++) await one.answer()
    }
    assert((await one.state()).slices > 0)
  })

  it('reaches peers, also one that comes later', async () => {
    const [first, second] = [await start(), await start()]
    const one = client(first.address)
    const relay = (address: string, payload: string) =>
      one.send(Echo.RELAY, Uint8Array.of(address.length), Buffer.from(address), Buffer.from(payload))
    relay(second.address, 'over there')
    assert.equal((await one.answer()).body.toString(), 'over there')

    await second.stop()
    const { port } = parseAddress(second.address)
    let answered = false
    const answer = one.answer().then(({ body }) => {
      answered = true
      return body.toString()
    })
    for (let i = 0; i < 5; i++) {
      relay(second.address, 'lost')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(answered, false)
    await start(port)
    while (!answered) {
      relay(second.address, 'again')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(await answer, 'again')
  })

  it('tells the node when a connection closes', async () => {
    const { address } = await start()
    const [one, two] = [client(address), client(address)]
    await two.state()
    two.socket.destroy()
    while ((await one.state()).closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  it('closes a connection that speaks something else, and no other', async () => {
    const { address } = await start()
    const good = client(address)
    await client(address, Buffer.from('GET / HTTP/1.1\r\n\r\n')).closed
    await client(address, preamble(99)).closed
    await client(address, Buffer.concat([preamble(), u32(2 ** 31)])).closed
    good.send(Echo.ECHO)
    assert.equal((await good.answer()).type, Echo.ECHOED)
  })

  it('closes a connection whose end does not read, and only that', async () => {
    const { address } = await start()
    const [good, slow] = [client(address), client(address)]
    await slow.state()
    slow.socket.pause()
    for (let i = 0; i < 12; i++) slow.send(Echo.FLOOD, u32(8 << 20))
    while ((await good.state()).closed.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    good.send(Echo.FLOOD, u32(8 << 20))
    assert.equal((await good.answer()).body.length, 8 << 20)
  })

  it('stops in order when asked', async () => {
    const thread = await start()
    const one = client(thread.address)
    await one.state()
    assert.equal(await thread.stop(), undefined)
    await one.closed
    assert(existsSync(join(root, `n${names}`, 'closed')))
  })

  for (const [text, expected] of [
    ['Invariant', /asked to break/],
    ['out of luck', /out of luck/],
  ] as const) {
    it(`stops loudly when the node throws: ${text}`, async () => {
      const thread = await start()
      const one = client(thread.address)
      one.send(Echo.FAIL, Buffer.from(text))
      assert.match((await thread.ended)?.message ?? '', expected)
      await one.closed
      assert.equal(existsSync(join(root, `n${names}`, 'closed')), false)
    })
  }

  it('does not start on a folder or a port that is taken', async () => {
    const { address } = await start()
    const settings = { node: nodeId('x'), zone: 'z', host: '127.0.0.1', module }
    await assert.rejects(
      startNodeThread({ ...settings, folder: join(root, `n${names}`), port: 0 }),
      /locked by process/,
    )
    const { port } = parseAddress(address)
    await assert.rejects(startNodeThread({ ...settings, folder: join(root, 'x'), port }), /EADDRINUSE/)
  })
})
