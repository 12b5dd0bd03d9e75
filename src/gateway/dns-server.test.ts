import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { decode, encode, streamEncode } from 'dns-packet'
import { answerQuery, type DnsZone } from './dns-answer.ts'
import { DnsServer } from './dns-server.ts'

const DOMAIN = 'rds.borealis.internal'
const WRITER = `demo.cluster-k3j9x0q2m4zt.local-1.${DOMAIN}`
const READER = `demo.cluster-ro-k3j9x0q2m4zt.local-1.${DOMAIN}`
const READERS = Array.from({ length: 30 }, (_, i) => `127.20.1.${i}`)
const ZONE: DnsZone = {
  domain: DOMAIN,
  address: '127.0.0.1',
  endpoints: [
    { dnsName: WRITER, addresses: ['127.20.0.2'], balancer: null },
    { dnsName: READER, addresses: READERS, balancer: '127.20.0.9' },
  ],
  turnOf: () => 0,
}

describe('the DNS server', () => {
  let server: DnsServer
  const resolver = new Resolver({ timeout: 5000, tries: 2 })

  before(async () => {
    server = await DnsServer.listen({ address: '127.0.0.1', port: 0 }, (request, transport) =>
      answerQuery(request, ZONE, transport),
    )
    resolver.setServers([`127.0.0.1:${server.place.port}`])
  })
  after(() => server.close())

  async function tcp(): Promise<Socket> {
    const socket = connect(server.place.port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    return socket
  }

  const question = (id: number) => streamEncode({ type: 'query', id, questions: [{ name: WRITER, type: 'A' }] })

  /** Ids of the answers, until there are `count`. */
  async function ids(socket: Socket, count: number): Promise<number[]> {
    const found: number[] = []
    let pending = Buffer.alloc(0)
    for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
      pending = Buffer.concat([pending, bytes])
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const length = pending.readUInt16BE(0)
        found.push(decode(pending.subarray(2, 2 + length)).id ?? -1)
        pending = pending.subarray(2 + length)
      }
      if (found.length >= count) break
    }
    return found
  }

  it('is understood by a resolver', async () => {
    assert.deepEqual(await resolver.resolve4(WRITER, { ttl: true }), [{ address: '127.20.0.2', ttl: 1 }])
    assert.deepEqual(await resolver.resolve4(WRITER.toUpperCase()), ['127.20.0.2'])
    await assert.rejects(resolver.resolve6(WRITER), { code: 'ENODATA' })
    await assert.rejects(resolver.resolve4(`other.${DOMAIN}`), { code: 'ENOTFOUND' })
    await assert.rejects(resolver.resolve4('example.com'), { code: 'EREFUSED' })
    assert.equal((await resolver.resolveSoa(DOMAIN)).minttl, 1)
    assert.deepEqual(await resolver.resolveNs(DOMAIN), [`ns.${DOMAIN}`])
  })

  it('answers by TCP what does not fit into UDP: the resolver does that by itself', async () => {
    assert.deepEqual((await resolver.resolve4(READER)).sort(), [...READERS].sort())
  })

  it('answers queries that come in pieces, and several on one connection', async () => {
    const socket = await tcp()
    try {
      for (const byte of question(7)) {
        socket.write(Buffer.of(byte))
        await new Promise(setImmediate)
      }
      assert.deepEqual(await ids(socket, 1), [7])
      socket.write(Buffer.concat([question(8), question(9), question(10)]))
      assert.deepEqual(await ids(socket, 3), [8, 9, 10])
    } finally {
      socket.destroy()
    }
  })

  it('cuts off whoever announces more than a query has', async () => {
    const socket = await tcp()
    socket.write(Buffer.of(0xff, 0xff, 1, 2, 3))
    await once(socket, 'close')
  })

  it('cuts off whoever asks and does not take the answers', async () => {
    const socket = await tcp()
    socket.pause()
    const many = Buffer.concat(Array.from({ length: 1000 }, (_, id) => question(id)))
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
    let isOpen = true
    void closed.then(() => {
      isOpen = false
    })
    for (let writes = 0; isOpen && writes < 2000; writes++) {
      if (!socket.write(many)) await Promise.race([closed, once(socket, 'drain').catch(() => {})])
    }
    await closed
  })

  it('goes on after whatever it is sent', async () => {
    const socket = createSocket('udp4')
    const { port } = server.place
    try {
      for (const text of [
        '',
        '00',
        'ff'.repeat(12),
        '00'.repeat(12),
        `0001${'0000'.repeat(4)}ffff`,
        'ff'.repeat(1400),
      ]) {
        await new Promise((resolve) => socket.send(Buffer.from(text, 'hex'), port, '127.0.0.1', resolve))
      }
      const stream = await tcp()
      stream.end(Buffer.concat([Buffer.of(0, 0, 0, 3, 1, 2, 3, 0, 12), Buffer.alloc(12, 0xff)]))
      await once(stream, 'close')
      const answered = new Promise<void>((resolve) =>
        socket.on('message', (bytes) => {
          if (decode(bytes).id === 99) resolve()
        }),
      )
      socket.send(encode({ type: 'query', id: 99, questions: [{ name: WRITER, type: 'A' }] }), port, '127.0.0.1')
      await answered
    } finally {
      socket.close()
    }
  })

  it('says so when its place is taken, for UDP or for TCP, and leaves nothing open', async () => {
    await assert.rejects(
      DnsServer.listen(server.place, () => undefined),
      { code: 'EADDRINUSE' },
    )
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const place = { address: '127.0.0.1', port: (taken.address() as AddressInfo).port }
    await assert.rejects(
      DnsServer.listen(place, () => undefined),
      { code: 'EADDRINUSE' },
    )
    taken.close()
    await once(taken, 'close')
    const free = await DnsServer.listen(place, () => undefined)
    assert.deepEqual(free.place, place)
    await free.close()
  })
})
