/** Where the chunks of one file lie, in the order of the file. About 100 bytes an extent in memory. */

export interface Extent {
  /** Its record in the extent table. */
  readonly slot: number
  logical: number
  physical: number
  count: number
}

export class ExtentMap {
  readonly #extents: Extent[] = []
  #chunks = 0
  /** Where the last search ended: reads and writes often go on where they were. */
  #last = 0

  /** Chunks of all extents. */
  get chunks(): number {
    return this.#chunks
  }

  get length(): number {
    return this.#extents.length
  }

  at(index: number): Extent | undefined {
    return this.#extents[index]
  }

  [Symbol.iterator](): Iterator<Extent> {
    return this.#extents[Symbol.iterator]()
  }

  /** The index of the first extent that ends behind `chunk`: the one that holds it, or the next one. */
  indexFrom(chunk: number): number {
    const extents = this.#extents
    const last = extents[this.#last]
    if (last !== undefined && chunk >= last.logical && chunk < last.logical + last.count) return this.#last
    let low = 0
    let high = extents.length
    while (low < high) {
      const middle = (low + high) >> 1
      const { logical, count } = extents[middle] as Extent
      if (logical + count <= chunk) low = middle + 1
      else high = middle
    }
    if (low < extents.length) this.#last = low
    return low
  }

  /** The chunk of the device behind a chunk of the file; undefined in a hole. */
  physical(chunk: number): number | undefined {
    const extent = this.#extents[this.indexFrom(chunk)]
    if (extent === undefined || extent.logical > chunk) return undefined
    return extent.physical + (chunk - extent.logical)
  }

  insert(extent: Extent): void {
    this.#extents.splice(this.indexFrom(extent.logical), 0, extent)
    this.#chunks += extent.count
  }

  remove(extent: Extent): void {
    const index = this.indexFrom(extent.logical)
    this.#extents.splice(index, 1)
    this.#chunks -= extent.count
  }

  /** Changes where an extent begins and ends; it stays between its neighbours. */
  reshape(extent: Extent, to: { readonly logical: number; readonly physical: number; readonly count: number }): void {
    this.#chunks += to.count - extent.count
    extent.logical = to.logical
    extent.physical = to.physical
    extent.count = to.count
  }
}
