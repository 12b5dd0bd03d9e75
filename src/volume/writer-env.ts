/** What a writer starts from, and what it asks of its surroundings. */
import type { VolumeState } from '../protocol/calls.ts'
import type { GroupConfig } from '../protocol/group.ts'
import type { BlockNumber, GroupIndex, Lsn } from '../protocol/lsn.ts'
import type { BlockReads } from './block-reads.ts'
import type { NodeClient } from './node-client.ts'

/** What the writer asks of the side that knows the registry; none of it is on the data path. */
export interface WriterControl {
  /** Makes a protection group; resolves with its membership once it can be appended to. */
  addGroup(group: GroupIndex): Promise<GroupConfig>
  /** The present membership of a group. */
  groupConfig(group: GroupIndex): Promise<GroupConfig>
  /** Tells a node of the epoch in force. */
  seal(address: string): Promise<void>
  /** Makes or renews the segment of a node that does not know it. */
  configure(address: string, config: GroupConfig): Promise<void>
  /** A block of a group that only an ancestor of this branch has. */
  readInherited(block: BlockNumber): Promise<Uint8Array>
}

/** Where an opened volume goes on. */
export interface OpenedVolume {
  readonly state: VolumeState
  readonly vdl: Lsn
  /** New LSNs are above this. */
  readonly start: Lsn
  readonly groups: ReadonlyMap<GroupIndex, { readonly config: GroupConfig; readonly point: Lsn }>
  /** Groups that only an ancestor has. */
  readonly inherited: ReadonlySet<GroupIndex>
  /** The last wall clock time in the log: time never goes back in it. */
  readonly wallClockMs: number
}

export interface WriterEnv {
  readonly client: NodeClient
  readonly reads: BlockReads
  readonly control: WriterControl
  /** Calls back when the program has done what it had to do in this turn. */
  defer(callback: () => void): void
  /** Resolves after so many milliseconds, also when the writer has stopped meanwhile. */
  pause(ms: number): Promise<void>
}
