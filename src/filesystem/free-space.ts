/**
 * What is free of the address space, in chunks: a buddy allocator, kept in memory only (derived from the extents when a
 * file system is attached). The smallest piece that fits is split, the lowest first, so that a small file system stays
 * in few protection groups.
 */

/** A piece of 2^31 chunks of 64 KiB is 128 TiB: all there can be. */
const ORDERS = 32

export interface ChunkRange {
  readonly first: number
  readonly count: number
}

/** What is gone is swept out when it is more than what is there, and this. */
const GONE_MIN = 64

/**
 * Starts of the free pieces of one size, the lowest first. Those that are gone stay, marked, until they are swept out:
 * deleting and adding the same key in a large Map makes it slower with every time.
 */
class FreePieces {
  #isFree = new Map<number, boolean>()
  #heap: number[] = []
  #size = 0

  has(start: number): boolean {
    return this.#isFree.get(start) === true
  }

  get empty(): boolean {
    return this.#size === 0
  }

  add(start: number): void {
    this.#isFree.set(start, true)
    this.#size++
    const heap = this.#heap
    let at = heap.push(start) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      if ((heap[up] as number) <= start) break
      heap[at] = heap[up] as number
      at = up
    }
    heap[at] = start
  }

  remove(start: number): void {
    this.#isFree.set(start, false)
    this.#size--
    if (Math.max(this.#heap.length, this.#isFree.size) > 2 * this.#size + GONE_MIN) this.#sweep()
  }

  #sweep(): void {
    // A sorted array is a heap.
    this.#heap = [...this].sort((a, b) => a - b)
    this.#isFree = new Map(this.#heap.map((start) => [start, true]))
  }

  /** The lowest, taken out. */
  take(): number {
    for (;;) {
      const lowest = this.#pop()
      if (!this.has(lowest)) continue
      this.remove(lowest)
      return lowest
    }
  }

  #pop(): number {
    const heap = this.#heap
    const top = heap[0] as number
    const last = heap.pop() as number
    const size = heap.length
    if (size === 0) return top
    let at = 0
    for (;;) {
      let down = 2 * at + 1
      if (down >= size) break
      if (down + 1 < size && (heap[down + 1] as number) < (heap[down] as number)) down++
      if ((heap[down] as number) >= last) break
      heap[at] = heap[down] as number
      at = down
    }
    heap[at] = last
    return top
  }

  *[Symbol.iterator](): Iterator<number> {
    for (const [start, isFree] of this.#isFree) if (isFree) yield start
  }
}

export class FreeSpace {
  readonly #pieces = Array.from({ length: ORDERS }, () => new FreePieces())
  #free = 0

  /** Chunks that are free. */
  get free(): number {
    return this.#free
  }

  /**
   * Takes up to `wanted` chunks that lie together: from `goal` on when that is free, else where they fit best, else the
   * largest piece there is. Undefined when nothing is free.
   */
  allocate(wanted: number, goal?: number): ChunkRange | undefined {
    const { piece, order } = this.#atGoal(goal) ?? this.#bestFit(wanted) ?? {}
    if (piece === undefined || order === undefined) return undefined
    const size = 2 ** order
    const first = goal !== undefined && goal >= piece && goal < piece + size ? goal : piece
    const count = Math.min(wanted, piece + size - first)
    this.#free -= size
    this.#addAligned(piece, first - piece)
    this.#addAligned(first + count, piece + size - first - count)
    return { first, count }
  }

  #atGoal(goal: number | undefined): { piece: number; order: number } | undefined {
    if (goal === undefined) return undefined
    for (let order = 0; order < ORDERS; order++) {
      const piece = goal - (goal % 2 ** order)
      const pieces = this.#pieces[order] as FreePieces
      if (!pieces.has(piece)) continue
      pieces.remove(piece)
      return { piece, order }
    }
    return undefined
  }

  #bestFit(wanted: number): { piece: number; order: number } | undefined {
    const fitting = Math.ceil(Math.log2(wanted))
    for (let order = fitting; order < ORDERS; order++) {
      const pieces = this.#pieces[order] as FreePieces
      if (!pieces.empty) return { piece: pieces.take(), order }
    }
    for (let order = Math.min(fitting, ORDERS) - 1; order >= 0; order--) {
      const pieces = this.#pieces[order] as FreePieces
      if (!pieces.empty) return { piece: pieces.take(), order }
    }
    return undefined
  }

  /** Gives back what was allocated, in any parts. */
  release(first: number, count: number): void {
    this.#addAligned(first, count)
  }

  #addAligned(start: number, count: number): void {
    let first = start
    let left = count
    while (left > 0) {
      let order = Math.floor(Math.log2(left))
      while (first % 2 ** order !== 0) order--
      this.#addPiece(first, order)
      first += 2 ** order
      left -= 2 ** order
    }
    this.#free += count
  }

  #addPiece(start: number, startOrder: number): void {
    let piece = start
    let order = startOrder
    for (; order < ORDERS - 1; order++) {
      const size = 2 ** order
      const buddy = (piece / size) % 2 === 0 ? piece + size : piece - size
      const pieces = this.#pieces[order] as FreePieces
      if (!pieces.has(buddy)) break
      pieces.remove(buddy)
      piece = Math.min(piece, buddy)
    }
    const pieces = this.#pieces[order] as FreePieces
    pieces.add(piece)
  }

  /** All that is free, in no order. */
  *ranges(): Iterable<ChunkRange> {
    for (let order = 0; order < ORDERS; order++) {
      for (const first of this.#pieces[order] as FreePieces) yield { first, count: 2 ** order }
    }
  }
}
