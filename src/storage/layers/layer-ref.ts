/** What a segment's manifest says of a layer, and how the set of layers changes. */
import { VolumeError } from '../../protocol/errors.ts'
import { BLOCK_END, type LayerKind } from './layer-file.ts'

/**
 * A layer as seen by reads: a file, and the blocks of it that are visible. A file whose middle was merged into
 * another layer is referred to twice.
 */
export interface LayerRef {
  /** Unique in the segment's layer set. */
  readonly id: number
  /** Name of the file in the folder of the segment's layers. */
  readonly file: string
  readonly kind: LayerKind
  /** How many times its entries were merged; layers of one level have like sizes. */
  readonly level: number
  /** Records with lo < LSN <= hi. */
  readonly lo: number
  readonly hi: number
  /** The visible blocks, [fromBlock, toBlock); the control block 2^32 - 1 is one of them. */
  readonly fromBlock: number
  readonly toBlock: number
  /** Bytes of the visible groups. */
  readonly bytes: number
  readonly fileBytes: number
  /** crc32 of the file's index. */
  readonly indexCrc: number
  /** Range trims in its index. */
  readonly trims: number
  /** Visible groups whose last version is zeros. */
  readonly zeros: number
  /** Lowest and highest wall clock of its control entries, ms since 1970; null: it has none. */
  readonly wallMs: readonly [min: number, max: number] | null
  /** Of an image layer: the cutoff of the garbage collection that made it; 0 otherwise. */
  readonly collectedTo: number
  /** Of an image layer: bytes of the versions that were the newest at `collectedTo`. */
  readonly liveBytes: number
  /** Of an image layer: bytes that it keeps for a pin alone, as [LSN of the pin, bytes]. */
  readonly pinned: readonly (readonly [lsn: number, bytes: number])[]
}

/** A change of a layer set that is installed at once. Edits of a flush and of a compaction may cross. */
export interface LayerEdit {
  readonly add: readonly LayerRef[]
  /** Blocks [fromBlock, toBlock) of these layers are not visible any more. */
  readonly hide: readonly { readonly id: number; readonly fromBlock: number; readonly toBlock: number }[]
  /** All records up to here are in layers. */
  readonly flushedTo?: number
  /** Trims up to here may be gone. */
  readonly collectedTo?: number
}

/** What the segment's manifest keeps of its layer set; plain JSON. */
export interface LayerManifest {
  readonly version: 1
  readonly nextId: number
  readonly flushedTo: number
  readonly collectedTo: number
  readonly refs: readonly LayerRef[]
}

export const EMPTY_LAYER_MANIFEST: LayerManifest = { version: 1, nextId: 1, flushedTo: 0, collectedTo: 0, refs: [] }

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null

function number(from: Record<string, unknown>, key: string): number {
  const value = from[key]
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new VolumeError('Corrupt', `layer set: bad ${key}`)
  return value
}

function pair(value: unknown): readonly [number, number] {
  if (Array.isArray(value) && typeof value[0] === 'number' && typeof value[1] === 'number') return [value[0], value[1]]
  throw new VolumeError('Corrupt', 'layer set: bad pair of numbers')
}

function parseRef(value: unknown): LayerRef {
  if (!isRecord(value) || typeof value.file !== 'string' || !Array.isArray(value.pinned)) {
    throw new VolumeError('Corrupt', 'layer set: bad reference')
  }
  if (value.kind !== 'delta' && value.kind !== 'image') throw new VolumeError('Corrupt', 'layer set: bad kind')
  const ref: LayerRef = {
    id: number(value, 'id'),
    file: value.file,
    kind: value.kind,
    level: number(value, 'level'),
    lo: number(value, 'lo'),
    hi: number(value, 'hi'),
    fromBlock: number(value, 'fromBlock'),
    toBlock: number(value, 'toBlock'),
    bytes: number(value, 'bytes'),
    fileBytes: number(value, 'fileBytes'),
    indexCrc: number(value, 'indexCrc'),
    trims: number(value, 'trims'),
    zeros: number(value, 'zeros'),
    wallMs: value.wallMs === null ? null : pair(value.wallMs),
    collectedTo: number(value, 'collectedTo'),
    liveBytes: number(value, 'liveBytes'),
    pinned: value.pinned.map(pair),
  }
  if (!/^[\w.-]+$/.test(ref.file) || ref.fromBlock >= ref.toBlock || ref.toBlock > BLOCK_END || ref.lo >= ref.hi) {
    throw new VolumeError('Corrupt', `layer set: bad reference to layer ${ref.id}`)
  }
  return ref
}

/** Reads what `LayerSet.toManifest` made. @throws VolumeError `Corrupt`, `UnsupportedFormat` */
export function parseLayerManifest(value: unknown): LayerManifest {
  if (!isRecord(value) || !Array.isArray(value.refs)) throw new VolumeError('Corrupt', 'not a layer set')
  if (value.version !== 1) throw new VolumeError('UnsupportedFormat', `layer set of version ${String(value.version)}`)
  return {
    version: 1,
    nextId: number(value, 'nextId'),
    flushedTo: number(value, 'flushedTo'),
    collectedTo: number(value, 'collectedTo'),
    refs: value.refs.map(parseRef),
  }
}
