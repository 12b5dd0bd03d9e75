/**
 * A whole fleet in one process and in virtual time, for feature tests: storage nodes over disks in memory, a registry,
 * and clients, each with a network of its own.
 *
 *   using fleet = await LocalFleet.start()
 *   const { volumes } = fleet.client()
 *   const volume = await volumes.open(await volumes.create(SMALL))
 *
 * Messages arrive whole and in order, one turn of the event loop later. Nothing is lost unless a node is down or a
 * test drops it. Time passes when nobody has anything to do, so that waiting for seconds takes milliseconds.
 */
import { nodeId } from '../src/protocol/lsn.ts'
import { MessageType } from '../src/protocol/message.ts'
import type { NodeOptions } from '../src/storage/node-options.ts'
import { DEFAULT_NODE_OPTIONS } from '../src/storage/node-options.ts'
import { StorageNode } from '../src/storage/storage-node.ts'
import { BlockReads } from '../src/volume/block-reads.ts'
import type { Fabric } from '../src/volume/fabric.ts'
import { registerNode } from '../src/volume/fleet-nodes.ts'
import { Membership } from '../src/volume/membership.ts'
import { MemoryRegistry } from '../src/volume/memory-registry.ts'
import { NodeClient } from '../src/volume/node-client.ts'
import type { VolumeContext } from '../src/volume/volume-context.ts'
import { type VolumeGeometry, Volumes } from '../src/volume/volumes.ts'
import { MemoryDisk } from './memory-disk.ts'

/** Blocks and groups so small that a test reaches every border. */
export const SMALL: VolumeGeometry = { blockBytes: 256, blocksPerGroup: 64 }

/** Sizes that make a node write, merge and recycle within one test. */
export const SMALL_NODE: NodeOptions = {
  ...DEFAULT_NODE_OPTIONS,
  // More than the largest frame, which is one entry.
  logFileBytes: 512 * 1024,
  logRetainBytes: 1024 * 1024,
  logReplayBytes: 1024 * 1024,
  flushBytes: 128 * 1024,
  memoryBytesMax: 1024 * 1024,
  layerBytes: 64 * 1024,
  reserveBytes: 64 * 1024,
}

const TICK_MS = 4
/** What a turn of the event loop in which something happened takes. Only that it takes something matters. */
const TURN_MS = 0.01
const SLICES_PER_TURN = 8
/** Writers announce changes every 10 ms. */
const ANNOUNCED_MS = 30
/** Receive buffers are used again: whoever kept a view of one sees this. */
const USED_BUFFER = 0xdb

/** Plain bytes, as the real network hands them out: `slice` of a Buffer would be no copy. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const message = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0))
  let at = 0
  for (const part of parts) {
    message.set(part, at)
    at += part.length
  }
  return message
}

interface Endpoint {
  readonly name: string
  /** @param connection as `connect` numbered it */
  message(from: string, connection: number, message: Uint8Array): void
}

interface Sent {
  readonly to: string
  readonly from: string
  readonly connection: number
  readonly message: Uint8Array
}

/** What a test may keep from arriving: message types are those of `protocol/message.ts`. */
export type Drop = (message: { from: string; to: string; type: number; body: Uint8Array }) => boolean

export class LocalNode implements Endpoint {
  readonly name: string
  readonly zone: string
  readonly options: NodeOptions
  disk = new MemoryDisk()
  readonly #fleet: LocalFleet
  #node: StorageNode | undefined

  constructor(fleet: LocalFleet, name: string, zone: string, options: NodeOptions) {
    this.#fleet = fleet
    this.name = name
    this.zone = zone
    this.options = options
  }

  /** The node of the present life. */
  get node(): StorageNode {
    if (this.#node === undefined) throw new Error(`${this.name} is down`)
    return this.#node
  }

  get isUp(): boolean {
    return this.#node !== undefined
  }

  start(): void {
    const { name, zone } = this
    const env = {
      now: () => this.#fleet.nowMs,
      wallClock: () => this.#fleet.wallClockMs,
      random: () => this.#fleet.random(),
      reply: (connection: number, parts: readonly Uint8Array[]) => this.#fleet.reply(this, connection, parts),
      sendTo: (address: string, parts: readonly Uint8Array[]) => void this.#fleet.send(name, address, parts),
    }
    this.#node = new StorageNode(env, this.disk, { node: nodeId(name), zone, address: name }, this.options)
    this.#fleet.changed(name, 'up')
  }

  /** The process ends at once; its disk stays. */
  kill(): void {
    this.#node = undefined
    this.#fleet.changed(this.name, 'down')
  }

  /** Ends the process, empties the disk, and starts again: another incarnation of the same node. */
  format(): void {
    this.kill()
    this.disk = new MemoryDisk()
    this.start()
  }

  message(_from: string, connection: number, message: Uint8Array): void {
    this.#node?.receive(connection, message[0] as number, message.subarray(1))
  }

  /** @returns whether there is more to do at once */
  turn(isTick: boolean): boolean {
    const node = this.#node
    if (node === undefined) return false
    node.commit()
    if (isTick) node.tick()
    let more = false
    for (let slices = 0; slices < SLICES_PER_TURN; slices++) {
      more = node.background()
      if (!more) break
    }
    return more
  }

  connectionClosed(connection: number): void {
    this.#node?.connectionClosed(connection)
  }
}

/** One program that uses volumes. */
export class LocalClient implements Endpoint, Fabric {
  readonly name: string
  readonly context: VolumeContext
  readonly volumes: Volumes
  readonly membership: Membership
  readonly #fleet: LocalFleet
  readonly #wanted = new Set<string>()
  #message: ((address: string, type: number, body: Uint8Array) => void) | undefined
  #down: ((address: string) => void) | undefined
  #up: ((address: string) => void) | undefined
  #state: 'open' | 'closed' = 'open'

  constructor(fleet: LocalFleet, name: string) {
    this.#fleet = fleet
    this.name = name
    const clock = { now: () => fleet.nowMs, wallClock: () => fleet.wallClockMs }
    const client = new NodeClient(this, clock)
    this.context = {
      registry: fleet.registry,
      client,
      reads: new BlockReads(client),
      clock,
      random: () => fleet.random(),
      defer: (callback) => void setImmediate(() => this.#state === 'open' && callback()),
      pause: (ms) => fleet.pass(ms),
    }
    this.volumes = new Volumes(this.context)
    this.membership = new Membership(this.context)
  }

  send(address: string, parts: readonly Uint8Array[]): boolean {
    if (this.#state === 'closed') return false
    this.#wanted.add(address)
    return this.#fleet.send(this.name, address, parts)
  }
  onMessage(handler: (address: string, type: number, body: Uint8Array) => void): void {
    this.#message = handler
  }
  onDown(handler: (address: string) => void): void {
    this.#down = handler
  }
  onUp(handler: (address: string) => void): void {
    this.#up = handler
  }
  bufferedBytes(): number {
    return 0
  }

  message(from: string, _connection: number, message: Uint8Array): void {
    if (this.#state === 'open') this.#message?.(from, message[0] as number, message.subarray(1))
  }

  nodeChanged(address: string, state: 'up' | 'down'): void {
    if (this.#state === 'closed' || !this.#wanted.has(address)) return
    if (state === 'up') this.#up?.(address)
    else this.#down?.(address)
  }

  tick(): void {
    if (this.#state === 'open') this.volumes.tick()
  }

  /** As when the program ends: what was not synced may be lost. */
  close(): void {
    this.volumes.close()
    this.#state = 'closed'
    this.#fleet.forget(this)
  }
}

export interface LocalFleetOptions {
  readonly zones?: readonly string[]
  readonly nodesPerZone?: number
  readonly node?: Partial<NodeOptions>
  /** What the wall clock says in the beginning, in milliseconds since 1970. */
  readonly wallClockMs?: number
}

export class LocalFleet implements Disposable {
  readonly registry = new MemoryRegistry()
  readonly nodes = new Map<string, LocalNode>()
  drop: Drop | undefined
  /** How far the wall clock is ahead of the time that has passed. */
  wallClockOffsetMs: number
  /** Messages that arrived, by type. */
  readonly delivered: Record<number, number> = {}
  readonly #nodeOptions: NodeOptions
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #clients = new Set<LocalClient>()
  /** Numbers of the connections from one endpoint to another, and back. */
  readonly #connections = new Map<string, number>()
  readonly #ends: (readonly [from: string, to: string])[] = []
  #queue: Sent[] = []
  #timers: { readonly atMs: number; readonly resolve: () => void }[] = []
  #nowMs = 0
  #tickAtMs = TICK_MS
  #clientNames = 0
  #seed = 1
  #state: 'running' | 'closed' = 'running'

  private constructor(options: LocalFleetOptions) {
    this.wallClockOffsetMs = options.wallClockMs ?? 1_700_000_000_000
    this.#nodeOptions = { ...SMALL_NODE, ...options.node }
  }

  static async start(options: LocalFleetOptions = {}): Promise<LocalFleet> {
    const fleet = new LocalFleet(options)
    for (const zone of options.zones ?? ['a', 'b', 'c']) {
      for (let i = 1; i <= (options.nodesPerZone ?? 2); i++) await fleet.addNode(`${zone}${i}`, zone)
    }
    fleet.#turn()
    return fleet
  }

  get nowMs(): number {
    return this.#nowMs
  }

  get wallClockMs(): number {
    return this.#nowMs + this.wallClockOffsetMs
  }

  /** The same numbers in every run. */
  random(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0
    return this.#seed / 2 ** 32
  }

  /** A node more, started and registered. */
  async addNode(name: string, zone: string): Promise<LocalNode> {
    const node = new LocalNode(this, name, zone, this.#nodeOptions)
    this.nodes.set(name, node)
    this.#endpoints.set(name, node)
    node.start()
    await this.register(node)
    return node
  }

  /** Notes a node, with the incarnation that it has now. */
  async register(node: LocalNode): Promise<void> {
    const { name, zone } = node
    const { incarnation } = node.node
    await registerNode(this.registry, { node: nodeId(name), incarnation, zone, address: name, state: 'ready' })
  }

  node(name: string): LocalNode {
    const node = this.nodes.get(name)
    if (node === undefined) throw new Error(`no node ${name}`)
    return node
  }

  zone(zone: string): LocalNode[] {
    return [...this.nodes.values()].filter((node) => node.zone === zone)
  }

  client(): LocalClient {
    const client = new LocalClient(this, `client-${++this.#clientNames}`)
    this.#clients.add(client)
    this.#endpoints.set(client.name, client)
    return client
  }

  forget(client: LocalClient): void {
    this.#clients.delete(client)
    this.#endpoints.delete(client.name)
    this.#ends.forEach(([from, to], connection) => {
      if (from === client.name) this.nodes.get(to)?.connectionClosed(connection)
    })
  }

  /** Resolves when so much time has passed. */
  pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.#timers.push({ atMs: this.#nowMs + ms, resolve }))
  }

  /** Resolves when nodes have been told of everything that is durable by now. */
  announced(): Promise<void> {
    return this.pass(ANNOUNCED_MS)
  }

  /** Resolves when every full segment has written all that it knows to be durable to layers. */
  async flushed(): Promise<void> {
    await this.announced()
    const segments = [...this.nodes.values()].flatMap(({ node }) => [...node.table.all()].map((of) => ({ node, of })))
    const full = segments.filter(({ of }) => of.kind === 'full')
    for (const { node, of } of full) node.work.wantFlush(of)
    await this.until('all is in layers', () =>
      full.every(({ of }) => of.flushed >= of.completeTo || of.memory.bytes === 0),
    )
  }

  /** Resolves when something has become true. Fails after a virtual minute. */
  async until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadlineMs = this.#nowMs + 60_000
    while (!(await holds())) {
      if (this.#nowMs >= deadlineMs) throw new Error(`waited in vain until ${what}`)
      await this.pass(TICK_MS)
    }
  }

  /** The clock jumps; nothing happens in between. */
  jump(ms: number): void {
    this.#nowMs += ms
  }

  close(): void {
    this.#state = 'closed'
    for (const client of [...this.#clients]) client.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  // -------------------------------------------------------------- network

  #connection(from: string, to: string): number {
    const key = `${from} ${to}`
    let connection = this.#connections.get(key)
    if (connection === undefined) {
      connection = this.#ends.push([from, to]) - 1
      this.#connections.set(key, connection)
    }
    return connection
  }

  send(from: string, to: string, parts: readonly Uint8Array[]): boolean {
    if (this.nodes.get(to)?.isUp !== true) return false
    this.#queue.push({ to, from, connection: this.#connection(from, to), message: joined(parts) })
    return true
  }

  reply(node: LocalNode, connection: number, parts: readonly Uint8Array[]): void {
    const [to] = this.#ends[connection] ?? []
    if (to !== undefined) this.#queue.push({ to, from: node.name, connection, message: joined(parts) })
  }

  /** A node started or ended. What was on its way to it is lost, and its connections are new ones. */
  changed(name: string, state: 'up' | 'down'): void {
    if (state === 'down') {
      this.#queue = this.#queue.filter(({ to }) => to !== name)
      for (const [key, connection] of this.#connections) {
        const [from, to] = this.#ends[connection] as readonly [string, string]
        if (from !== name && to !== name) continue
        this.#connections.delete(key)
        if (from === name) this.nodes.get(to)?.connectionClosed(connection)
      }
    }
    setImmediate(() => {
      for (const client of this.#clients) client.nodeChanged(name, state)
    })
  }

  // -------------------------------------------------------------- time

  #turn(): void {
    if (this.#state === 'closed') return
    setImmediate(() => this.#turn())
    const queue = this.#queue
    this.#queue = []
    for (const sent of queue) this.#deliver(sent)
    const isTick = this.#nowMs >= this.#tickAtMs
    if (isTick) this.#tickAtMs = this.#nowMs + TICK_MS
    let more = queue.length > 0 || isTick
    for (const node of this.nodes.values()) if (node.turn(isTick)) more = true
    if (isTick) for (const client of this.#clients) client.tick()
    this.#nowMs = more ? this.#nowMs + TURN_MS : this.#nextMs()
    const due = this.#timers.filter(({ atMs }) => atMs <= this.#nowMs)
    if (due.length === 0) return
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.#nowMs)
    for (const { resolve } of due) resolve()
  }

  #nextMs(): number {
    return this.#timers.reduce((next, { atMs }) => Math.min(next, Math.max(this.#nowMs, atMs)), this.#tickAtMs)
  }

  #deliver({ from, to, connection, message }: Sent): void {
    const type = message[0] as number
    if (this.drop?.({ from, to, type, body: message.subarray(1) }) === true) return
    this.delivered[type] = (this.delivered[type] ?? 0) + 1
    this.#endpoints.get(to)?.message(from, connection, message)
    message.fill(USED_BUFFER)
  }
}

/** For `drop`: everything from or to one endpoint. */
export const isolated =
  (...names: readonly string[]): Drop =>
  ({ from, to }) =>
    names.includes(from) || names.includes(to)

export const isAppend = (type: number): boolean => type === MessageType.APPEND
