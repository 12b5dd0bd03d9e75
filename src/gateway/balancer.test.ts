import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { until } from '../../test/waiting.ts'
import { Balancer } from './balancer.ts'
import type { SocketAddress } from './gateway-command.ts'

const PORT = 15_433
/** Loopback addresses of this process. */
const place = (i: number): SocketAddress => ({
  address: `127.${192 + (process.pid % 32)}.${(process.pid >> 5) % 256}.${i}`,
  port: PORT,
})
const [READERS, OTHERS] = [place(100), place(101)]

/** A server that says who it is, and then what it is told to; without a name nothing, and it ends when it is told to. */
class TcpMember {
  readonly place: SocketAddress
  readonly sockets: Socket[] = []
  readonly #name: string
  #server: Server | undefined

  private constructor(i: number, name: string) {
    this.place = place(i)
    this.#name = name
  }

  static async open(i: number, name = `${i}`): Promise<TcpMember> {
    const member = new TcpMember(i, name)
    await member.listen()
    return member
  }

  async listen(): Promise<void> {
    this.#server = createServer({ allowHalfOpen: this.#name === '' }, (socket) => {
      this.sockets.push(socket)
      socket.on('error', () => {})
      if (this.#name !== '') socket.write(this.#name)
    })
    this.#server.listen(this.place.port, this.place.address)
    await once(this.#server, 'listening')
  }

  /** Takes no more connections; those that it has go on. */
  refuse(): void {
    this.#server?.close()
  }

  close(): void {
    this.refuse()
    for (const socket of this.sockets) socket.destroy()
  }
}

describe('the balancer', () => {
  let balancer: Balancer
  let members: TcpMember[]
  let clients: Socket[]

  beforeEach(() => {
    balancer = new Balancer(() => {})
    members = []
    clients = []
  })
  afterEach(() => {
    balancer.configure([])
    for (const client of clients) client.destroy()
    for (const member of members) member.close()
  })

  async function serving(...names: (string | undefined)[]): Promise<TcpMember[]> {
    for (const [i, name] of names.entries()) members.push(await TcpMember.open(i + 1, name))
    return members
  }

  const balance = async (to: readonly TcpMember[], listen = READERS): Promise<void> => {
    balancer.configure([{ name: 'readers', listen, members: to.map((member) => member.place) }])
    await until('it listens', () => balancer.report()[0]?.state === 'listening')
  }
  const counts = () => balancer.report()[0]?.members.map(({ connections }) => connections)

  async function client(to = READERS, allowHalfOpen = false): Promise<Socket> {
    const socket = connect({ host: to.address, port: to.port, allowHalfOpen })
    socket.on('error', () => {})
    clients.push(socket)
    await once(socket, 'connect')
    return socket
  }

  const text = async (socket: Socket): Promise<string> => `${(await once(socket, 'data'))[0]}`
  /** Who answers. */
  const asked = async (): Promise<string> => text(await client())

  /** Both ends of a connection through the balancer, beginning with this one. */
  async function ends(near: 'client' | 'member', member: TcpMember): Promise<readonly [Socket, Socket]> {
    member.sockets.length = 0
    const socket = await client(READERS, true)
    const served = await until('it is served', () => member.sockets[0])
    return near === 'client' ? [socket, served] : [served, socket]
  }

  const closed = (socket: Socket): Promise<unknown> => (socket.closed ? Promise.resolve() : once(socket, 'close'))

  it('spreads connections evenly, and goes on with the member that has the fewest', async () => {
    const [one, two, three] = await serving(undefined, undefined, undefined)
    assert(one && two && three)
    await balance(members)
    for (let i = 0; i < 9; i++) await asked()
    assert.deepEqual(counts(), [3, 3, 3])
    for (const socket of two.sockets) socket.destroy()
    await until('they are gone', () => counts()?.[1] === 0)
    assert.deepEqual([await asked(), await asked(), await asked()], ['2', '2', '2'])
    assert.deepEqual(counts(), [3, 3, 3])
  })

  it('spreads connections that come and go one after the other', async () => {
    await balance(await serving(undefined, undefined))
    const names: string[] = []
    for (let i = 0; i < 6; i++) {
      names.push(await asked())
      clients.at(-1)?.destroy()
      await until('it is gone', () => counts()?.every((count) => count === 0))
    }
    assert.deepEqual(names, ['1', '2', '1', '2', '1', '2'])
  })

  it('passes over a member that refuses, and comes back to it', async () => {
    const [one] = await serving(undefined, undefined)
    assert(one)
    await balance(members)
    one.refuse()
    assert.deepEqual([await asked(), await asked(), await asked()], ['2', '2', '2'])
    await one.listen()
    await until('it is back', async () => (await asked()) === '1')
    assert.equal(balancer.report()[0]?.refused, 0)
  })

  it('closes a connection that nobody takes, at once', async () => {
    const [one, two] = await serving(undefined, undefined)
    assert(one && two)
    await balance(members)
    one.refuse()
    two.refuse()
    for (let i = 0; i < 3; i++) await closed((await client()).resume())
    await balance([])
    await closed((await client()).resume())
    assert.deepEqual([balancer.report()[0]?.refused, counts()], [4, []])
  })

  it('leaves a connection where it is, whoever the members are', async () => {
    const [one, two] = await serving(undefined, undefined)
    assert(one && two)
    await balance(members)
    const sockets = [await client(), await client(), await client()] as const
    assert.deepEqual(await Promise.all(sockets.map(text)), ['1', '2', '1'])
    await balance([two])
    assert.deepEqual([await asked(), counts(), balancer.report()[0]?.left], ['2', [2], 2])
    const [first, , third] = sockets
    one.sockets[0]?.write('still here')
    assert.equal(await text(first), 'still here')
    first.destroy()
    await until('it is gone', () => balancer.report()[0]?.left === 1)
    // One that comes back has what it still has.
    await balance(members)
    assert.deepEqual([counts(), balancer.report()[0]?.left], [[1, 2], 0])
    third.destroy()
    await until('it is gone', () => counts()?.[0] === 0)
    assert.deepEqual([await asked(), await asked(), counts()], ['1', '1', [2, 2]])
  })

  it('ends the connections of a member that dies', async () => {
    const [one] = await serving(undefined, undefined)
    assert(one)
    await balance(members)
    const [first, second] = [await client(), await client()]
    assert.deepEqual([await text(first), await text(second)], ['1', '2'])
    one.close()
    await closed(first.resume())
    assert.ok(!second.closed)
  })

  it('ends the connections of an endpoint that is gone; its place is free at once', async () => {
    const [one] = await serving(undefined)
    assert(one)
    await balance(members)
    const socket = await client()
    await text(socket)
    const name = 'others'
    balancer.configure([{ name, listen: READERS, members: [one.place] }])
    await closed(socket.resume())
    await until('it listens', () => balancer.report()[0]?.state === 'listening')
    assert.equal(await asked(), '1')
    assert.equal(balancer.report()[0]?.name, name)
  })

  it('ends connections of which one end had no more to say, when their endpoint is gone', async () => {
    const [one] = await serving('')
    assert(one)
    for (const side of ['client', 'member'] as const) {
      await balance(members)
      const [near, far] = await ends(side, one)
      near.end()
      await once(far.resume(), 'end')
      balancer.configure([])
      await until('it is told that nobody listens', () => {
        far.write('hello?')
        return far.closed
      })
      await closed(near.resume())
    }
  })

  it('lets endpoints change places', async () => {
    const [one, two] = await serving(undefined, undefined)
    assert(one && two)
    const configure = (first: SocketAddress, second: SocketAddress) =>
      balancer.configure([
        { name: 'a', listen: first, members: [one.place] },
        { name: 'b', listen: second, members: [two.place] },
      ])
    for (const [first, second] of [
      [READERS, OTHERS],
      [OTHERS, READERS],
    ] as const) {
      configure(first, second)
      await until('both listen', () => balancer.report().every(({ state }) => state === 'listening'))
      assert.equal(await text(await client(first)), '1')
      assert.equal(await text(await client(second)), '2')
    }
  })

  it('says where something else listens, and listens as soon as it can', async () => {
    const [one] = await serving(undefined)
    assert(one)
    const other = await TcpMember.open(100, 'other')
    members.push(other)
    balancer.configure([{ name: 'readers', listen: READERS, members: [one.place] }])
    const { problem, state } = await until('it has failed', () => {
      const [report] = balancer.report()
      return report?.state === 'failed' && report
    })
    assert.match(problem ?? '', /EADDRINUSE/)
    assert.equal(state, 'failed')
    other.close()
    await until('it listens', () => balancer.report()[0]?.state === 'listening')
    assert.equal(balancer.report()[0]?.problem, null)
    assert.equal(await asked(), '1')
  })

  it('passes on that one end has no more to say, while the other still has', async () => {
    const [one] = await serving('')
    assert(one)
    await balance(members)
    for (const side of ['client', 'member'] as const) {
      const [near, far] = await ends(side, one)
      near.end('last words')
      assert.equal(await text(far), 'last words')
      await once(far.resume(), 'end')
      far.write('and yet')
      assert.equal(await text(near), 'and yet')
      far.end()
      await Promise.all([closed(near.resume()), closed(far)])
    }
    await until('nothing is left', () => counts()?.[0] === 0)
  })

  it('passes on a reset', async () => {
    const [one] = await serving('')
    assert(one)
    await balance(members)
    for (const side of ['client', 'member'] as const) {
      const [near, far] = await ends(side, one)
      const failed = once(far.resume(), 'error')
      near.resetAndDestroy()
      assert.equal((await failed)[0].code, 'ECONNRESET')
    }
    await until('nothing is left', () => counts()?.[0] === 0)
  })

  it('lets whoever does not read stop who writes, and loses nothing', async () => {
    const [one] = await serving('')
    assert(one)
    await balance(members)
    const chunk = randomBytes(1 << 20)
    const TOTAL = 96
    for (const side of ['client', 'member'] as const) {
      const [near, far] = await ends(side, one)
      let sent = 0
      const send = () => {
        while (sent < TOTAL) {
          sent++
          if (!near.write(chunk)) return void near.once('drain', send)
        }
        near.end()
      }
      send()
      let before = -1
      await until('the writer waits', async () => {
        const isStill = before === sent
        before = sent
        await new Promise((resolve) => setTimeout(resolve, 200))
        return isStill && before === sent
      })
      // What is on its way is in buffers of the kernel, some megabytes for each socket.
      assert.ok(sent < TOTAL / 2, `${sent} MiB`)
      let received = 0
      for await (const bytes of far.iterator({ destroyOnReturn: false })) {
        const part = bytes as Buffer
        for (let at = 0; at < part.length; ) {
          const from = (received + at) % chunk.length
          const length = Math.min(part.length - at, chunk.length - from)
          assert.equal(chunk.compare(part, at, at + length, from, from + length), 0)
          at += length
        }
        received += part.length
      }
      assert.equal(received, TOTAL * chunk.length)
      far.end()
      await closed(near.resume())
    }
  })

  it('takes a request to cancel a query to all members, and nothing else', async () => {
    await serving('', '', '')
    await balance(members)
    const request = Buffer.from(`00000010${'04d2162e'}${'0000beef'}${'01020304'}`, 'hex')
    const heard = members.map(() => Buffer.alloc(0))
    const listenTo = () => {
      for (const [i, member] of members.entries())
        for (const socket of member.sockets.splice(0))
          socket.on('data', (bytes: Buffer) => {
            heard[i] = Buffer.concat([heard[i] ?? bytes, bytes])
          })
    }
    ;(await client()).end(request)
    await until('all have heard it', () => {
      listenTo()
      return heard.every((bytes) => bytes.equals(request))
    })
    // One byte of the code is another: it is for whoever it was sent to.
    const other = Buffer.from(request)
    other[7] = 0x2f
    ;(await client()).end(other)
    await until('one has heard it', () => {
      listenTo()
      return heard.some((bytes) => bytes.length > request.length)
    })
    assert.deepEqual(heard.map((bytes) => bytes.length).sort(), [16, 16, 32])
  })
})
