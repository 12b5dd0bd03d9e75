/** What everything that works on volumes of a fleet shares: registry, nodes, reads, time and chance. */
import type { BlockReads } from './block-reads.ts'
import type { Clock } from './clock.ts'
import type { NodeClient } from './node-client.ts'
import type { Registry } from './registry.ts'

export interface VolumeContext {
  readonly registry: Registry
  readonly client: NodeClient
  readonly reads: BlockReads
  readonly clock: Clock
  /** From 0 to 1, without 1. */
  random(): number
  /** Calls back when the program has done what it had to do in this turn. */
  defer(callback: () => void): void
  /** Resolves after so many milliseconds. */
  pause(ms: number): Promise<void>
}
