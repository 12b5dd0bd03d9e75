/** Writes a frozen memtable into layers. */
import { invariant, VolumeError } from '../../protocol/errors.ts'
import { CONTROL_BLOCK, lsn } from '../../protocol/lsn.ts'
import { RecordKind } from '../../protocol/record.ts'
import { inOrder } from './block-order.ts'
import { Chain } from './chain.ts'
import { entryKind, entryLsn, entryVisibleFrom } from './entry.ts'
import { BLOCK_END } from './layer-file.ts'
import type { LayerEdit, LayerRef } from './layer-ref.ts'
import type { LayerSet } from './layer-set.ts'
import { LAYER_TARGET_BYTES, LayerWriter } from './layer-writer.ts'
import { DELTAS_MAX, type Memtable } from './memtable.ts'
import { type ParentRead, readVersion } from './read-block.ts'

/** Blocks between two yields where little is written: each costs a microsecond or two. */
const BLOCKS_PER_SLICE = 256
/** An image costs a read. */
const IMAGE_WEIGHT = 20

export interface FlushSetting {
  /** Frozen, and all of it at or below the durable point: what is in layers is never truncated. */
  readonly memtable: Memtable
  readonly layers: LayerSet
  readonly parentRead?: ParentRead | undefined
  /**
   * What an image would be made of cannot be read now: there is none, and a later flush makes up for it. Without this,
   * the flush fails.
   */
  readonly unreadable?: (error: VolumeError) => void
  /** All records of the segment up to here are in layers or in the memtable. Default: the memtable's last record. */
  readonly flushedTo?: number
}

/**
 * Writes the delta layers of a memtable. Yields after each slice of work of about a millisecond; one step with a sync
 * may take longer. Ending it early (`return()`, or an error) removes what was written.
 * @returns the edit to install: after that the memtable can go.
 * @throws VolumeError `DiskFull`, and `Corrupt` where an image needs a base that is damaged.
 */
export function* flush(setting: FlushSetting): Generator<void, LayerEdit> {
  const { memtable, layers, parentRead } = setting
  invariant(memtable.state === 'frozen', 'flush of a memtable that is not frozen')
  const flushedTo = Math.max(setting.flushedTo ?? 0, memtable.maxLsn)
  if (memtable.entries === 0) return { add: [], hide: [], flushedTo }
  invariant(memtable.minLsn > layers.flushedTo, () => `flush of ${memtable.minLsn} above ${layers.flushedTo}`)

  const source = { memtables: [memtable], layers, parentRead }
  const { disk, folder, blockBytes } = layers.setting
  const targetBytes = layers.setting.layerBytes ?? LAYER_TARGET_BYTES
  const begin = (): LayerWriter => {
    const head = { id: layers.takeId(), kind: 'delta', level: 0, lo: layers.flushedTo, hi: flushedTo } as const
    return new LayerWriter(disk, folder, layers.setting, head)
  }
  const written: LayerWriter[] = []
  const add: LayerRef[] = []
  const chain = new Chain()
  let done = false
  try {
    let writer = begin()
    written.push(writer)
    let fromBlock = 0
    let sinceYield = 0
    for (const block of yield* inOrder(memtable.blockNumbers(), memtable.blocks)) {
      if (writer.bytes >= targetBytes) {
        writer.endBlock()
        add.push(yield* writer.finish(memtable.rangeTrims, fromBlock, block))
        writer = begin()
        written.push(writer)
        fromBlock = block
      }
      memtable.all(block, chain)
      const isOnTop = block !== CONTROL_BLOCK && isDelta(chain, chain.length - 1)
      let run = isOnTop ? (readable(setting, () => layers.depth(block)) ?? 0) : 0
      for (let i = chain.length - 1; i >= 0; i--) {
        const view = chain.views[i]!
        const at = chain.at[i]!
        writer.append(block, chain.bytes[i]!, view, at)
        run = isDelta(chain, i) ? run + 1 : 0
        if (run > DELTAS_MAX && !(i > 0 && entryLsn(chain.views[i - 1]!, chain.at[i - 1]!) === entryLsn(view, at))) {
          const version = entryLsn(view, at)
          const below = readable(setting, () => readVersion(source, block, lsn(version)))
          if (below !== undefined) {
            const toCpl = entryVisibleFrom(view, at) - version
            writer.appendImage(block, version, toCpl, below.bytes ?? zeros(blockBytes))
          }
          run = 0
          sinceYield += IMAGE_WEIGHT
        }
      }
      chain.clear()
      if (++sinceYield >= BLOCKS_PER_SLICE || writer.takeWritten() > 0) {
        sinceYield = 0
        yield
      }
    }
    add.push(yield* writer.finish(memtable.rangeTrims, fromBlock, BLOCK_END))
    done = true
    return { add, hide: [], flushedTo }
  } finally {
    if (!done) for (const writer of written) writer.discard()
  }
}

/** What a read answers; undefined when it fails, and the flush goes on without. */
function readable<T>({ unreadable }: FlushSetting, read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (unreadable === undefined || !(error instanceof VolumeError) || error.family !== 'operation') throw error
    unreadable(error)
    return undefined
  }
}

const isDelta = (chain: Chain, i: number): boolean => entryKind(chain.views[i]!, chain.at[i]!) === RecordKind.DELTA
const zeros = (bytes: number): Uint8Array => new Uint8Array(bytes)
