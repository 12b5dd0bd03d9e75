/**
 * A directory in memory: entries by name, and in the order of their making. About 200 bytes an entry, with its name.
 *
 * The place of an entry in that order is stored with it and is the cookie of `readdir`: it stays over changes of the
 * directory and over restarts.
 */
import type { Transaction } from './transaction.ts'

export interface Entry {
  readonly name: string
  child: number
  readonly sequence: number
  /** Its record in the name table. */
  readonly at: number
  isGone: boolean
}

/** 1 and 2 are the cookies of `.` and `..`. */
const FIRST_SEQUENCE = 3
/** Fewer entries that are gone are not worth a new list. */
const GONE_MIN = 32

export class Directory {
  /** The directory it is in; the root is in itself. */
  parent: number
  /** With those that are gone, until they are swept out: see `#compact`. */
  #byName = new Map<string, Entry>()
  #inOrder: Entry[] = []
  #size = 0
  #nextSequence = FIRST_SEQUENCE

  constructor(parent: number) {
    this.parent = parent
  }

  get size(): number {
    return this.#size
  }

  get nextSequence(): number {
    return this.#nextSequence
  }

  get(name: string): Entry | undefined {
    const entry = this.#byName.get(name)
    return entry?.isGone ? undefined : entry
  }

  *entries(): Iterable<Entry> {
    for (const entry of this.#inOrder) if (!entry.isGone) yield entry
  }

  /** An entry that was found when the file system was attached; `sort` when all are there. */
  load(entry: Entry): void {
    this.#byName.set(entry.name, entry)
    this.#inOrder.push(entry)
    this.#size++
  }

  sort(): void {
    this.#inOrder.sort((a, b) => a.sequence - b.sequence)
    this.#nextSequence = (this.#inOrder.at(-1)?.sequence ?? FIRST_SEQUENCE - 1) + 1
  }

  add(transaction: Transaction, entry: Entry): void {
    const before = this.#byName.get(entry.name)
    const sequence = this.#nextSequence
    this.#byName.set(entry.name, entry)
    this.#inOrder.push(entry)
    this.#size++
    this.#nextSequence = entry.sequence + 1
    transaction.undoing(() => {
      if (before === undefined) this.#byName.delete(entry.name)
      else this.#byName.set(entry.name, before)
      this.#inOrder.pop()
      this.#size--
      this.#nextSequence = sequence
    })
  }

  remove(transaction: Transaction, entry: Entry): void {
    entry.isGone = true
    this.#size--
    transaction.undoing(() => {
      entry.isGone = false
      this.#size++
    })
    transaction.keeping(() => this.#compact())
  }

  /**
   * Sweeps out what is gone when it is half of all. Not one by one: deleting and setting the same key in a large Map
   * makes a chain that every access to it walks.
   */
  #compact(): void {
    const gone = this.#inOrder.length - this.#size
    if (gone < GONE_MIN || gone * 2 < this.#inOrder.length) return
    this.#inOrder = this.#inOrder.filter(({ isGone }) => !isGone)
    this.#byName = new Map(this.#inOrder.map((entry) => [entry.name, entry]))
  }

  /** Up to `count` entries behind a place in the order. */
  after(sequence: number, count: number): Entry[] {
    const entries: Entry[] = []
    let low = 0
    let high = this.#inOrder.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#inOrder[middle] as Entry).sequence <= sequence) low = middle + 1
      else high = middle
    }
    for (let i = low; i < this.#inOrder.length && entries.length < count; i++) {
      const entry = this.#inOrder[i] as Entry
      if (!entry.isGone) entries.push(entry)
    }
    return entries
  }
}
