/**
 * The calls between nodes, writers and fleet: what each takes and answers. They are rare; the data path has messages
 * of its own (`message.ts`). Arguments are checked against `SHAPES` where they arrive.
 */
import { VolumeError } from './errors.ts'
import type { GroupConfig } from './group.ts'
import type { GroupIndex, Lsn, VolumeId } from './lsn.ts'
import type { Truncation } from './truncation.ts'

/** What a node has to know of a volume besides its log. Durable on the node before the call is answered. */
export interface VolumeState {
  readonly volume: VolumeId
  readonly blockBytes: number
  readonly blocksPerGroup: number
  /** The volume epoch in force. */
  readonly epoch: number
  readonly truncations: readonly Truncation[]
  /** The oldest epoch whose truncation is still listed; a copy that is older cannot catch up by log. */
  readonly truncationsFromEpoch: number
  /** A branch shows its parent at this LSN wherever it has nothing of its own. */
  readonly parent: Ancestor | null
  /** Where the volume's own log begins: 0, or the LSN it was branched at. */
  readonly base: Lsn
  /** Versions that are not visible at or after this LSN, nor at a pin, may be collected. Never decreases. */
  readonly cutoff: Lsn
  readonly pins: readonly Lsn[]
  /** The version of the volume's registry cell that cutoff and pins come from: the newest wins. */
  readonly grantVersion: number
}

/** Cutoff and pins, as a node is told of them. */
export type Grant = Pick<VolumeState, 'cutoff' | 'pins' | 'grantVersion'>

/** Where a branch's group shows through: the nearest ancestor that has the group, at the LSN it is seen at. */
export interface Ancestor {
  readonly volume: VolumeId
  readonly lsn: Lsn
}

export interface SegmentReport {
  readonly group: GroupIndex
  /** Of the node: a member that lost its disk is answered for by nobody, also while another one has its address. */
  readonly incarnation: string
  readonly kind: 'full' | 'tail'
  readonly scl: Lsn
  /** Counts in no quorum: it may have lost what it acknowledged. */
  readonly suspect: boolean
  readonly membershipEpoch: number
  /** Up to here everything is in layers on disk, and nothing of it is known to be damaged. */
  readonly flushed: Lsn
  /** Blocks that cannot be read here, because layers are damaged, until a peer has given them. */
  readonly damagedBlocks: number
}

export interface LayerSource {
  /** What the source was allowed to collect: whoever takes its layers must refuse older read points, too. */
  readonly grant: Grant
  readonly flushed: Lsn
  readonly completeTo: Lsn
  /** What shows through the layers. */
  readonly below: Ancestor | null
  /** A `LayerManifest`, which only storage nodes read. */
  readonly layers: unknown
}

/** A page of the history of blocks (attachment), and what has to be known to use it. */
export interface HistoryAnswer {
  /** As in `LayerSource`. */
  readonly grant: Grant
  /** Trims up to here may be gone. */
  readonly collectedTo: Lsn
  /** What shows through. */
  readonly below: Ancestor | null
  /** The page ends before this block. `damaged`: it has nothing, as the blocks up to there cannot be read here. */
  readonly next: number
  readonly damaged: boolean
  /** 0; or it has a part of block `next`, up to this LSN, and `basis` has to be given with the question for the rest. */
  readonly after: Lsn
  readonly basis: string
  /** crc32 of the attachment. */
  readonly crc: number
}

/** A call names its method; this says what goes in and what comes back. */
export interface Calls {
  /** Refuse every lower epoch from now on, and say what is here. */
  fence: { argument: { volume: VolumeId; epoch: number }; value: { vdl: Lsn; segments: readonly SegmentReport[] } }
  /** Adopt an epoch with its truncations; segments of the volume cut their logs. */
  seal: { argument: { state: VolumeState }; value: { segments: readonly SegmentReport[] } }
  /** Chained records above an LSN (attachment: `encodeSummaries`), and the last record at or below it. */
  summaries: { argument: { volume: VolumeId; group: GroupIndex; above: Lsn }; value: { scl: Lsn; after: Lsn } }
  /** Make or adopt a membership. `create`: the group is new and nothing was ever written to it. */
  configure: {
    argument: { state: VolumeState; config: GroupConfig; incarnation: string; create: boolean; below: Ancestor | null }
    /** Null: the node is no member (any more), and holds nothing of it. */
    value: SegmentReport | null
  }
  /** Log above `from` in chain order (attachment: records, none when `bytesMax` is 0). */
  pull: {
    argument: {
      volume: VolumeId
      group: GroupIndex
      volumeEpoch: number
      membershipEpoch: number
      from: Lsn
      bytesMax: number
    }
    value: { report: SegmentReport; vdl: Lsn; logFrom: Lsn }
  }
  /** The layers of a full segment, held for copying; `Conflict` until it has flushed up to `atLeast`. */
  layers: {
    argument: { volume: VolumeId; group: GroupIndex; volumeEpoch: number; membershipEpoch: number; atLeast: Lsn }
    value: LayerSource
  }
  /** A piece of a layer's file (attachment). */
  layerBytes: {
    argument: { volume: VolumeId; group: GroupIndex; layer: number; offset: number; length: number }
    value: { bytes: number }
  }
  /** Verify a layer: a peer's copy of it did not match its checksums. */
  verify: { argument: { volume: VolumeId; group: GroupIndex; layer: number }; value: Record<string, never> }
  /**
   * All that a full segment has of the blocks [from, to), at or below `upTo`; of the first of them only what is above
   * `after`. `Conflict` when garbage was collected above `upTo`, or since the page that gave `basis`.
   */
  history: {
    argument: {
      volume: VolumeId
      group: GroupIndex
      volumeEpoch: number
      membershipEpoch: number
      upTo: Lsn
      from: number
      to: number
      after: Lsn
      basis: string
    }
    value: HistoryAnswer
  }
  /** New cutoff and pins; durable on the node before anything is deleted. */
  grant: { argument: { volume: VolumeId } & Grant; value: Record<string, never> }
  /** How far the volume is known to be durable here. */
  head: {
    argument: { volume: VolumeId }
    value: { vdl: Lsn; epoch: number; incarnation: string; segments: readonly SegmentReport[] }
  }
  /** The last consistency point at or before a wall clock time, of a volume's own log; null before its beginning. */
  lsnAt: { argument: { volume: VolumeId; wallClockMs: number }; value: { lsn: Lsn | null; wallClockMs: number | null } }
  /** Blocks that exist at a read point, from `block` on, at most `count` numbers looked at (attachment: 16 bytes each). */
  digest: {
    argument: { volume: VolumeId; group: GroupIndex; readPoint: Lsn; block: number; count: number }
    value: { next: number | null }
  }
  /** Forget a volume, its log and layers. */
  drop: { argument: { volume: VolumeId }; value: Record<string, never> }
  /** Copy what a branch sees of its parent into its own layers, group by group; answers whether all is done. */
  materialise: { argument: { volume: VolumeId; group: GroupIndex }; value: { done: boolean } }
  status: { argument: Record<string, never>; value: NodeStatus }
}

export interface NodeStatus {
  readonly node: string
  readonly incarnation: string
  readonly zone: string
  readonly state: 'ready' | 'full'
  readonly applyDelayMs: number
  readonly freeBytes: number
  readonly logBytes: number
  readonly memoryBytes: number
  readonly volumes: readonly {
    readonly volume: VolumeId
    readonly vdl: Lsn
    readonly epoch: number
    readonly segments: readonly SegmentReport[]
  }[]
  readonly counters: Readonly<Record<string, number>>
}

export type Method = keyof Calls

type Kind = 'number' | 'string' | 'boolean' | 'array' | 'object' | 'any'
const SHAPES: { readonly [M in Method]: { readonly [K in keyof Calls[M]['argument']]: Kind } } = {
  fence: { volume: 'number', epoch: 'number' },
  seal: { state: 'object' },
  summaries: { volume: 'number', group: 'number', above: 'number' },
  configure: { state: 'object', config: 'object', incarnation: 'string', create: 'boolean', below: 'any' },
  pull: {
    volume: 'number',
    group: 'number',
    volumeEpoch: 'number',
    membershipEpoch: 'number',
    from: 'number',
    bytesMax: 'number',
  },
  layers: { volume: 'number', group: 'number', volumeEpoch: 'number', membershipEpoch: 'number', atLeast: 'number' },
  layerBytes: { volume: 'number', group: 'number', layer: 'number', offset: 'number', length: 'number' },
  verify: { volume: 'number', group: 'number', layer: 'number' },
  history: {
    volume: 'number',
    group: 'number',
    volumeEpoch: 'number',
    membershipEpoch: 'number',
    upTo: 'number',
    from: 'number',
    to: 'number',
    after: 'number',
    basis: 'string',
  },
  grant: { volume: 'number', cutoff: 'number', pins: 'array', grantVersion: 'number' },
  head: { volume: 'number' },
  lsnAt: { volume: 'number', wallClockMs: 'number' },
  digest: { volume: 'number', group: 'number', readPoint: 'number', block: 'number', count: 'number' },
  drop: { volume: 'number' },
  materialise: { volume: 'number', group: 'number' },
  status: {},
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

/** @throws VolumeError `BadRequest` naming the member that is missing or of the wrong kind */
export function checkArgument<M extends Method>(method: M, argument: unknown): Calls[M]['argument'] {
  const shape: Readonly<Record<string, Kind>> = SHAPES[method]
  if (typeof argument !== 'object' || argument === null)
    throw new VolumeError('BadRequest', `${method} takes an object`)
  for (const [name, kind] of Object.entries(shape)) {
    const value: unknown = (argument as Record<string, unknown>)[name]
    if (kind === 'any') continue
    if (kindOf(value) !== kind || (kind === 'number' && !(Number.isSafeInteger(value) && (value as number) >= 0))) {
      throw new VolumeError(
        'BadRequest',
        `${method}: ${name} must be ${kind === 'number' ? 'a non-negative integer' : kind}`,
      )
    }
  }
  return argument as Calls[M]['argument']
}

export const isMethod = (name: string): name is Method => Object.hasOwn(SHAPES, name)
