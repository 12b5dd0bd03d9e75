/**
 * What one operation changes, so that it can be sent as one mini-transaction, or be taken back when the device lets it
 * wait or refuses it. Nothing runs in between: an operation plans, appends and keeps (or undoes) in one turn.
 *
 * Metadata is changed in memory as the plan goes; `undo` brings back bytes and objects.
 */
import type { BlockNumber } from '../protocol/lsn.ts'
import type { Change } from './block-device.ts'

/** A block of metadata: the whole of it is in memory. */
export interface MetadataBlock {
  readonly number: BlockNumber
  readonly bytes: Uint8Array
  readonly view: DataView
}

export function metadataBlock(number: BlockNumber, bytes: Uint8Array): MetadataBlock {
  return { number, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
}

interface Overwritten {
  readonly block: MetadataBlock
  readonly offset: number
  readonly bytes: Uint8Array
}

export class Transaction {
  readonly #trims: Change[] = []
  readonly #data: Change[] = []
  readonly #blocks = new Set<MetadataBlock>()
  readonly #overwritten: Overwritten[] = []
  readonly #undo: (() => void)[] = []
  readonly #seal: (() => void)[] = []
  readonly #kept: (() => void)[] = []

  /** To be called before a part of a metadata block is changed. */
  edit(block: MetadataBlock, offset: number, length: number): void {
    this.#blocks.add(block)
    this.#overwritten.push({ block, offset, bytes: block.bytes.slice(offset, offset + length) })
  }

  /** `back` takes back what was just done in memory. */
  undoing(back: () => void): void {
    this.#undo.push(back)
  }

  /** `encode` is called once, before the changes are told: it may still edit metadata. */
  sealing(encode: () => void): void {
    this.#seal.push(encode)
  }

  /** `then` is called when the changes are appended. */
  keeping(then: () => void): void {
    this.#kept.push(then)
  }

  /** A block of a file. The bytes stay as they are until the operation has answered. */
  write(block: number, bytes: Uint8Array): void {
    this.#data.push({ block: block as BlockNumber, bytes })
  }

  /** These blocks become zeros. Nothing is written to them by this transaction. */
  trim(first: number, count: number): void {
    if (count > 0) this.#trims.push({ trim: first as BlockNumber, count })
  }

  /** All of it, trims first. */
  changes(): Change[] {
    for (const encode of this.#seal) encode()
    const changes = [...this.#trims, ...this.#data]
    for (const { number, bytes } of this.#blocks) changes.push({ block: number, bytes })
    return changes
  }

  keep(): void {
    for (const then of this.#kept) then()
  }

  undo(): void {
    for (let i = this.#overwritten.length - 1; i >= 0; i--) {
      const { block, offset, bytes } = this.#overwritten[i] as Overwritten
      block.bytes.set(bytes, offset)
    }
    for (let i = this.#undo.length - 1; i >= 0; i--) (this.#undo[i] as () => void)()
  }
}
