/** The network as a writer or a reader sees it. */
import type { Fabric } from '../src/volume/fabric.ts'
import { type Effects, SimCrash } from './effects.ts'
import type { EventQueue } from './events.ts'
import type { Endpoint, Network } from './network.ts'
import type { Trace } from './trace.ts'

/** More than this waiting for one address is dropped, so that a node that hangs costs no memory. */
const BUFFERED_BYTES_MAX = 256 * 1024
const USED_BUFFER = 0xdb

export interface FabricOptions {
  readonly name: string
  readonly zone: string
  readonly events: EventQueue
  readonly network: Network
  readonly effects: Effects
  readonly trace: Trace
  /** The owner reached the effect that it was to crash at. */
  readonly died?: () => void
  /** After the owner was told of something: promises may be pending, and what it threw is its end. */
  readonly told: (error: unknown) => void
}

export class SimFabric implements Fabric, Endpoint {
  readonly #options: FabricOptions
  #message: ((address: string, type: number, body: Uint8Array) => void) | undefined
  #down: ((address: string) => void) | undefined
  #up: ((address: string) => void) | undefined
  /** Open connections, by number: whom they lead to. */
  readonly #others = new Map<number, string>()
  #state: 'open' | 'closed' = 'open'

  constructor(options: FabricOptions) {
    this.#options = options
    options.network.attach(options.name, options.zone, this)
  }

  send(address: string, parts: readonly Uint8Array[]): boolean {
    const { network, effects, name } = this.#options
    if (this.#state === 'closed' || !effects.alive) return false
    try {
      return effects.run(
        `send ${address} type ${parts[0]?.[0]}`,
        () => {
          const connection = network.connectionTo(name, address)
          if (connection !== undefined && network.bufferedBytes(connection, name) > BUFFERED_BYTES_MAX) return false
          return network.sendTo(name, address, parts)
        },
        () => {},
      )
    } catch (error) {
      if (!(error instanceof SimCrash)) throw error
      // What the owner still does in this turn has no effect.
      this.#options.died?.()
      return false
    }
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

  bufferedBytes(address: string): number {
    const { network, name } = this.#options
    const connection = network.connectionTo(name, address)
    return connection === undefined ? 0 : network.bufferedBytes(connection, name)
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#options.network.detach(this.#options.name, false)
  }

  /** The process is gone, with its machine or without. */
  crash(silently: boolean): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#options.effects.kill()
    this.#options.network.detach(this.#options.name, silently)
  }

  #tell(what: string, action: () => void): void {
    if (this.#state === 'closed') return
    this.#options.trace.line(this.#options.name, what)
    let thrown: unknown
    try {
      action()
    } catch (error) {
      thrown = error
    }
    this.#options.told(thrown)
  }

  message(connection: number, message: Uint8Array): void {
    const address = this.#others.get(connection)
    if (address === undefined) return
    this.#tell(`receives type ${message[0]}, ${message.length} bytes from ${address}`, () => {
      this.#message?.(address, message[0] as number, message.subarray(1))
      message.fill(USED_BUFFER)
    })
  }

  connectionUp(connection: number, other: string): void {
    this.#others.set(connection, other)
    this.#tell(`is connected to ${other}`, () => this.#up?.(other))
  }

  connectionDown(connection: number, other: string): void {
    this.#others.delete(connection)
    this.#tell(`lost ${other}`, () => this.#down?.(other))
  }
}
