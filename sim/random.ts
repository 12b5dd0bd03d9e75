/**
 * The simulator's only source of chance: xoshiro128** (Blackman and Vigna, 2018), seeded through splitmix32.
 *
 * Each actor and each kind of fault draws from a `fork` of its own, so that one more draw in one place does not change
 * what happens in all others.
 */
export class Random {
  #a: number
  #b: number
  #c: number
  #d: number

  constructor(seed: number) {
    let state = seed >>> 0
    // splitmix32: neighbouring seeds give unlike states, and never all zeros.
    const next = (): number => {
      state = (state + 0x9e3779b9) | 0
      let z = state ^ (state >>> 16)
      z = Math.imul(z, 0x21f0aaad)
      z ^= z >>> 15
      z = Math.imul(z, 0x735a2d97)
      return z ^ (z >>> 15)
    }
    this.#a = next()
    this.#b = next()
    this.#c = next()
    this.#d = next() | 1
  }

  /** A stream of its own, the same for the same name at the same point of this stream. */
  fork(name: string): Random {
    let hash = this.u32()
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
    return new Random(hash)
  }

  u32(): number {
    const product = Math.imul(this.#b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9)
    const t = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= t
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result >>> 0
  }

  /** From 0 up to, not including, 1, in steps of 2^-32. */
  fraction(): number {
    return this.u32() / 0x1_0000_0000
  }

  /** An integer from 0 up to, not including, `bound`. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound)
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** Like `between`, but each order of magnitude is as likely as the next: for sizes, rates and delays. */
  magnitude(low: number, high: number): number {
    return Math.round(Math.exp(Math.log(low) + this.fraction() * (Math.log(high) - Math.log(low))))
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError('nothing to pick from')
    return items[this.below(items.length)] as T
  }

  /** A key of `weights`, as often as its share of their sum. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const keys = Object.keys(weights) as K[]
    let rest = this.fraction() * keys.reduce((sum, key) => sum + weights[key], 0)
    for (const key of keys) {
      rest -= weights[key]
      if (rest < 0) return key
    }
    const last = keys.findLast((key) => weights[key] > 0)
    if (last === undefined) throw new RangeError('all weights are zero')
    return last
  }

  /** A copy in random order. */
  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items]
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const kept = result[i] as T
      result[i] = result[j] as T
      result[j] = kept
    }
    return result
  }

  /** Each item with the same probability. */
  subset<T>(items: readonly T[], probability = 0.5): T[] {
    return items.filter(() => this.chance(probability))
  }

  fill(bytes: Uint8Array): Uint8Array {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.u32() & 0xff
    return bytes
  }
}
