/**
 * The network between addresses: connections that carry messages late, twice, out of order or not at all, that break,
 * and come back when both ends can hear each other.
 *
 * A connection is made by one end (a writer, a reader, or a node towards its peer) and used by both. Each end learns
 * of its loss by itself: at once when the other process died and its machine could say so, after the keep-alive time
 * when nobody answers.
 */
import type { EventQueue, Scheduled } from './events.ts'
import type { Random } from './random.ts'

export interface NetworkOptions {
  readonly delayUsMin: number
  readonly delayUsMax: number
  /** Share of messages that take up to `tailFactor` times as long. */
  readonly tailChance: number
  readonly tailFactor: number
  readonly lossChance: number
  readonly duplicateChance: number
  /** Share of messages that may overtake earlier ones of their connection. */
  readonly reorderChance: number
  /** After this a silent connection is given up. */
  readonly keepAliveUs: number
  /** Between attempts to connect again. */
  readonly reconnectUs: number
}

/** A network that loses nothing, as fast as it is. */
export const calm = (options: NetworkOptions): NetworkOptions => ({
  ...options,
  tailChance: 0,
  lossChance: 0,
  duplicateChance: 0,
  reorderChance: 0,
  keepAliveUs: 20_000,
  reconnectUs: 2_000,
})

/** What hears messages at an address. `connection` is the network's number of the connection they came on. */
export interface Endpoint {
  message(connection: number, message: Uint8Array): void
  connectionUp(connection: number, other: string): void
  connectionDown(connection: number, other: string): void
}

interface Connection {
  readonly id: number
  readonly from: string
  readonly to: string
  /** Per direction (0: from the maker): when the last message that keeps its place arrives, and bytes on their way. */
  readonly lastUs: [number, number]
  readonly bytes: [number, number]
  /** Which ends still take it for open. */
  readonly open: [boolean, boolean]
}

/** A connection that an end wants. */
interface Wanted {
  readonly from: string
  readonly to: string
  current: number | undefined
  /** What was sent while the connection was being made: it goes out when it is, and is lost when it cannot be. */
  queued: Uint8Array[][]
}

/** Messages that wait for one connection to be made. */
const QUEUED_MAX = 64

interface Site {
  readonly zone: string
  endpoint: Endpoint
}

/** The number of a connection that could not be made. */
const NO_CONNECTION = 0

const linkKey = (from: string, to: string): string => `${from}>${to}`

export class Network {
  readonly #events: EventQueue
  readonly #random: Random
  #options: NetworkOptions
  readonly #sites = new Map<string, Site>()
  readonly #connections = new Map<number, Connection>()
  /** Connections that an end wants, by maker and other end; the present one, if it is up. */
  readonly #wanted = new Map<string, Wanted>()
  /** Directions in which nothing gets through. */
  readonly #cut = new Set<string>()
  /** Cuts and heals of swizzles that are still to come. */
  #planned: Scheduled[] = []
  #nextId = 1
  readonly counters = { sent: 0, delivered: 0, lost: 0, duplicated: 0, reordered: 0, connections: 0 }

  constructor(events: EventQueue, random: Random, options: NetworkOptions) {
    this.#events = events
    this.#random = random
    this.#options = options
  }

  set options(options: NetworkOptions) {
    this.#options = options
  }

  get addresses(): string[] {
    return [...this.#sites.keys()]
  }

  zoneOf(address: string): string | undefined {
    return this.#sites.get(address)?.zone
  }

  /** A process starts to listen at an address. */
  attach(address: string, zone: string, endpoint: Endpoint): void {
    if (this.#sites.has(address)) throw new RangeError(`${address} is in use`)
    this.#sites.set(address, { zone, endpoint })
  }

  /**
   * The process at an address is gone: what is on its way to it vanishes, and so does what it had wanted.
   * @param silently its machine died too, so that nobody is told: the others notice after the keep-alive time
   */
  detach(address: string, silently: boolean): void {
    this.#sites.delete(address)
    for (const [key, wanted] of this.#wanted) if (wanted.from === address) this.#wanted.delete(key)
    for (const connection of [...this.#connections.values()]) {
      if (connection.from !== address && connection.to !== address) continue
      const end = connection.from === address ? 0 : 1
      connection.open[end] = false
      const noticed = silently ? this.#options.keepAliveUs : this.#delayUs()
      this.#events.after(noticed, () => this.#close(connection, end === 0 ? 1 : 0))
    }
  }

  /** Keeps a connection from one address to another, and makes it again whenever it breaks. */
  want(from: string, to: string): void {
    const key = linkKey(from, to)
    if (this.#wanted.has(key)) return
    this.#wanted.set(key, { from, to, current: undefined, queued: [] })
    this.#connect(from, to)
  }

  /** No longer keeps it; an open one is closed. */
  unwant(from: string, to: string): void {
    const wanted = this.#wanted.get(linkKey(from, to))
    this.#wanted.delete(linkKey(from, to))
    const connection = wanted?.current === undefined ? undefined : this.#connections.get(wanted.current)
    if (connection === undefined) return
    connection.open[0] = false
    this.#events.after(this.#delayUs(), () => this.#close(connection, 1))
  }

  /** The connection that `from` wanted to `to`, if it is up. */
  connectionTo(from: string, to: string): number | undefined {
    return this.#wanted.get(linkKey(from, to))?.current
  }

  #passes(from: string, to: string): boolean {
    return this.#sites.has(from) && this.#sites.has(to) && !this.#cut.has(linkKey(from, to))
  }

  #connect(from: string, to: string): void {
    this.#events.after(2 * this.#delayUs(), () => {
      const wanted = this.#wanted.get(linkKey(from, to))
      if (wanted === undefined || wanted.current !== undefined) return
      if (!this.#passes(from, to) || !this.#passes(to, from)) {
        if (wanted.queued.length > 0) {
          wanted.queued = []
          this.#sites.get(from)?.endpoint.connectionDown(NO_CONNECTION, to)
        }
        this.#events.after(this.#options.reconnectUs, () => this.#connect(from, to))
        return
      }
      const connection: Connection = { id: this.#nextId++, from, to, lastUs: [0, 0], bytes: [0, 0], open: [true, true] }
      this.#connections.set(connection.id, connection)
      this.counters.connections++
      wanted.current = connection.id
      this.#sites.get(to)?.endpoint.connectionUp(connection.id, from)
      this.#sites.get(from)?.endpoint.connectionUp(connection.id, to)
      this.#keepAlive(connection)
      for (const parts of wanted.queued.splice(0)) this.send(connection.id, from, parts)
    })
  }

  /**
   * Sends to an address that `from` wants to be connected to, now or once the connection is made.
   * @returns false when it was dropped at once
   */
  sendTo(from: string, to: string, parts: readonly Uint8Array[], atUs?: number): boolean {
    this.want(from, to)
    const wanted = this.#wanted.get(linkKey(from, to))
    if (wanted === undefined) return false
    if (wanted.current !== undefined) return this.send(wanted.current, from, parts, atUs)
    if (wanted.queued.length >= QUEUED_MAX) return false
    wanted.queued.push([joined(parts)])
    return true
  }

  /** Looks now and then whether both directions pass, as keep-alive messages would. */
  #keepAlive(connection: Connection): void {
    this.#events.after(this.#options.keepAliveUs, () => {
      if (!this.#connections.has(connection.id)) return
      if (this.#passes(connection.from, connection.to) && this.#passes(connection.to, connection.from)) {
        this.#keepAlive(connection)
        return
      }
      this.#close(connection, 0)
      this.#close(connection, 1)
    })
  }

  /** One end learns that the connection is gone. */
  #close(connection: Connection, end: 0 | 1): void {
    const [self, other] = end === 0 ? [connection.from, connection.to] : [connection.to, connection.from]
    const wasOpen = connection.open[end]
    connection.open[end] = false
    if (!connection.open[0] && !connection.open[1]) this.#connections.delete(connection.id)
    if (end === 0 || !connection.open[0]) this.#retry(connection)
    if (wasOpen) this.#sites.get(self)?.endpoint.connectionDown(connection.id, other)
  }

  #retry(connection: Connection): void {
    const wanted = this.#wanted.get(linkKey(connection.from, connection.to))
    if (wanted === undefined || wanted.current !== connection.id) return
    wanted.current = undefined
    this.#connect(connection.from, connection.to)
  }

  /** Breaks a connection for no reason, as a reset does. */
  reset(id: number): void {
    const connection = this.#connections.get(id)
    if (connection === undefined) return
    this.#events.after(this.#delayUs(), () => this.#close(connection, 0))
    this.#events.after(this.#delayUs(), () => this.#close(connection, 1))
  }

  get openConnections(): number[] {
    return [...this.#connections.keys()]
  }

  /** Bytes that one end gave to a connection and that have not arrived. */
  bufferedBytes(id: number, sender: string): number {
    const connection = this.#connections.get(id)
    return connection === undefined ? 0 : connection.bytes[connection.from === sender ? 0 : 1]
  }

  /**
   * Sends over a connection at `atUs` or later. The parts are copied: the sender may reuse them.
   * @returns false when the sender's end is closed
   */
  send(id: number, sender: string, parts: readonly Uint8Array[], atUs = this.#events.nowUs): boolean {
    const connection = this.#connections.get(id)
    const end = connection?.from === sender ? 0 : 1
    if (connection === undefined || !connection.open[end]) return false
    const receiver = end === 0 ? connection.to : connection.from
    const message = joined(parts)
    this.counters.sent++
    if (this.#cut.has(linkKey(sender, receiver)) || this.#random.chance(this.#options.lossChance)) {
      this.counters.lost++
      return true
    }
    this.#carry(connection, end, receiver, message, atUs)
    if (this.#random.chance(this.#options.duplicateChance)) {
      this.counters.duplicated++
      // A copy of its own: the receiver may keep and change what it gets.
      this.#carry(connection, end, receiver, message.slice(), atUs)
    }
    return true
  }

  #carry(connection: Connection, end: 0 | 1, receiver: string, message: Uint8Array, atUs: number): void {
    let arrivesUs = Math.max(atUs, this.#events.nowUs) + this.#delayUs()
    if (this.#random.chance(this.#options.reorderChance)) this.counters.reordered++
    else {
      arrivesUs = Math.max(arrivesUs, connection.lastUs[end])
      connection.lastUs[end] = arrivesUs
    }
    connection.bytes[end] += message.length
    this.#events.at(arrivesUs, () => {
      connection.bytes[end] -= message.length
      const open = connection.open[end === 0 ? 1 : 0]
      const sender = end === 0 ? connection.from : connection.to
      const site = this.#sites.get(receiver)
      if (!open || site === undefined || this.#cut.has(linkKey(sender, receiver))) {
        this.counters.lost++
        return
      }
      this.counters.delivered++
      site.endpoint.message(connection.id, message)
    })
  }

  #delayUs(): number {
    const { delayUsMin, delayUsMax, tailChance, tailFactor } = this.#options
    const delay = this.#random.between(delayUsMin, delayUsMax)
    return this.#random.chance(tailChance) ? this.#random.between(delay, delay * tailFactor) : delay
  }

  /** Nothing gets through from one address to another, until `heal`. */
  cut(from: string, to: string): void {
    this.#cut.add(linkKey(from, to))
  }

  heal(from: string, to: string): void {
    this.#cut.delete(linkKey(from, to))
  }

  /** Cuts all links between two sets of addresses: both ways, or only from the first to the second. */
  partition(some: readonly string[], others: readonly string[], direction: 'both' | 'oneWay' = 'both'): void {
    for (const a of some) {
      for (const b of others) {
        if (a === b) continue
        this.cut(a, b)
        if (direction === 'both') this.cut(b, a)
      }
    }
  }

  /** Addresses in a zone can no longer be reached from outside, nor reach it. */
  isolateZone(zone: string): void {
    const inside = this.addresses.filter((address) => this.zoneOf(address) === zone)
    this.partition(
      inside,
      this.addresses.filter((address) => this.zoneOf(address) !== zone),
    )
  }

  /** Ends all partitions, planned ones too. */
  healAll(): void {
    this.#cut.clear()
    for (const event of this.#planned) this.#events.cancel(event)
    this.#planned = []
  }

  get cuts(): number {
    return this.#cut.size
  }

  /**
   * Cuts all links of some addresses one by one and heals them in another order, which leaves ever other parts of a
   * cluster able to talk (FoundationDB's swizzle-clogging).
   */
  swizzle(addresses: readonly string[], stepUs: number): void {
    const links = addresses.flatMap((a) => this.addresses.filter((b) => b !== a).map((b): [string, string] => [a, b]))
    const plan = (step: number, action: () => void): void => {
      this.#planned.push(this.#events.after(step * stepUs, action))
    }
    this.#random.shuffled(links).forEach(([a, b], i) => {
      plan(i, () => this.partition([a], [b]))
    })
    this.#random.shuffled(links).forEach(([a, b], i) => {
      plan(links.length + i, () => {
        this.heal(a, b)
        this.heal(b, a)
      })
    })
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const message = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    message.set(part, offset)
    offset += part.length
  }
  return message
}
