/**
 * One program's conversation with storage nodes: numbers requests, matches answers, gives up after a time. Frames and
 * acknowledgements pass through to the writer of their volume. One client serves all volumes of a program.
 */
import type { Calls, Method } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import {
  type Ack,
  encodeCall,
  encodeRead,
  MessageType,
  type Page,
  type ReadRequest,
  readAck,
  readPage,
  readResult,
} from '../protocol/message.ts'
import type { Clock } from './clock.ts'
import type { Fabric } from './fabric.ts'

export interface Answer<M extends Method> {
  readonly value: Calls[M]['value']
  /** The caller's own. */
  readonly attachment: Uint8Array
}

/** What a volume's writer wants to hear. */
export interface AckListener {
  acknowledged(address: string, ack: Ack): void
  /** A connection to a node was made anew: what was sent before may be lost. */
  connected(address: string): void
}

interface PendingCall {
  readonly address: string
  readonly deadlineMs: number
  readonly resolve: (answer: Answer<Method>) => void
  readonly reject: (error: VolumeError) => void
}

interface PendingRead {
  readonly address: string
  readonly deadlineMs: number
  readonly done: (page: Page | VolumeError) => void
}

/** Undefined for what was damaged on its way: as good as lost, it is asked for again or times out. */
function decoded<T>(read: (body: Uint8Array) => T, body: Uint8Array): T | undefined {
  try {
    return read(body)
  } catch (error) {
    if (error instanceof VolumeError) return undefined
    throw error
  }
}

/** A call that takes longer is asked again, perhaps of another node. */
const CALL_MS_MAX = 1000
/** Reads are hedged long before this. */
const READ_MS_MAX = 1000

export class NodeClient {
  readonly fabric: Fabric
  readonly clock: Clock
  readonly #calls = new Map<number, PendingCall>()
  readonly #reads = new Map<number, PendingRead>()
  /** Two, for a moment, when a program opens a volume again that it holds open. */
  readonly #listeners = new Map<VolumeId, Set<AckListener>>()
  #next = 1

  constructor(fabric: Fabric, clock: Clock) {
    this.fabric = fabric
    this.clock = clock
    fabric.onMessage((address, type, body) => this.#message(address, type, body))
    fabric.onDown((address) => this.#down(address))
    fabric.onUp((address) => {
      for (const listeners of this.#listeners.values()) for (const listener of listeners) listener.connected(address)
    })
  }

  /** Whether a node was asked for something and has not answered. */
  get isWaiting(): boolean {
    return this.#calls.size > 0 || this.#reads.size > 0
  }

  #number(): number {
    const number = this.#next
    this.#next = (this.#next % 0xffff_fffe) + 1
    return number
  }

  /** @throws VolumeError what the node answered, `Unreachable` or `TimedOut` */
  call<M extends Method>(
    address: string,
    method: M,
    argument: Calls[M]['argument'],
    timeoutMs: number = CALL_MS_MAX,
  ): Promise<Answer<M>> {
    return new Promise((resolve, reject) => {
      const request = this.#number()
      const pending: PendingCall = {
        address,
        deadlineMs: this.clock.now() + timeoutMs,
        resolve: resolve as PendingCall['resolve'],
        reject,
      }
      this.#calls.set(request, pending)
      // A send that is dropped is answered by the deadline: an immediate refusal would make callers spin.
      this.fabric.send(address, encodeCall(request, method, argument))
    })
  }

  /** `done` is called once, with the page (whose bytes are only valid inside) or what went wrong. Answers the number of the request. */
  read(address: string, read: Omit<ReadRequest, 'request'>, done: (page: Page | VolumeError) => void): number {
    const request = this.#number()
    this.#reads.set(request, { address, deadlineMs: this.clock.now() + READ_MS_MAX, done })
    if (!this.fabric.send(address, [encodeRead({ ...read, request })])) {
      this.#reads.delete(request)
      done(new VolumeError('Unreachable', `${address} cannot be reached`))
    }
    return request
  }

  /** The answer to a read is no longer wanted. */
  cancelRead(request: number): void {
    this.#reads.delete(request)
  }

  listen(volume: VolumeId, listener: AckListener): void {
    const listeners = this.#listeners.get(volume) ?? new Set()
    this.#listeners.set(volume, listeners.add(listener))
  }

  unlisten(volume: VolumeId, listener: AckListener): void {
    const listeners = this.#listeners.get(volume)
    listeners?.delete(listener)
    if (listeners?.size === 0) this.#listeners.delete(volume)
  }

  #message(address: string, type: number, body: Uint8Array): void {
    switch (type) {
      case MessageType.ACK: {
        const ack = decoded(readAck, body)
        if (ack === undefined) return
        for (const listener of this.#listeners.get(ack.volume) ?? []) listener.acknowledged(address, ack)
        return
      }
      case MessageType.PAGE:
        this.#page(body)
        return
      case MessageType.RESULT:
        this.#result(body)
        return
      default:
      // A newer node may say more than this program understands.
    }
  }

  #page(body: Uint8Array): void {
    const page = decoded(readPage, body)
    if (page === undefined) return
    const pending = this.#reads.get(page.request)
    if (pending === undefined) return
    this.#reads.delete(page.request)
    pending.done(page.status === 'Ok' ? page : new VolumeError(page.status, `${pending.address} refused a read`))
  }

  #result(body: Uint8Array): void {
    const result = decoded(readResult, body)
    if (result === undefined) return
    const pending = this.#calls.get(result.request)
    if (pending === undefined) return
    this.#calls.delete(result.request)
    const { outcome, attachment } = result
    if ('error' in outcome) pending.reject(outcome.error)
    else pending.resolve({ value: outcome.value as Calls[Method]['value'], attachment: attachment.slice() })
  }

  #down(address: string): void {
    const error = new VolumeError('Unreachable', `the connection to ${address} was lost`)
    for (const [request, pending] of this.#reads) {
      if (pending.address !== address) continue
      this.#reads.delete(request)
      pending.done(error)
    }
    for (const [request, pending] of this.#calls) {
      if (pending.address !== address) continue
      this.#calls.delete(request)
      pending.reject(error)
    }
  }

  tick(): void {
    const now = this.clock.now()
    for (const [request, pending] of this.#reads) {
      if (pending.deadlineMs > now) continue
      this.#reads.delete(request)
      pending.done(new VolumeError('TimedOut', `${pending.address} did not answer a read`))
    }
    for (const [request, pending] of this.#calls) {
      if (pending.deadlineMs > now) continue
      this.#calls.delete(request)
      pending.reject(new VolumeError('TimedOut', `${pending.address} did not answer in time`))
    }
  }
}
