/**
 * The history of blocks as one segment hands it to another: every entry up to an LSN, from memtables and layers alike,
 * block by block. A page has whole blocks, or a part of one block whose history is larger than a page.
 *
 *     u32 number of range trims, range trims (40 bytes each)
 *     for each block: u32 block, u32 bytes of its entries, entries by LSN (`entry.ts`)
 */
import { VolumeError } from '../../protocol/errors.ts'
import { CONTROL_BLOCK, type Lsn, lsn, ZERO_LSN } from '../../protocol/lsn.ts'
import { RecordKind } from '../../protocol/record.ts'
import type { BlockRange } from './block-ranges.ts'
import { Chain } from './chain.ts'
import { blocksOf } from './digest.ts'
import { entryKind, entryLength, entryLsn, IMAGE } from './entry.ts'
import { BLOCK_END, GROUP_HEADER_BYTES } from './layer-file.ts'
import type { LayerRef } from './layer-ref.ts'
import { visibleTrims } from './merge.ts'
import { clipTrims, joinTrims, RANGE_TRIM_BYTES, type RangeTrim, readRangeTrim, writeRangeTrim } from './range-trims.ts'
import type { BlockSource } from './read-block.ts'

/** A page ends behind the block, or the record, with which it has so many bytes: about a millisecond's work. */
const PAGE_BYTES = 256 << 10
/** Block numbers that one page looks at, whether or not there is anything. */
const BLOCKS_PER_PAGE = 4096
/** Before the entries of a block. */
const PART_HEADER_BYTES = 8
const ENTRY_BYTES_MIN = 12

/** Where a page begins. */
export interface HistoryCursor {
  readonly block: number
  /** 0, or the last LSN of the block that the page before has. */
  readonly after: Lsn
}

export interface HistoryPage {
  /** Where the next page begins. */
  readonly next: HistoryCursor
  readonly bytes: Uint8Array
}

export interface HistoryRange extends BlockRange {
  /** Only entries at or below are asked for. */
  readonly upTo: Lsn
}

type Stored = Pick<BlockSource, 'memtables' | 'layers'>

/** The ref's layer may hold entries in (after, upTo]. */
const reachesInto = (ref: LayerRef, after: Lsn, upTo: Lsn): boolean => ref.lo < upTo && ref.hi > after

/** All entries of a block in (after, upTo], oldest first. @throws LayerDamage */
function* entriesOf(
  { memtables, layers }: Stored,
  block: number,
  after: Lsn,
  upTo: Lsn,
): Generator<{ readonly bytes: Uint8Array; readonly view: DataView; readonly at: number }> {
  for (const ref of layers.stackOf(block).reverse()) {
    if (!reachesInto(ref, after, upTo)) continue
    const reader = layers.reader(ref)
    const { index } = reader
    for (let g = index.lowerBound(block); g < index.groups && index.block[g] === block; g++) {
      if (index.firstLsn[g]! > upTo) break
      // What comes before the first entry of the next group is not newer than that.
      if (index.block[g + 1] === block && index.firstLsn[g + 1]! <= after) continue
      const bytes = reader.readGroup(g)
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      for (let at = GROUP_HEADER_BYTES; at < bytes.length; at += entryLength(view, at)) {
        if (entryLsn(view, at) > after && entryLsn(view, at) <= upTo) yield { bytes, view, at }
      }
    }
  }
  const chain = new Chain()
  for (const memtable of memtables.toReversed()) {
    chain.clear()
    memtable.all(block, chain)
    for (let i = chain.length - 1; i >= 0; i--) {
      const entry = { bytes: chain.bytes[i]!, view: chain.views[i]!, at: chain.at[i]! }
      const own = entryLsn(entry.view, entry.at)
      if (own > after && own <= upTo) yield entry
    }
  }
}

/**
 * Tells histories of a block that go on from each other from those between which garbage was collected: it changes
 * whenever versions of the block may have gone, and not when they are only moved.
 */
export function historyBasis({ layers }: Stored, block: number): string {
  const bottom = layers.stackOf(block).at(-1)
  if (bottom === undefined) return `${layers.collectedTo}`
  return `${layers.collectedTo}-${bottom.lo}-${bottom.kind === 'image' ? bottom.id : 0}`
}

function trimsIn({ memtables, layers }: Stored, from: number, to: number, upTo: Lsn): RangeTrim[] {
  const refs = layers.refs.filter((ref) => ref.fromBlock < to && ref.toBlock > from && ref.lo < upTo)
  const trims = [...visibleTrims(layers, refs, from, to), ...memtables.flatMap((memtable) => memtable.rangeTrims)]
  return clipTrims(
    trims.filter((trim) => trim.lsn <= upTo),
    from,
    to,
  )
}

/** Parts of a page, put together. */
class PageWriter {
  readonly #parts: Uint8Array[] = []
  bytes = 0

  get isEmpty(): boolean {
    return this.bytes === 0
  }

  addBlock(block: number, entries: readonly Uint8Array[]): void {
    const head = new Uint8Array(PART_HEADER_BYTES)
    const view = new DataView(head.buffer)
    const length = entries.reduce((sum, entry) => sum + entry.length, 0)
    view.setUint32(0, block, true)
    view.setUint32(4, length, true)
    this.#parts.push(head, ...entries)
    this.bytes += head.length + length
  }

  finish(trims: readonly RangeTrim[]): Uint8Array {
    const start = 4 + trims.length * RANGE_TRIM_BYTES
    const page = new Uint8Array(start + this.bytes)
    const view = new DataView(page.buffer)
    view.setUint32(0, trims.length, true)
    trims.forEach((trim, i) => {
      writeRangeTrim(view, 4 + i * RANGE_TRIM_BYTES, trim)
    })
    let at = start
    for (const part of this.#parts) {
      page.set(part, at)
      at += part.length
    }
    return page
  }
}

/**
 * The next page of the blocks of a range, from a cursor on.
 * @param blocksPerGroup no block but the control block has a higher number
 * @throws LayerDamage when something in the way is damaged: what lies before it can be asked for by a shorter range
 */
export function historyPage(
  source: Stored,
  cursor: HistoryCursor,
  { to, upTo }: HistoryRange,
  blocksPerGroup: number,
): HistoryPage {
  const page = new PageWriter()
  const done = (block: number, after: Lsn): HistoryPage => {
    const end = after > 0 ? block + 1 : block
    return { next: { block, after }, bytes: page.finish(trimsIn(source, cursor.block, end, upTo)) }
  }
  const windowEnd = Math.min(to, cursor.block + BLOCKS_PER_PAGE)
  const blocks = [...blocksOf(source, cursor.block, Math.min(windowEnd, blocksPerGroup))]
  // Behind the last block there is only the control block.
  const end = windowEnd < blocksPerGroup ? windowEnd : to
  if (end === BLOCK_END) blocks.push(CONTROL_BLOCK)
  for (const block of blocks) {
    const entries: Uint8Array[] = []
    let bytes = 0
    let last = block === cursor.block ? cursor.after : ZERO_LSN
    const after = last
    for (const { bytes: from, view, at } of entriesOf(source, block, after, upTo)) {
      const own = lsn(entryLsn(view, at))
      // An image goes with the record that it has the LSN of.
      if (page.bytes + bytes >= PAGE_BYTES && own > last) {
        if (!page.isEmpty) return done(block, ZERO_LSN)
        page.addBlock(block, entries)
        return done(block, last)
      }
      const entry = from.subarray(at, at + entryLength(view, at))
      entries.push(entry)
      bytes += entry.length
      last = own
    }
    if (bytes > 0) page.addBlock(block, entries)
    if (after > 0) return done(block + 1, ZERO_LSN)
  }
  return done(end, ZERO_LSN)
}

/** What one page has of a block. */
export interface BlockHistory {
  readonly block: number
  /** Places of its entries in the page. */
  readonly entries: readonly number[]
}

export interface ReadPage {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly trims: readonly RangeTrim[]
  readonly blocks: readonly BlockHistory[]
}

const KINDS: ReadonlySet<number> = new Set([...Object.values(RecordKind), IMAGE])

/** Takes a page apart. @throws VolumeError `BadRequest` when it is not one of these blocks and LSNs */
export function readHistoryPage(bytes: Uint8Array, cursor: HistoryCursor, { to, upTo }: HistoryRange): ReadPage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const need = (holds: boolean): void => {
    if (!holds) throw new VolumeError('BadRequest', 'a page of history is malformed')
  }
  need(bytes.length >= 4)
  const count = view.getUint32(0, true)
  let at = 4 + count * RANGE_TRIM_BYTES
  need(at <= bytes.length)
  const trims = Array.from({ length: count }, (_, i) => readRangeTrim(view, 4 + i * RANGE_TRIM_BYTES))
  for (const trim of trims) {
    need(trim.first >= cursor.block && trim.first < trim.end && trim.end <= to && trim.lsn > 0 && trim.lsn <= upTo)
  }
  const blocks: BlockHistory[] = []
  for (let next = cursor.block; at < bytes.length; ) {
    need(at + PART_HEADER_BYTES <= bytes.length)
    const block = view.getUint32(at, true)
    const end = at + PART_HEADER_BYTES + view.getUint32(at + 4, true)
    need(block >= next && block < to && end <= bytes.length)
    next = block + 1
    const entries: number[] = []
    let last = block === cursor.block ? cursor.after : 0
    for (at += PART_HEADER_BYTES; at < end; at += entryLength(view, at)) {
      need(at + ENTRY_BYTES_MIN <= end && entryLength(view, at) >= ENTRY_BYTES_MIN)
      need(at + entryLength(view, at) <= end && entryLength(view, at) % 4 === 0)
      const [kind, own] = [entryKind(view, at), entryLsn(view, at)]
      need(KINDS.has(kind) && own <= upTo && (own > last || (own === last && kind === IMAGE && entries.length > 0)))
      need((block === CONTROL_BLOCK) === (kind === RecordKind.CONTROL))
      last = own
      entries.push(at)
    }
    blocks.push({ block, entries })
  }
  return { bytes, view, trims: joinTrims(trims), blocks }
}
