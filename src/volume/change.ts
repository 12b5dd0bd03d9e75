/** What a program asks of a volume: the changes of one mini-transaction. */
import { VolumeError } from '../protocol/errors.ts'
import type { BlockNumber } from '../protocol/lsn.ts'

export type Change =
  /** The block's new content, all of it. */
  | { readonly block: BlockNumber; readonly bytes: Uint8Array }
  /** `count` blocks from `trim` on become zeros and take no room. */
  | { readonly trim: BlockNumber; readonly count: number }

/** Blocks are compared four bytes at a time. (A `slice` of a Buffer would be no copy.) */
export const aligned = (bytes: Uint8Array): Uint8Array => (bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes))

/** 128 TiB of 8 KiB blocks: where Aurora's volumes end. */
export const BLOCKS_MAX = 2 ** 34

/**
 * Blocks of one mini-transaction, in bytes: a storage node takes what one turn brings for a group as one message and
 * one entry of its log, both of at most 64 MiB.
 */
export const TRANSACTION_BYTES_MAX = 16 * 1024 * 1024

/** @throws VolumeError `BadRequest` when blocks lie outside, have another size, are too many, or are changed twice */
export function checkChanges(changes: readonly Change[], blockBytes: number): void {
  if (changes.length * blockBytes > TRANSACTION_BYTES_MAX) {
    throw new VolumeError('BadRequest', `a mini-transaction changes at most ${TRANSACTION_BYTES_MAX} bytes`)
  }
  const seen = changes.length > 1 ? new Set<BlockNumber>() : undefined
  for (const change of changes) {
    if ('trim' in change) checkTrim(change)
    else {
      checkBlock(change.block)
      if (change.bytes.length !== blockBytes) {
        throw new VolumeError('BadRequest', `a block has ${blockBytes} bytes, not ${change.bytes.length}`)
      }
      if (seen?.has(change.block)) {
        throw new VolumeError('BadRequest', `a mini-transaction changes block ${change.block} twice`)
      }
      seen?.add(change.block)
    }
  }
}

/** @throws VolumeError `BadRequest` */
export function checkBlock(block: number): void {
  if (Number.isSafeInteger(block) && block >= 0 && block < BLOCKS_MAX) return
  throw new VolumeError('BadRequest', `block ${block} is not one of the ${BLOCKS_MAX} of a volume`)
}

function checkTrim({ trim, count }: { readonly trim: number; readonly count: number }): void {
  checkBlock(trim)
  if (Number.isSafeInteger(count) && count >= 1 && trim + count <= BLOCKS_MAX) return
  throw new VolumeError('BadRequest', `${count} blocks from ${trim} on cannot be trimmed`)
}
