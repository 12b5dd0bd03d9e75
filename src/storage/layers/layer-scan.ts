/**
 * Goes through the groups of one layer in order, reading large pieces of the file. Hot path of merges: half of their
 * time is the checksum of each group.
 */
import { CONTROL_BLOCK } from '../../protocol/lsn.ts'
import type { Chain } from './chain.ts'
import { entryLength } from './entry.ts'
import { BLOCK_END, GROUP_HEADER_BYTES, type LayerIndex } from './layer-file.ts'
import type { LayerReader } from './layer-reader.ts'
import { type LayerWriter, SLICE_BYTES } from './layer-writer.ts'

export class LayerScan {
  readonly index: LayerIndex
  /** The block of the next group; `BLOCK_END` when there is none. */
  block: number
  /** Bytes read from the disk since it was last set to 0. */
  bytesRead = 0
  readonly #reader: LayerReader
  readonly #end: number
  #g: number
  #piece: Uint8Array = new Uint8Array(0)
  #view = new DataView(this.#piece.buffer)
  /** The piece has the groups [#pieceFrom, #pieceTo). */
  #pieceFrom = 0
  #pieceTo = 0

  /** Goes through the blocks [from, to). */
  constructor(reader: LayerReader, from: number, to: number) {
    this.#reader = reader
    this.index = reader.index
    this.#g = this.index.lowerBound(from)
    this.#end = this.index.lowerBound(to)
    this.block = this.#g < this.#end ? this.index.block[this.#g]! : BLOCK_END
  }

  /** Bytes from the next group to the first one of block `to`. */
  bytesTo(to: number): number {
    return this.index.offset[Math.min(this.index.lowerBound(to), this.#end)]! - this.index.offset[this.#g]!
  }

  /** Copies the groups of the next block as they are. @throws VolumeError `Corrupt` */
  copyBlock(writer: LayerWriter): void {
    const { block, index } = this
    while (this.block === block) {
      const g = this.#g
      const group = this.#group()
      if (block === CONTROL_BLOCK) this.#entries(group, (bytes, view, at) => writer.append(block, bytes, view, at))
      else writer.appendGroup(block, group, index.firstLsn[g]!, index.crc[g]!, index.deltas[g]!, index.flags[g]!)
    }
  }

  /** Appends the entries of the next block one by one. @throws VolumeError `Corrupt` */
  appendBlock(writer: LayerWriter): void {
    const { block } = this
    while (this.block === block) {
      this.#entries(this.#group(), (bytes, view, at) => writer.append(block, bytes, view, at))
    }
  }

  /** Pushes the entries of the next block to `chain`, oldest first. @throws VolumeError `Corrupt` */
  pushBlock(chain: Chain): void {
    const { block } = this
    while (this.block === block) this.#entries(this.#group(), (bytes, view, at) => chain.push(bytes, view, at))
  }

  #entries(group: Uint8Array, each: (bytes: Uint8Array, view: DataView, at: number) => void): void {
    const base = group.byteOffset - this.#piece.byteOffset
    const end = base + group.length
    for (let at = base + GROUP_HEADER_BYTES; at < end; at += entryLength(this.#view, at))
      each(this.#piece, this.#view, at)
  }

  /** The next group, checked; goes on behind it. */
  #group(): Uint8Array {
    const g = this.#g
    const { offset, block } = this.index
    if (g >= this.#pieceTo || g < this.#pieceFrom) this.#read(g)
    const base = offset[this.#pieceFrom]!
    const group = this.#piece.subarray(offset[g]! - base, offset[g + 1]! - base)
    this.#reader.check(g, group)
    this.#g++
    this.block = this.#g < this.#end ? block[this.#g]! : BLOCK_END
    return group
  }

  #read(from: number): void {
    const { offset } = this.index
    let to = from + 1
    while (to < this.#end && offset[to + 1]! - offset[from]! <= SLICE_BYTES) to++
    this.#piece = this.#reader.readGroups(from, to)
    this.#view = new DataView(this.#piece.buffer, this.#piece.byteOffset, this.#piece.byteLength)
    this.#pieceFrom = from
    this.#pieceTo = to
    this.bytesRead += this.#piece.length
  }
}
