/** Keeps the indexes and open files of the layers of a whole node within bounds. */

/** What the cache holds: something that can close itself, and be opened again by its next use. */
export interface Cached {
  /** Set by each use; cleared by the cache when it spares the thing once. */
  touched: boolean
  close(): void
}

export interface LayerCacheLimits {
  /** Memory of indexes. */
  readonly bytesMax: number
  readonly filesMax: number
}

/** 256 MiB are the indexes of about 10 million groups: 80 GB of whole blocks. 512 files are half of the usual limit. */
const DEFAULT_LIMITS: LayerCacheLimits = { bytesMax: 256 << 20, filesMax: 512 }

/**
 * Least recently used, by the second-chance rule: a use only sets a flag, so that a read which finds its indexes
 * pays nothing for the order.
 */
export class LayerCache {
  readonly limits: LayerCacheLimits
  readonly #held = new Map<Cached, number>()
  #bytes = 0

  constructor(limits: Partial<LayerCacheLimits> = {}) {
    this.limits = { ...DEFAULT_LIMITS, ...limits }
  }

  get bytes(): number {
    return this.#bytes
  }
  get files(): number {
    return this.#held.size
  }

  /** Something was opened; others are closed when there are too many. It is never the one that is closed. */
  opened(thing: Cached, bytes: number): void {
    this.#held.set(thing, bytes)
    this.#bytes += bytes
    thing.touched = true
    while (this.#held.size > 1 && (this.#bytes > this.limits.bytesMax || this.#held.size > this.limits.filesMax)) {
      const [oldest, itsBytes] = this.#held.entries().next().value!
      this.#held.delete(oldest)
      if (oldest.touched || oldest === thing) {
        oldest.touched = false
        this.#held.set(oldest, itsBytes)
      } else {
        this.#bytes -= itsBytes
        oldest.close()
      }
    }
  }

  /** It closed itself. */
  closed(thing: Cached): void {
    this.#bytes -= this.#held.get(thing) ?? 0
    this.#held.delete(thing)
  }
}
