/**
 * What the driver needs of a network: messages to storage nodes by address, best effort. A message arrives whole or
 * not at all; it may be lost, and everything above resends. The real one is `tcp-fabric.ts`, the simulator has another.
 *
 * Handlers are called one at a time, never from inside `send`.
 */
export interface Fabric {
  /**
   * One message: the parts, one behind the other, begin with the type byte (`protocol/message.ts`). False when it was
   * dropped at once, because the node is unreachable or too many bytes wait for it; true promises nothing. The parts
   * must not change afterwards: they may be sent from where they are.
   */
  send(address: string, parts: readonly Uint8Array[]): boolean
  /** `body` (without the type byte) is valid during the call only. One handler; the last one given counts. */
  onMessage(handler: (address: string, type: number, body: Uint8Array) => void): void
  /** A connection was lost or could not be made: what is unanswered may have been lost. May repeat. */
  onDown(handler: (address: string) => void): void
  /** A connection was made: what was lost can be sent again. */
  onUp(handler: (address: string) => void): void
  /** Bytes accepted for this address that the system's socket has not taken yet. */
  bufferedBytes(address: string): number
  close(): void
}
