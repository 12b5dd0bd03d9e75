/**
 * From wall clock to LSN: the control records, of which the writer makes one a second. They are the entries of the
 * block `CONTROL_BLOCK`, so that memtables and layers keep them as they keep everything else.
 */
import { CONTROL_BLOCK, type Lsn, lsn } from '../../protocol/lsn.ts'
import { controlWallClockMs, RecordKind } from '../../protocol/record.ts'
import { Chain } from './chain.ts'
import { entryKind, entryLength, entryLsn, entryPayloadStart } from './entry.ts'
import { BLOCK_END, GROUP_HEADER_BYTES } from './layer-file.ts'
import type { LayerReader } from './layer-reader.ts'
import type { LayerRef } from './layer-ref.ts'
import type { BlockSource } from './read-block.ts'

export interface WallClockEntry {
  readonly lsn: Lsn
  /** Milliseconds since 1970, by the writer's clock. */
  readonly wallMs: number
}

type Times = Pick<BlockSource, 'memtables' | 'layers'>

function decode(bytes: Uint8Array, view: DataView, at: number): WallClockEntry {
  const payload = bytes.subarray(entryPayloadStart(view, at), at + entryLength(view, at))
  return { lsn: lsn(entryLsn(view, at)), wallMs: controlWallClockMs(payload) }
}

/** Of a memtable, newest first. */
function* ofMemtable(memtable: BlockSource['memtables'][number]): Generator<WallClockEntry> {
  const chain = new Chain()
  memtable.all(CONTROL_BLOCK, chain)
  for (let i = 0; i < chain.length; i++) {
    const { bytes, views, at } = chain
    if (entryKind(views[i]!, at[i]!) === RecordKind.CONTROL) yield decode(bytes[i]!, views[i]!, at[i]!)
  }
}

/** Of one group, oldest first. */
function ofGroup(reader: LayerReader, g: number): WallClockEntry[] {
  const bytes = reader.readGroup(g)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries: WallClockEntry[] = []
  for (let at = GROUP_HEADER_BYTES; at < bytes.length; at += entryLength(view, at))
    entries.push(decode(bytes, view, at))
  return entries
}

/** The layers whose control entries are visible, newest first. */
const timed = (layers: BlockSource['layers']): LayerRef[] =>
  layers.refs.filter((ref) => ref.wallMs !== null && ref.toBlock === BLOCK_END)

/**
 * The newest control record whose wall clock is not after `wallMs`; undefined: there is none that old (collected, or
 * it is in the parent). Reads control entries of one layer at most, from its newest ones (32 KiB are about 18 minutes).
 * @throws VolumeError `Corrupt`
 */
export function lsnAt(source: Times, wallMs: number): WallClockEntry | undefined {
  for (const memtable of source.memtables) {
    for (const entry of ofMemtable(memtable)) if (entry.wallMs <= wallMs) return entry
  }
  for (const ref of timed(source.layers)) {
    if (ref.wallMs![0] > wallMs) continue
    const reader = source.layers.reader(ref)
    const { index } = reader
    for (let g = index.lastGroupOf(CONTROL_BLOCK); g >= 0 && index.block[g] === CONTROL_BLOCK; g--) {
      const found = ofGroup(reader, g).findLast((entry) => entry.wallMs <= wallMs)
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** All control records, newest first; layers are read as far as the caller asks. @throws VolumeError `Corrupt` */
export function* wallClock(source: Times): Generator<WallClockEntry, void> {
  for (const memtable of source.memtables) yield* ofMemtable(memtable)
  for (const ref of timed(source.layers)) {
    const reader = source.layers.reader(ref)
    const { index } = reader
    for (let g = index.lastGroupOf(CONTROL_BLOCK); g >= 0 && index.block[g] === CONTROL_BLOCK; g--) {
      yield* ofGroup(reader, g).reverse()
    }
  }
}
