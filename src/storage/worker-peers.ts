/**
 * Connections that a node's thread opens itself, by address: made when there is something to send, and after a failure
 * not again before a pause that doubles from 50 ms to 1 s. What is sent meanwhile is dropped.
 */
import { VolumeError } from '../protocol/errors.ts'
import { dial } from './real-socket.ts'
import type { Connection } from './worker-connection.ts'

const PAUSE_MS_MIN = 50
const PAUSE_MS_MAX = 1000
/** A machine that is gone does not refuse: it says nothing. */
const DIAL_MS_MAX = 2000
/** Peers pull what they lack, so what waits here can always be asked for again. */
const PEER_QUEUE_BYTES_MAX = 16 << 20

interface Peer {
  connection: Connection | undefined
  pauseMs: number
  retryAt: number
}

export interface PeersOptions {
  /** Takes over a descriptor that is connecting. */
  readonly connect: (address: string, fd: number) => Connection
  readonly drop: (connection: Connection, why: string) => void
  readonly now: () => number
  readonly log: (line: string) => void
}

export class Peers {
  readonly #options: PeersOptions
  readonly #peers = new Map<string, Peer>()

  constructor(options: PeersOptions) {
    this.#options = options
  }

  /** Queues one message; answers the connection it waits on, undefined when it was dropped. */
  queue(address: string, message: readonly Uint8Array[]): Connection | undefined {
    let peer = this.#peers.get(address)
    if (peer === undefined) {
      peer = { connection: undefined, pauseMs: PAUSE_MS_MIN, retryAt: 0 }
      this.#peers.set(address, peer)
    }
    peer.connection ??= this.#dial(address, peer)
    return peer.connection?.queue(message, PEER_QUEUE_BYTES_MAX) ? peer.connection : undefined
  }

  /** A connection is of no use any more. */
  lost(connection: Connection): void {
    const peer = connection.address === undefined ? undefined : this.#peers.get(connection.address)
    if (peer?.connection !== connection) return
    peer.connection = undefined
    // Only one that talked to us proves that the peer is well.
    if (connection.decoder.opened) peer.pauseMs = PAUSE_MS_MIN
    this.#pause(peer)
  }

  /** Gives up dials that take too long. */
  tick(): void {
    const before = this.#options.now() - DIAL_MS_MAX
    for (const { connection } of this.#peers.values()) {
      if (connection?.state === 'dialing' && connection.since < before) this.#options.drop(connection, 'no answer')
    }
  }

  #dial(address: string, peer: Peer): Connection | undefined {
    if (this.#options.now() < peer.retryAt) return undefined
    try {
      return this.#options.connect(address, dial(address))
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      this.#options.log(`peer ${address}: ${error.code}: ${error.message}`)
      this.#pause(peer)
      return undefined
    }
  }

  #pause(peer: Peer): void {
    peer.retryAt = this.#options.now() + peer.pauseMs
    peer.pauseMs = Math.min(2 * peer.pauseMs, PAUSE_MS_MAX)
  }
}
