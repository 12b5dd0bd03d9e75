/**
 * The driver's network over TCP, inside an ordinary program's event loop.
 *
 *   (nothing) --send--> connecting --preamble of the other end--> up --lost--> waiting --pause over--> connecting
 *                            \-------could not connect, too slow, not ours-----/  \--nobody sends--> (nothing)
 *
 * Hot path: one `write` and so one system call a message; small messages are put together first, large ones are sent
 * from where they are. Everything is received into one buffer. Measured: 2 to 3 us a
 * message of 1 KiB, the system call included; rounds to six nodes: `npm run bench -- wire`.
 */
import { connect, type Socket } from 'node:net'
import { VolumeError } from '../protocol/errors.ts'
import { FRAME_HEADER_BYTES, FrameDecoder, partsBytes, preamble, writeFrame } from '../storage/framing.ts'
import type { Fabric } from './fabric.ts'

/** The driver holds writes back long before; this bounds what a node that hangs can cost. */
const QUEUED_BYTES_MAX = 32 << 20
const PAUSE_MS_MIN = 50
const PAUSE_MS_MAX = 1000
/** A machine that is gone does not refuse: it says nothing. */
const CONNECT_MS_MAX = 2000
/** An address that nobody sent to for so long is not connected again until somebody does. */
const INTEREST_MS = 10_000
/** One copy of so many bytes costs less than another element in the system call. */
const GATHERED_BYTES_MAX = 16 << 10
const RECEIVE_BYTES = 256 << 10

interface Link {
  readonly address: string
  readonly host: string
  readonly port: number
  state: 'connecting' | 'up' | 'waiting'
  socket: Socket | undefined
  /** Ends the attempt while connecting, the pause while waiting. */
  timer: NodeJS.Timeout | undefined
  pauseMs: number
  wantedAt: number
}

export interface TcpFabricOptions {
  /** Bytes that may wait for one address; beyond, messages are dropped. */
  readonly queuedBytesMax?: number
  /** One line for people, about a connection that is not as it should be. */
  readonly log?: (line: string) => void
}

export class TcpFabric implements Fabric {
  readonly #links = new Map<string, Link>()
  readonly #queuedBytesMax: number
  readonly #log: (line: string) => void
  readonly #receiveBuffer = new Uint8Array(RECEIVE_BYTES)
  #onMessage: (address: string, type: number, body: Uint8Array) => void = () => {}
  #onDown: (address: string) => void = () => {}
  #onUp: (address: string) => void = () => {}
  #closed = false

  constructor({ queuedBytesMax = QUEUED_BYTES_MAX, log = () => {} }: TcpFabricOptions = {}) {
    this.#queuedBytesMax = queuedBytesMax
    this.#log = log
  }

  onMessage(handler: (address: string, type: number, body: Uint8Array) => void): void {
    this.#onMessage = handler
  }

  onDown(handler: (address: string) => void): void {
    this.#onDown = handler
  }

  onUp(handler: (address: string) => void): void {
    this.#onUp = handler
  }

  send(address: string, parts: readonly Uint8Array[]): boolean {
    if (this.#closed) return false
    const link = this.#links.get(address) ?? this.#link(address)
    link.wantedAt = performance.now()
    const { socket } = link
    if (socket === undefined) return false
    const bytes = partsBytes(parts)
    if (socket.writableLength + FRAME_HEADER_BYTES + bytes > this.#queuedBytesMax) return false
    if (bytes <= GATHERED_BYTES_MAX) {
      const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes)
      writeFrame(frame, 0, parts, bytes)
      socket.write(frame)
      return true
    }
    const header = Buffer.allocUnsafe(FRAME_HEADER_BYTES)
    header.writeUInt32LE(bytes)
    socket.cork()
    socket.write(header)
    for (const part of parts) socket.write(part)
    socket.uncork()
    return true
  }

  bufferedBytes(address: string): number {
    return this.#links.get(address)?.socket?.writableLength ?? 0
  }

  /** No handler is called any more. */
  close(): void {
    this.#closed = true
    for (const { socket, timer } of this.#links.values()) {
      clearTimeout(timer)
      socket?.destroy()
    }
    this.#links.clear()
  }

  #link(address: string): Link {
    const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(address) ?? []
    const host = bracketed ?? plain
    if (host === undefined || Number(port) > 65_535) {
      throw new VolumeError('BadRequest', `"${address}" is not a host and a port`)
    }
    const link: Link = {
      address,
      host,
      port: Number(port),
      state: 'waiting',
      socket: undefined,
      timer: undefined,
      pauseMs: PAUSE_MS_MIN,
      wantedAt: 0,
    }
    this.#links.set(address, link)
    this.#connect(link)
    return link
  }

  #connect(link: Link): void {
    const decoder = new FrameDecoder()
    const socket = connect({
      host: link.host,
      port: link.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 4000,
      // Shared by all connections: it is filled and cut up within one callback.
      onread: {
        buffer: this.#receiveBuffer,
        callback: (count) => {
          this.#received(link, socket, decoder, count)
          return true
        },
      },
    })
    link.state = 'connecting'
    link.socket = socket
    link.timer = setTimeout(() => this.#lost(link, socket, 'no answer'), CONNECT_MS_MAX)
    socket.on('error', (error) => this.#lost(link, socket, error.message))
    socket.on('close', () => this.#lost(link, socket, 'the other end closed it'))
    socket.write(preamble())
  }

  #received(link: Link, socket: Socket, decoder: FrameDecoder, count: number): void {
    decoder.push(this.#receiveBuffer.subarray(0, count))
    while (link.socket === socket && this.#next(link, socket, decoder)) {
      this.#onMessage(link.address, decoder.type, decoder.body)
    }
  }

  #next(link: Link, socket: Socket, decoder: FrameDecoder): boolean {
    let found: boolean
    try {
      found = decoder.next()
    } catch (error) {
      if (!(error instanceof VolumeError)) throw error
      this.#lost(link, socket, `${error.code}: ${error.message}`)
      return false
    }
    if (link.state === 'connecting' && decoder.opened) {
      clearTimeout(link.timer)
      link.state = 'up'
      link.pauseMs = PAUSE_MS_MIN
      this.#onUp(link.address)
    }
    return found
  }

  #lost(link: Link, socket: Socket, why: string): void {
    if (this.#closed || link.socket !== socket) return
    clearTimeout(link.timer)
    // The first failure of a row is news, the others are not.
    if (link.state === 'up' || link.pauseMs === PAUSE_MS_MIN) this.#log(`storage node ${link.address}: ${why}`)
    link.socket = undefined
    link.state = 'waiting'
    socket.destroy()
    link.timer = setTimeout(() => this.#again(link), link.pauseMs)
    // What is left to do is worth nothing if the program has nothing else to do.
    link.timer.unref()
    link.pauseMs = Math.min(2 * link.pauseMs, PAUSE_MS_MAX)
    this.#onDown(link.address)
  }

  #again(link: Link): void {
    if (performance.now() - link.wantedAt < INTEREST_MS) this.#connect(link)
    else this.#links.delete(link.address)
  }
}
