/** One endpoint of the balancer: takes connections and gives each to a member. */
import { connect, type Socket } from 'node:net'
import { isCancelRequest, sendCancelRequest } from './cancel-request.ts'
import type { BalancedEndpointReport, BalancedEndpointSettings, SocketAddress } from './gateway-command.ts'
import { Listener } from './listener.ts'
import { type Candidate, chooseMember } from './member-choice.ts'
import { relay, SOCKET_OPTIONS } from './relay.ts'

/** An engine that lives takes connections in less than a millisecond; for longer the kernel does, whatever the engine does. */
const CONNECT_MS_MAX = 1000

const isSame = (a: SocketAddress, b: SocketAddress): boolean => a.address === b.address && a.port === b.port

class Member implements Candidate {
  readonly place: SocketAddress
  readonly sockets = new Set<Socket>()
  failedMs = Number.NEGATIVE_INFINITY
  chosen = 0

  constructor(place: SocketAddress) {
    this.place = place
  }

  get connections(): number {
    return this.sockets.size
  }

  /** @returns undefined when it takes none */
  async connect(): Promise<Socket | undefined> {
    const { address, port } = this.place
    const socket = connect({ ...SOCKET_OPTIONS, host: address, port })
    this.sockets.add(socket)
    socket.once('close', () => this.sockets.delete(socket))
    // What went wrong is told to the client by how its own connection ends.
    socket.on('error', () => {})
    const late = setTimeout(() => socket.destroy(), CONNECT_MS_MAX)
    const isConnected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('close', () => resolve(false))
    })
    clearTimeout(late)
    if (!isConnected) this.failedMs = performance.now()
    return isConnected ? socket : undefined
  }
}

export class BalancedEndpoint {
  readonly name: string
  readonly #listener: Listener
  #members: readonly Member[] = []
  /** Those that get no more connections, and have some. */
  #left: readonly Member[] = []
  readonly #clients = new Set<Socket>()
  #choices = 0
  #refused = 0

  /** @param onChange of whether it listens */
  constructor({ name, listen, members }: BalancedEndpointSettings, onChange: () => void) {
    this.name = name
    this.#listener = new Listener(listen, (client) => void this.#serve(client), onChange)
    this.setMembers(members)
  }

  /**
   * New connections go to these. Those of others go on until one of their ends does: a member that has died closes them
   * itself, and one that is only to get no more work, or was late to say that it is well, has done its clients no harm.
   */
  setMembers(places: readonly SocketAddress[]): void {
    const before = [...this.#members, ...this.#left]
    this.#members = places.map((place) => before.find((member) => isSame(member.place, place)) ?? new Member(place))
    this.#left = before.filter((member) => member.connections > 0 && !this.#members.includes(member))
  }

  isAt(place: SocketAddress): boolean {
    return isSame(this.#listener.place, place)
  }

  async #serve(client: Socket): Promise<void> {
    this.#clients.add(client)
    client.once('close', () => this.#clients.delete(client))
    client.on('error', () => {})
    const tried = new Set<Member>()
    for (;;) {
      const member = chooseMember(this.#members, tried, performance.now())
      if (member === undefined) break
      tried.add(member)
      member.chosen = ++this.#choices
      const socket = await member.connect()
      if (socket === undefined) continue
      if (client.destroyed || socket.destroyed) {
        socket.destroy()
        break
      }
      client.once('data', (first: Buffer) => this.#passCancelRequest(first, member))
      relay(client, socket)
      return
    }
    this.#refused++
    client.destroy()
  }

  /** To the members that the client is not connected to. */
  #passCancelRequest(first: Buffer, connected: Member): void {
    if (!isCancelRequest(first)) return
    for (const member of this.#members) if (member !== connected) sendCancelRequest(first, member.place)
  }

  report(): BalancedEndpointReport {
    const { place, state, problem } = this.#listener
    return {
      name: this.name,
      listen: place,
      state,
      problem,
      members: this.#members.map((member) => ({ ...member.place, connections: member.connections })),
      left: this.#left.reduce((sum, { connections }) => sum + connections, 0),
      refused: this.#refused,
    }
  }

  /** Its connections end. */
  close(): void {
    this.#listener.close()
    this.#members = []
    for (const client of this.#clients) client.destroy()
  }
}
