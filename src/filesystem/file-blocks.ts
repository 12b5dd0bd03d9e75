/**
 * The blocks of files: where they lie, reading them, and what is at their edges.
 *
 * Two rules hold at every LSN. A block of the device that is not below the end of a file is zeros: so a file that grows
 * shows zeros without anything being written, and allocating more than is needed costs nothing. A chunk that no extent
 * holds is a hole: it is read without the device.
 */
import type { BlockNumber } from '../protocol/lsn.ts'
import type { Eventual } from './block-device.ts'
import { andThen } from './eventual.ts'
import { posixError } from './fs-error.ts'
import type { Inode } from './inode.ts'
import type { Metadata } from './metadata.ts'

export const NO_EDGES: ReadonlyMap<number, Uint8Array> = new Map()

const failed = (error: unknown): never => {
  throw posixError(error)
}

export class FileBlocks {
  readonly #metadata: Metadata
  readonly #blockBytes: number
  readonly #blocksPerChunk: number

  constructor(metadata: Metadata) {
    this.#metadata = metadata
    this.#blockBytes = metadata.blockBytes
    this.#blocksPerChunk = metadata.blocksPerChunk
  }

  /** The block of the device behind a block of a file; undefined in a hole. */
  place(inode: Inode, block: number): BlockNumber | undefined {
    const chunk = Math.floor(block / this.#blocksPerChunk)
    const physical = inode.extents.physical(chunk)
    if (physical === undefined) return undefined
    return (physical * this.#blocksPerChunk + (block % this.#blocksPerChunk)) as BlockNumber
  }

  /** A block of a file, or undefined when it is zeros for certain: in a hole, or behind the end. */
  read(inode: Inode, block: number): Eventual<Uint8Array> | undefined {
    if (block * this.#blockBytes >= inode.size) return undefined
    const place = this.place(inode, block)
    if (place === undefined) return undefined
    try {
      const answer = this.#metadata.device.read(place)
      return answer instanceof Promise ? answer.catch(failed) : answer
    } catch (error) {
      return failed(error)
    }
  }

  /** The bytes [from, to) of a file, which lie below its end. */
  readRange(inode: Inode, from: number, to: number): Eventual<Uint8Array> {
    const blockBytes = this.#blockBytes
    const first = Math.floor(from / blockBytes)
    const end = Math.ceil(to / blockBytes)
    if (end - first === 1) {
      const within = (bytes: Uint8Array) => bytes.subarray(from - first * blockBytes, to - first * blockBytes)
      const block = this.read(inode, first)
      return block === undefined ? new Uint8Array(to - from) : andThen(block, within)
    }
    const range = new Uint8Array(to - from)
    const put = (block: number, bytes: Uint8Array): void => {
      const at = block * blockBytes
      const start = Math.max(from, at)
      range.set(bytes.subarray(start - at, Math.min(to, at + blockBytes) - at), start - from)
    }
    const waits: Promise<void>[] = []
    for (let block = first; block < end; block++) {
      const bytes = this.read(inode, block)
      if (bytes instanceof Promise) waits.push(bytes.then((read) => put(block, read)))
      else if (bytes !== undefined) put(block, bytes)
    }
    return waits.length === 0 ? range : Promise.all(waits).then(() => range)
  }

  /**
   * The blocks at the two ends of [from, to) that are changed in part only, with what they hold now; the caller may
   * change it. Blocks behind the end of the file, or covered up to it, need no reading.
   */
  edges(inode: Inode, from: number, to: number): Eventual<ReadonlyMap<number, Uint8Array>> {
    const blockBytes = this.#blockBytes
    if (from % blockBytes === 0 && to % blockBytes === 0) return NO_EDGES
    const edges = new Map<number, Uint8Array>()
    const waits: Promise<void>[] = []
    const add = (block: number): void => {
      const at = block * blockBytes
      const isWhole = from <= at && to >= Math.min(at + blockBytes, inode.size)
      const bytes = isWhole ? undefined : this.read(inode, block)
      if (bytes instanceof Promise) waits.push(bytes.then((read) => void edges.set(block, read)))
      else edges.set(block, bytes ?? new Uint8Array(blockBytes))
    }
    if (from % blockBytes !== 0) add(Math.floor(from / blockBytes))
    const last = Math.floor(to / blockBytes)
    if (to % blockBytes !== 0 && (from % blockBytes === 0 || last !== Math.floor(from / blockBytes))) add(last)
    return waits.length === 0 ? edges : Promise.all(waits).then(() => edges)
  }
}
