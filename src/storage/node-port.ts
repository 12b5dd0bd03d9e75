/**
 * The border between a storage node and what runs it: a node is told of messages and of time, and asks for sends.
 * Everything is called from one thread and returns at once; `worker-loop.ts` is the real runner, the simulator another.
 *
 * A message is a type byte and a body (`protocol/message.ts`). Bodies given to `receive` are views of a receive buffer
 * that is used again: they are valid during the call only, what is kept must be copied. Parts given to `reply` and
 * `sendTo` are copied before those return.
 */
import type { NodeId } from '../protocol/lsn.ts'
import type { Disk } from './disk.ts'
import type { NodeOptions } from './node-options.ts'

export interface NodePort {
  /** Made when the node's disk was formatted: an emptied disk is never taken for the old one. */
  readonly incarnation: string
  /** One complete message. What a peer sent wrongly is to be answered, not thrown. */
  receive(connection: number, type: number, body: Uint8Array): void
  /** Connection numbers are never used again, so what is known of it can be dropped. */
  connectionClosed(connection: number): void
  /** After a batch of messages: make the appended log durable, then send the acknowledgements. */
  commit(): void
  /** One slice (about 1 ms at most) of background work; true when there is more to do at once. */
  background(): boolean
  /** Periodic duties, at least every 20 ms unless a single other call takes longer. */
  tick(): void
  /** An orderly stop, never called after the node has thrown. */
  close(): void
}

/** What a node is given. Any exception that leaves a node stops its thread loudly. */
export interface NodeEnv {
  /** Monotonic, in ms with fractions; from an arbitrary start. */
  now(): number
  /** Ms since 1970. May jump. */
  wallClock(): number
  /** From 0 to 1, without 1. */
  random(): number
  /**
   * Sends one message (the parts, one behind the other, begin with the type byte) to whom `receive` named. Nothing
   * happens when the connection is closed; it is closed when more bytes than a limit wait for it.
   */
  reply(connection: number, message: readonly Uint8Array[]): void
  /** Sends one message to a peer ("host:port"). Lost when it is unreachable or too many bytes wait for it. */
  sendTo(address: string, message: readonly Uint8Array[]): void
}

export interface NodeConfig {
  readonly node: NodeId
  readonly zone: string
  /** Where peers and writers reach this node, "host:port". */
  readonly address: string
}

/** What a module that holds a node exports as `createStorageNode`. */
export type CreateNode = (env: NodeEnv, disk: Disk, config: NodeConfig, options?: NodeOptions) => NodePort
