/**
 * The blocking thread of a storage node: sockets and background work around one `NodePort`. It never returns to an
 * event loop, so one wake-up takes a whole batch through: receive what came, one commit, send the acknowledgements.
 *
 *   wait -> receive every message that is here -> commit -> send -> (nothing came: one background slice) -> wait
 *
 * There is no timer for batches: messages gather in the sockets while the node syncs.
 *
 * Hot path. Measured (`npm run bench -- wire`): a round to six nodes costs them 430-530 us of processor time when one is
 * under way, 130-160 us when eight are, nearly all of it the kernel's; framing a message both ways is 0.1 us.
 * See `docs/decisions/0005-node-sockets-through-node-ffi.md`.
 */
import { VolumeError } from '../protocol/errors.ts'
import type { NodeEnv, NodePort } from './node-port.ts'
import { EAGAIN, errno, errorName, libc, NativeBytes } from './real-libc.ts'
import { POLL_IN, POLL_OUT, PollSet } from './real-poll.ts'
import { acceptFrom, BROKEN, dialFailure, type Listener, receiveInto, WOULD_BLOCK } from './real-socket.ts'
import { Connection } from './worker-connection.ts'
import { Peers } from './worker-peers.ts'

/** The port asks for 20 ms; a wait may last one ms more than asked. */
const TICK_MS = 18
/** When nothing has come for a while: what is due then is due in seconds, and an idle node leaves the machine alone. */
const QUIET_TICK_MS = 90
const QUIET_AFTER_MS = 200
/** Background work gets a slice of about 1 ms at least this often, however many messages come: a tenth of the time. */
const BACKGROUND_WAIT_MS_MAX = 10
/** Taken from one connection in one step; more stays in the socket, so that none starves the others. */
const RECEIVE_BYTES = 1 << 20
const ACCEPTED_PER_STEP_MAX = 16
/** A reader of pages and layers that stops reading is cut off beyond this. */
const REPLY_QUEUE_BYTES_MAX = 64 << 20

/** A node that is cut off looks so often whether it still is. */
const CUT_LOOK_MS = 5
/** Nobody ever wakes who waits for it. */
const CUT_OFF = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))

const STOP_SLOT = 0
const LISTENER_SLOT = 1

export interface LoopOptions {
  readonly listener: Listener
  /** An eventfd; readable means stop. The caller owns it. */
  readonly stopFd: number
  /** One line for people, about a connection. */
  readonly log: (line: string) => void
  readonly replyQueueBytesMax?: number
  /** Whether nothing comes and nothing goes for now, as in a network that lost its way: fault injection. */
  readonly isCut?: () => boolean
}

export class WorkerLoop {
  readonly env: NodeEnv
  readonly #listener: Listener
  readonly #log: (line: string) => void
  readonly #replyQueueBytesMax: number
  readonly #isCut: () => boolean
  readonly #polled = new PollSet<Connection | undefined>()
  readonly #connections = new Map<number, Connection>()
  readonly #peers: Peers
  readonly #receiveBuffer = new NativeBytes(RECEIVE_BYTES)
  readonly #dirty: Connection[] = []
  readonly #doomed: Connection[] = []
  #nextId = 1
  #accepting = true

  constructor({ listener, stopFd, log, replyQueueBytesMax = REPLY_QUEUE_BYTES_MAX, isCut = () => false }: LoopOptions) {
    this.#listener = listener
    this.#log = log
    this.#replyQueueBytesMax = replyQueueBytesMax
    this.#isCut = isCut
    this.#polled.add(undefined, stopFd, POLL_IN)
    this.#polled.add(undefined, listener.fd, POLL_IN)
    this.#peers = new Peers({
      connect: (address, fd) => this.#add(fd, address),
      drop: (connection, why) => this.#doom(connection, why),
      now,
      log,
    })
    this.env = {
      now,
      wallClock: Date.now,
      random: Math.random,
      reply: (connection, message) => this.#reply(connection, message),
      sendTo: (address, message) => {
        const connection = this.#peers.queue(address, message)
        if (connection !== undefined) this.#markDirty(connection)
      },
    }
  }

  /** Returns when it was told to stop; throws what the node throws. `close` is still to be called. */
  run(node: NodePort): void {
    this.#loop(node)
    this.#flush()
  }

  /** Closes all sockets, the listener too. */
  close(): void {
    for (const connection of this.#connections.values()) connection.close()
    this.#connections.clear()
    libc.close(this.#listener.fd)
  }

  #loop(node: NodePort): void {
    let tickAt = now() + TICK_MS
    let sliceAt = now()
    let activeAt = now()
    // What a batch brought may be background work: after one, ask.
    let busy = true
    for (;;) {
      const cut = this.#isCut()
      const ready = this.#polled.wait(busy || cut ? 0 : Math.max(0, Math.ceil(tickAt - now())))
      if (this.#polled.happened(STOP_SLOT) !== 0) return
      // What waits in the sockets would wake it again at once.
      if (cut) Atomics.wait(CUT_OFF, 0, 0, CUT_LOOK_MS)
      const received = ready > 0 && !cut && this.#serve(node)
      this.#flush()
      if (received) {
        node.commit()
        this.#flush()
      }
      if (!received || (busy && now() - sliceAt > BACKGROUND_WAIT_MS_MAX)) {
        busy = node.background()
        sliceAt = now()
        this.#flush()
      }
      busy ||= received
      if (busy) activeAt = now()
      if (now() >= tickAt) {
        node.tick()
        this.#onTick()
        this.#flush()
        tickAt = now() + (now() - activeAt > QUIET_AFTER_MS ? QUIET_TICK_MS : TICK_MS)
      }
      if (this.#doomed.length > 0) {
        this.#bury(node)
        this.#flush()
      }
    }
  }

  /** Everything that poll saw; true when the node was given a message. */
  #serve(node: NodePort): boolean {
    let received = false
    // Those that are added meanwhile are for the next step.
    const slots = this.#polled.owners.length
    for (let slot = LISTENER_SLOT + 1; slot < slots; slot++) {
      const happened = this.#polled.happened(slot)
      const connection = this.#polled.owners[slot]
      if (happened === 0 || connection === undefined || connection.doom !== undefined) continue
      if (connection.state === 'dialing') this.#dialled(connection)
      else {
        if ((happened & POLL_OUT) !== 0) this.#markDirty(connection)
        if ((happened & ~POLL_OUT) !== 0 && this.#receive(connection, node)) received = true
      }
    }
    if (this.#accepting && this.#polled.happened(LISTENER_SLOT) !== 0) this.#accept()
    return received
  }

  #receive(connection: Connection, node: NodePort): boolean {
    const count = receiveInto(connection.fd, this.#receiveBuffer, BigInt(RECEIVE_BYTES))
    if (count === WOULD_BLOCK) return false
    if (count === BROKEN || count === 0) {
      this.#doom(connection, count === 0 ? 'the other end closed it' : 'it broke')
      return false
    }
    const { decoder } = connection
    let received = false
    decoder.push(this.#receiveBuffer.bytes.subarray(0, count))
    while (connection.doom === undefined && this.#next(connection)) {
      received = true
      node.receive(connection.id, decoder.type, decoder.body)
    }
    return received
  }

  /** The decoder's own complaints are about the other end, not about the node. */
  #next(connection: Connection): boolean {
    try {
      return connection.decoder.next()
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      this.#log(`connection ${connection.id} closed: ${error.code}: ${error.message}`)
      this.#doom(connection, error.code)
      return false
    }
  }

  #dialled(connection: Connection): void {
    const failure = dialFailure(connection.fd)
    if (failure !== undefined) {
      this.#doom(connection, failure)
      return
    }
    connection.state = 'open'
    this.#polled.watch(connection.slot, POLL_IN)
    this.#markDirty(connection)
  }

  #accept(): void {
    for (let i = 0; i < ACCEPTED_PER_STEP_MAX; i++) {
      const fd = acceptFrom(this.#listener.fd)
      if (fd >= 0) {
        this.#markDirty(this.#add(fd, undefined))
        continue
      }
      const why = errno()
      if (why === EAGAIN) return
      // Most likely no descriptors are left: ask again with the next tick, not at once and for ever.
      this.#log(`connections are not accepted for ${TICK_MS} ms: ${errorName(why)}`)
      this.#accepting = false
      this.#polled.watch(LISTENER_SLOT, 0)
      return
    }
  }

  #onTick(): void {
    this.#peers.tick()
    if (this.#accepting) return
    this.#accepting = true
    this.#polled.watch(LISTENER_SLOT, POLL_IN)
  }

  #add(fd: number, address: string | undefined): Connection {
    const connection = new Connection(this.#nextId++, fd, address, now())
    connection.slot = this.#polled.add(connection, fd, connection.state === 'dialing' ? POLL_OUT : POLL_IN)
    this.#connections.set(connection.id, connection)
    return connection
  }

  #reply(id: number, message: readonly Uint8Array[]): void {
    const connection = this.#connections.get(id)
    if (connection === undefined || connection.doom !== undefined) return
    if (connection.queue(message, this.#replyQueueBytesMax)) this.#markDirty(connection)
    else this.#doom(connection, `${connection.queuedBytes} bytes wait for it`)
  }

  #markDirty(connection: Connection): void {
    if (connection.dirty || connection.state !== 'open') return
    connection.dirty = true
    this.#dirty.push(connection)
  }

  #flush(): void {
    if (this.#isCut()) return
    for (const connection of this.#dirty) {
      connection.dirty = false
      if (connection.doom !== undefined) continue
      if (!connection.flush()) this.#doom(connection, 'it broke')
      else this.#polled.watch(connection.slot, connection.queuedBytes > 0 ? POLL_IN | POLL_OUT : POLL_IN)
    }
    this.#dirty.length = 0
  }

  /** The node is told at the end of the step, never from inside one of its own calls. */
  #doom(connection: Connection, why: string): void {
    if (connection.doom !== undefined) return
    connection.doom = why
    this.#doomed.push(connection)
    this.#peers.lost(connection)
  }

  #bury(node: NodePort): void {
    for (const connection of this.#doomed.splice(0)) {
      const moved = this.#polled.remove(connection.slot)
      if (moved !== undefined) moved.slot = connection.slot
      this.#connections.delete(connection.id)
      connection.close()
      node.connectionClosed(connection.id)
    }
  }
}

function now(): number {
  return performance.now()
}
