/**
 * Reading and writing files. Hot path: an aligned write into what is allocated is one change per block and nothing
 * else; measured in README.md.
 *
 * Times: a write that changes nothing but blocks keeps mtime and ctime in memory. They are stored with the next change
 * of the inode, and by the first write of every second of the clock: after a crash they may be a second behind. Reading
 * does not change atime.
 */
import type { Eventual } from './block-device.ts'
import { andThen, untilDone } from './eventual.ts'
import { FileBlocks, NO_EDGES } from './file-blocks.ts'
import { type AllocateMode, FILE_BYTES_MAX, FileType, WRITE_BYTES_MAX } from './file-operations.ts'
import { FileRemoval, stepExtentsMax } from './file-removal.ts'
import { FsError } from './fs-error.ts'
import type { Inode } from './inode.ts'
import { CHUNK_BYTES } from './layout.ts'
import type { Metadata } from './metadata.ts'
import type { Transaction } from './transaction.ts'
import { inLine } from './waiting-line.ts'

/** A read that writes overtake so often waits in line with them. */
const READ_TRIES = 3

export class FileContent {
  readonly removal: FileRemoval
  readonly #metadata: Metadata
  readonly #blocks: FileBlocks
  readonly #blockBytes: number
  readonly #extentsMax: number

  constructor(metadata: Metadata) {
    this.#metadata = metadata
    this.#blocks = new FileBlocks(metadata)
    this.removal = new FileRemoval(metadata)
    this.#blockBytes = metadata.blockBytes
    this.#extentsMax = stepExtentsMax(metadata.blockBytes)
  }

  // -------------------------------------------------------------- reading

  read(inode: Inode, offset: number, length: number): Eventual<Uint8Array> {
    checkRegular(inode)
    checkPosition(offset, length)
    return this.#read(inode, offset, length, READ_TRIES)
  }

  #read(inode: Inode, offset: number, length: number, tries: number): Eventual<Uint8Array> {
    checkAlive(inode)
    const end = Math.min(offset + length, inode.size)
    if (end <= offset) return new Uint8Array(0)
    const { version } = inode
    const range = this.#blocks.readRange(inode, offset, end)
    if (!(range instanceof Promise)) return range
    return range.then((bytes) => {
      if (inode.version === version && !inode.isFreed) return bytes
      if (tries > 0) return this.#read(inode, offset, length, tries - 1)
      return inLine(inode, () => this.#read(inode, offset, length, 0))
    })
  }

  // -------------------------------------------------------------- writing

  write(inode: Inode, offset: number, bytes: Uint8Array): Eventual<number> {
    checkRegular(inode)
    checkRange(offset, bytes.length)
    if (bytes.length > WRITE_BYTES_MAX)
      throw new FsError('EINVAL', `${bytes.length} bytes are more than one write takes`)
    if (bytes.length === 0) return 0
    // A Buffer's `slice` does not copy, an array's does: below here there are arrays only.
    const array = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    return inLine(inode, () =>
      andThen(this.#blocks.edges(inode, offset, offset + array.length), (edges) =>
        this.#metadata.change((transaction) => this.#write(transaction, inode, offset, array, edges)),
      ),
    )
  }

  #write(
    transaction: Transaction,
    inode: Inode,
    offset: number,
    bytes: Uint8Array,
    edges: ReadonlyMap<number, Uint8Array>,
  ): number {
    checkAlive(inode)
    const blockBytes = this.#blockBytes
    const end = offset + bytes.length
    const chunks = { first: Math.floor(offset / CHUNK_BYTES), end: Math.ceil(end / CHUNK_BYTES) }
    this.#metadata.extents.allocate(transaction, inode, chunks.first, chunks.end, Number.POSITIVE_INFINITY)
    for (let at = offset; at < end; ) {
      const block = Math.floor(at / blockBytes)
      const upTo = Math.min(end, (block + 1) * blockBytes)
      const piece = bytes.subarray(at - offset, upTo - offset)
      const edge = edges.get(block)
      edge?.set(piece, at - block * blockBytes)
      transaction.write(this.#blocks.place(inode, block) as number, edge ?? piece)
      at = upTo
    }
    this.#written(transaction, inode, end)
    return bytes.length
  }

  /** The content has changed, up to `end`. */
  #written(transaction: Transaction, inode: Inode, end: number): void {
    const now = this.#metadata.now()
    if (end > inode.size || now.seconds !== inode.storedSeconds) {
      this.#metadata.inodes.change(transaction, inode)
      inode.size = Math.max(inode.size, end)
      inode.mtime = now
      inode.ctime = now
    }
    transaction.keeping(() => {
      inode.mtime = now
      inode.ctime = now
      inode.version++
    })
  }

  // -------------------------------------------------------------- size

  /** Changes the size, and with it whatever else `also` changes of the inode. */
  resize(inode: Inode, size: number, also: () => void): Eventual<void> {
    checkRegular(inode)
    checkRange(size, 0)
    return inLine(inode, () => {
      checkAlive(inode)
      if (size < inode.size) return this.#truncate(inode, size, also)
      return this.#metadata.change((transaction) => this.#setSize(transaction, inode, size, also))
    })
  }

  #setSize(transaction: Transaction, inode: Inode, size: number, also: () => void): void {
    checkAlive(inode)
    this.#metadata.inodes.change(transaction, inode)
    const now = this.#metadata.now()
    inode.size = size
    inode.mtime = now
    inode.ctime = now
    also()
    transaction.keeping(() => {
      inode.version++
    })
  }

  /**
   * One mini-transaction cuts a file: what is too much to be freed in it becomes an orphan's. Only when it lies in more
   * extents than can be handed over at once the file becomes shorter in several steps.
   */
  #truncate(inode: Inode, size: number, also: () => void): Eventual<void> {
    const keep = Math.ceil(size / CHUNK_BYTES)
    const shortened = untilDone(() => {
      if (this.removal.fitsStep(inode, keep) || this.#canMove(inode, keep)) return true
      return andThen(
        this.#metadata.change((transaction) => this.removal.shorten(transaction, inode, keep)),
        () => false,
      )
    })
    const block = Math.floor(size / this.#blockBytes)
    const edge = () => (size % this.#blockBytes === 0 ? undefined : this.#blocks.read(inode, block))
    return andThen(andThen<void, Uint8Array | undefined>(shortened, edge), (last) => {
      last?.fill(0, size % this.#blockBytes)
      const cut = this.#metadata.change((transaction) => {
        if (last !== undefined) transaction.write(this.#blocks.place(inode, block) as number, last)
        this.#trim(transaction, inode, Math.ceil(size / this.#blockBytes), keep * this.#metadata.blocksPerChunk)
        const orphan = this.#cutFrom(transaction, inode, keep)
        this.#setSize(transaction, inode, size, also)
        return orphan
      })
      return andThen(cut, (orphan) => (orphan === undefined ? undefined : this.removal.reap(orphan)))
    })
  }

  #canMove(inode: Inode, keep: number): boolean {
    const { extents, inodes, space } = this.#metadata
    const isBounded = inode.extents.length - inode.extents.indexFrom(keep) < this.#extentsMax
    return isBounded && (space.free > 1 || (inodes.hasFree && extents.freeSlots > 1))
  }

  #cutFrom(transaction: Transaction, inode: Inode, keep: number): Inode | undefined {
    if (this.removal.fitsStep(inode, keep)) {
      this.removal.drop(transaction, inode, keep, Number.POSITIVE_INFINITY)
      return undefined
    }
    const { inodes, extents } = this.#metadata
    const orphan = inodes.create(transaction, FileType.REGULAR, inode, this.#metadata.now())
    orphan.links = 0
    orphan.size = inode.size
    extents.move(transaction, inode, keep, orphan)
    return orphan
  }

  /** The blocks [first, end) of a file become zeros and stay allocated. */
  #trim(transaction: Transaction, inode: Inode, first: number, end: number): void {
    const { blocksPerChunk } = this.#metadata
    const last = Math.min(end, Math.ceil(inode.size / this.#blockBytes))
    for (let block = first; block < last; ) {
      const extent = inode.extents.at(inode.extents.indexFrom(Math.floor(block / blocksPerChunk)))
      if (extent === undefined) return
      const from = Math.max(block, extent.logical * blocksPerChunk)
      const to = Math.min(last, (extent.logical + extent.count) * blocksPerChunk)
      transaction.trim((extent.physical - extent.logical) * blocksPerChunk + from, to - from)
      block = Math.max(block + 1, to)
    }
  }

  // -------------------------------------------------------------- fallocate

  allocate(inode: Inode, mode: AllocateMode, offset: number, length: number): Eventual<void> {
    checkRegular(inode)
    checkRange(offset, length)
    if (length === 0) throw new FsError('EINVAL', 'a range of no bytes')
    const end = offset + length
    const isPunching = mode === 'punch-hole'
    const isZeroing = isPunching || mode === 'zero-range' || mode === 'zero-range-keep-size'
    const isExtending = mode === 'allocate' || mode === 'zero-range'
    return inLine(inode, () => {
      checkAlive(inode)
      if (!isPunching) this.#checkSpace(inode, offset, end)
      // What is behind the end of the file is zeros already.
      const zeroEnd = end < inode.size ? end : Math.ceil(inode.size / this.#blockBytes) * this.#blockBytes
      const isInside = isZeroing && offset < zeroEnd
      const edges = isInside ? this.#blocks.edges(inode, offset, zeroEnd) : NO_EDGES
      return andThen(edges, (parts) => {
        let chunk = Math.floor(offset / CHUNK_BYTES)
        return untilDone(() =>
          this.#metadata.change((transaction) => {
            const stop = isZeroing
              ? this.#zeroStep(transaction, inode, { offset, end, zeroEnd, chunk, parts }, isPunching)
              : chunk
            const isZeroed = !isZeroing || stop * CHUNK_BYTES >= end
            const upTo = isPunching || !isZeroed ? stop * CHUNK_BYTES : this.#fill(transaction, inode, offset, end)
            this.#written(transaction, inode, isExtending ? Math.min(end, upTo) : 0)
            transaction.keeping(() => {
              chunk = stop
            })
            return isZeroed && upTo >= end
          }),
        )
      })
    })
  }

  #checkSpace(inode: Inode, offset: number, end: number): void {
    let missing = Math.ceil(end / CHUNK_BYTES) - Math.floor(offset / CHUNK_BYTES)
    for (let i = inode.extents.indexFrom(Math.floor(offset / CHUNK_BYTES)); i < inode.extents.length; i++) {
      const { logical, count } = inode.extents.at(i) ?? { logical: 0, count: 0 }
      const first = Math.max(logical, Math.floor(offset / CHUNK_BYTES))
      missing -= Math.max(0, Math.min(logical + count, Math.ceil(end / CHUNK_BYTES)) - first)
    }
    if (missing > this.#metadata.space.free) throw new FsError('ENOSPC', `${missing} chunks are not free`)
  }

  /** Allocates what fits into a step. @returns up to which byte all is allocated */
  #fill(transaction: Transaction, inode: Inode, offset: number, end: number): number {
    const first = Math.floor(offset / CHUNK_BYTES)
    const chunks = Math.ceil(end / CHUNK_BYTES)
    return this.#metadata.extents.allocate(transaction, inode, first, chunks, this.#extentsMax) * CHUNK_BYTES
  }

  /** Zeros from `chunk` on, as much as fits into a step. @returns the chunk to go on with */
  #zeroStep(
    transaction: Transaction,
    inode: Inode,
    range: {
      readonly offset: number
      readonly end: number
      readonly zeroEnd: number
      readonly chunk: number
      readonly parts: ReadonlyMap<number, Uint8Array>
    },
    isPunching: boolean,
  ): number {
    const { offset, end, zeroEnd, chunk, parts } = range
    const { blocksPerChunk } = this.#metadata
    const blockBytes = this.#blockBytes
    const stop = this.removal.stepTo(inode, chunk, Math.ceil(end / CHUNK_BYTES))
    for (const [block, part] of parts) {
      const place = this.#blocks.place(inode, block)
      const isInStep = block >= chunk * blocksPerChunk && block < stop * blocksPerChunk
      if (place === undefined || !isInStep) continue
      part.fill(0, Math.max(0, offset - block * blockBytes), Math.min(blockBytes, zeroEnd - block * blockBytes))
      transaction.write(place, part)
    }
    const firstBlock = Math.max(Math.ceil(offset / blockBytes), chunk * blocksPerChunk)
    const endBlock = Math.min(Math.floor(zeroEnd / blockBytes), stop * blocksPerChunk)
    if (!isPunching) {
      this.#trim(transaction, inode, firstBlock, endBlock)
      return stop
    }
    // Whole chunks are given back, and trimmed with that.
    const first = Math.max(Math.ceil(offset / CHUNK_BYTES), chunk)
    const last = Math.max(first, Math.min(Math.floor(end / CHUNK_BYTES), stop))
    this.#trim(transaction, inode, firstBlock, Math.min(endBlock, first * blocksPerChunk))
    this.#trim(transaction, inode, Math.max(firstBlock, last * blocksPerChunk), endBlock)
    this.removal.drop(transaction, inode, first, last)
    return stop
  }
}

function checkRegular(inode: Inode): void {
  if (inode.isRegular) return
  if (inode.isDirectory) throw new FsError('EISDIR', `inode ${inode.number} is a directory`)
  throw new FsError('EINVAL', `inode ${inode.number} is no regular file`)
}

function checkAlive(inode: Inode): void {
  if (inode.isFreed) throw new FsError('ENOENT', `inode ${inode.number} was removed`)
}

function checkPosition(offset: number, length: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new FsError('EINVAL', `no range of a file: ${length} bytes at ${offset}`)
  }
}

function checkRange(offset: number, length: number): void {
  checkPosition(offset, length)
  if (offset + length > FILE_BYTES_MAX) throw new FsError('EFBIG', `a file has at most ${FILE_BYTES_MAX} bytes`)
}
