/**
 * What a volume of the process tests has to look like: its content is a function of the numbers of the
 * mini-transactions that it holds, and of the epochs that wrote them, so that every block proves which they are.
 *
 * Mini-transaction n puts n into block 0, and changes a few other blocks: one stripe each, or the whole block; now and
 * then it trims a few. Every block that it writes begins with n, the epoch, the block and the seed.
 */
import { Random } from '../sim/random.ts'
import { blockNumber } from '../src/protocol/lsn.ts'
import type { Change } from '../src/volume/change.ts'
import type { VolumeGeometry } from '../src/volume/volumes.ts'

/** Three groups, so that most mini-transactions span several. */
export const LEDGER_GEOMETRY: VolumeGeometry = { blockBytes: 4096, blocksPerGroup: 64 }
export const LEDGER_BLOCKS = 192

const { blockBytes } = LEDGER_GEOMETRY
const GRANULE_BYTES = 16
const STRIPE_GRANULES_MAX = 32
const TRIM_BLOCKS_MAX = 8
const ZEROS = new Uint8Array(blockBytes)

/** The first granule of a block that was written: by which mini-transaction, of which epoch. */
export function writtenBy(bytes: Uint8Array): { readonly number: number; readonly epoch: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return { number: view.getUint32(0, true), epoch: view.getUint32(4, true) }
}

export class LedgerImage {
  readonly seed: number
  /** The last mini-transaction it holds. */
  number = 0
  readonly #blocks = new Map<number, Uint8Array>()
  /** The mini-transaction that changed a block last. */
  readonly #changedBy = new Map<number, number>()

  constructor(seed: number) {
    this.seed = seed
  }

  /** Lent: valid until the next change. */
  block(block: number): Uint8Array {
    return this.#blocks.get(block) ?? ZEROS
  }

  changedBy(block: number): number {
    return this.#changedBy.get(block) ?? 0
  }

  /** Takes over what a volume holds. */
  load(block: number, bytes: Uint8Array): void {
    if (bytes.every((byte) => byte === 0)) this.#blocks.delete(block)
    else this.#blocks.set(block, bytes.slice())
    if (block === 0) this.number = writtenBy(bytes).number
  }

  /** Goes on by one mini-transaction. @returns its changes, whose bytes are lent until the next one */
  apply(number: number, epoch: number): Change[] {
    if (number !== this.number + 1) throw new Error(`mini-transaction ${number} behind ${this.number}`)
    this.number = number
    const random = new Random(Math.imul(number, 0x9e37_79b1) ^ Math.imul(epoch, 0x85eb_ca6b) ^ this.seed)
    const changes: Change[] = []
    if (random.chance(1 / 32)) changes.push(this.#trim(random))
    const blocks = new Set([0])
    for (let count = random.between(1, 4); count > 0; count--) blocks.add(this.#anyBlock(random))
    for (const block of blocks) changes.push(this.#write(random, block, epoch))
    return changes
  }

  /** A quarter of the blocks take three quarters of the changes. */
  #anyBlock(random: Random): number {
    const hot = random.chance(0.75)
    return 1 + random.below(hot ? Math.floor(LEDGER_BLOCKS / 4) : LEDGER_BLOCKS - 1)
  }

  #trim(random: Random): Change {
    const count = random.between(1, TRIM_BLOCKS_MAX)
    const first = random.between(1, LEDGER_BLOCKS - count)
    for (let block = first; block < first + count; block++) {
      this.#blocks.delete(block)
      this.#changedBy.set(block, this.number)
    }
    return { trim: blockNumber(first), count }
  }

  #write(random: Random, block: number, epoch: number): Change {
    let bytes = this.#blocks.get(block)
    if (bytes === undefined) {
      bytes = new Uint8Array(blockBytes)
      this.#blocks.set(block, bytes)
    }
    this.#changedBy.set(block, this.number)
    const granules = blockBytes / GRANULE_BYTES
    const whole = random.chance(1 / 16)
    const count = whole ? granules - 1 : random.between(1, STRIPE_GRANULES_MAX)
    const first = whole ? 1 : random.between(1, granules - count)
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, blockBytes / 4)
    words.set([this.number, epoch, block, this.seed])
    for (let word = first * 4; word < (first + count) * 4; word++) words[word] = random.u32()
    return { block: blockNumber(block), bytes }
  }
}
