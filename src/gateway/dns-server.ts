/** The sockets of a DNS server: UDP, and TCP for what does not fit. Whoever sends too much or waits too long is cut off. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net'
import type { DnsTransport } from './dns-answer.ts'

export interface DnsPlace {
  readonly address: string
  readonly port: number
}

export type AnswerQuery = (request: Buffer, transport: DnsTransport) => Buffer | undefined

/** RFC 7766 wants seconds, and to close what is idle. */
const IDLE_MS_MAX = 10_000
const CONNECTIONS_MAX = 64
/** A question of a name is 300 bytes with all that may come with it. */
const QUERY_BYTES_MAX = 4096
/** Of answers that a client has not taken. */
const UNREAD_BYTES_MAX = 65_536

/** Each message has its length in front of it, in two bytes. */
function serveConnection(socket: Socket, answer: AnswerQuery): void {
  let pending = Buffer.alloc(0)
  socket.setTimeout(IDLE_MS_MAX, () => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.on('data', (bytes: Buffer) => {
    pending = Buffer.concat([pending, bytes])
    while (pending.length >= 2) {
      const length = pending.readUInt16BE(0)
      if (length > QUERY_BYTES_MAX || socket.writableLength > UNREAD_BYTES_MAX) {
        socket.destroy()
        return
      }
      if (pending.length < 2 + length) return
      const message = answer(pending.subarray(2, 2 + length), 'tcp')
      pending = pending.subarray(2 + length)
      if (message === undefined) continue
      const framed = Buffer.alloc(2 + message.length)
      framed.writeUInt16BE(message.length, 0)
      framed.set(message, 2)
      socket.write(framed)
    }
  })
}

async function listenUdp({ address, port }: DnsPlace, answer: AnswerQuery): Promise<UdpSocket> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  socket.on('message', (request, from) => {
    const message = answer(request, 'udp')
    // Who has asked may be gone: nobody is to be told.
    if (message !== undefined) socket.send(message, from.port, from.address, () => {})
  })
  socket.bind({ address, port, exclusive: true })
  try {
    await once(socket, 'listening')
  } catch (error) {
    socket.close()
    throw error
  }
  socket.on('error', () => {})
  return socket
}

export class DnsServer {
  readonly place: DnsPlace
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #connections: ReadonlySet<Socket>

  private constructor(place: DnsPlace, udp: UdpSocket, tcp: Server, connections: ReadonlySet<Socket>) {
    this.place = place
    this.#udp = udp
    this.#tcp = tcp
    this.#connections = connections
  }

  /** @throws the system's error when it cannot listen there, for UDP and TCP */
  static async listen(place: DnsPlace, answer: AnswerQuery): Promise<DnsServer> {
    const udp = await listenUdp(place, answer)
    const { port } = udp.address()
    const connections = new Set<Socket>()
    const tcp = createServer((socket) => {
      connections.add(socket)
      socket.once('close', () => connections.delete(socket))
      serveConnection(socket, answer)
    })
    tcp.maxConnections = CONNECTIONS_MAX
    tcp.listen({ host: place.address, port, exclusive: true })
    try {
      await once(tcp, 'listening')
    } catch (error) {
      udp.close()
      throw error
    }
    tcp.on('error', () => {})
    return new DnsServer({ address: place.address, port: (tcp.address() as AddressInfo).port }, udp, tcp, connections)
  }

  async close(): Promise<void> {
    for (const socket of this.#connections) socket.destroy()
    await Promise.all([
      new Promise<void>((resolve) => this.#udp.close(() => resolve())),
      new Promise<void>((resolve) => this.#tcp.close(() => resolve())),
    ])
  }
}
