/** A set of blocks, kept as the ranges that it is made of. */

/** Blocks [from, to). */
export interface BlockRange {
  readonly from: number
  readonly to: number
}

export class BlockRanges implements Iterable<BlockRange> {
  /** Ascending; no two touch. */
  #ranges: readonly BlockRange[] = []

  get isEmpty(): boolean {
    return this.#ranges.length === 0
  }

  [Symbol.iterator](): Iterator<BlockRange> {
    return this.#ranges[Symbol.iterator]()
  }

  /** The first range that reaches beyond `block`. */
  firstFrom(block: number): BlockRange | undefined {
    return this.#ranges.find(({ to }) => to > block)
  }

  /** Adds [from, to). @returns whether any of it is new */
  add(from: number, to: number): boolean {
    if (this.#ranges.some((range) => range.from <= from && to <= range.to)) return false
    const touching = this.#ranges.filter((range) => range.from <= to && range.to >= from)
    const joined = {
      from: Math.min(from, ...touching.map((range) => range.from)),
      to: Math.max(to, ...touching.map((range) => range.to)),
    }
    const others = this.#ranges.filter((range) => !touching.includes(range))
    this.#ranges = [...others, joined].sort((a, b) => a.from - b.from)
    return true
  }

  remove(from: number, to: number): void {
    this.#ranges = this.#ranges.flatMap((range) => {
      if (range.from >= to || range.to <= from) return [range]
      const left = { from: range.from, to: Math.min(range.to, from) }
      const right = { from: Math.max(range.from, to), to: range.to }
      return [left, right].filter((part) => part.from < part.to)
    })
  }

  clear(): void {
    this.#ranges = []
  }

  /** How many blocks below `end` are in the set. */
  count(end: number): number {
    return this.#ranges.reduce((sum, { from, to }) => sum + Math.max(0, Math.min(to, end) - from), 0)
  }
}
