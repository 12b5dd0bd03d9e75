/** A network whose other end is the test: it sees what was sent and says what comes back, and when. */
import type { VolumeId } from '../src/protocol/lsn.ts'
import { type Ack, encodeAck } from '../src/protocol/message.ts'
import type { Fabric } from '../src/volume/fabric.ts'

export interface SentMessage {
  readonly address: string
  readonly type: number
  readonly body: Uint8Array
}

export class ScriptedFabric implements Fabric {
  sent: SentMessage[] = []
  /** Addresses that cannot be reached. */
  readonly unreachable = new Set<string>()
  /** Bytes that wait for every address. */
  buffered = 0
  #message: ((address: string, type: number, body: Uint8Array) => void) | undefined
  #down: ((address: string) => void) | undefined
  #up: ((address: string) => void) | undefined

  send(address: string, parts: readonly Uint8Array[]): boolean {
    if (this.unreachable.has(address)) return false
    const message = Uint8Array.from(Buffer.concat(parts))
    this.sent.push({ address, type: message[0] as number, body: message.subarray(1) })
    return true
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
    return this.buffered
  }
  close(): void {}

  /** What was sent since the last look. */
  take(): SentMessage[] {
    const { sent } = this
    this.sent = []
    return sent
  }

  /** A message arrives. */
  arrive(address: string, parts: Uint8Array | readonly Uint8Array[]): void {
    const message = Uint8Array.from(parts instanceof Uint8Array ? parts : Buffer.concat(parts))
    this.#message?.(address, message[0] as number, message.subarray(1))
  }

  /** An acknowledgement arrives. */
  acknowledge(address: string, volume: VolumeId, ack: Partial<Ack>): void {
    const full = { group: 0, volumeEpoch: 1, membershipEpoch: 1, scl: 0, status: 'Ok', applyDelayMs: 0, ...ack, volume }
    this.arrive(address, encodeAck(full as Ack))
  }

  down(address: string): void {
    this.#down?.(address)
  }
  up(address: string): void {
    this.#up?.(address)
  }
}
