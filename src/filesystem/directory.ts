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
  readonly #byName = new Map<string, Entry>()
  #inOrder: Entry[] = []
  #gone = 0
  #nextSequence = FIRST_SEQUENCE

  constructor(parent: number) {
    this.parent = parent
  }

  get size(): number {
    return this.#byName.size
  }

  get nextSequence(): number {
    return this.#nextSequence
  }

  get(name: string): Entry | undefined {
    return this.#byName.get(name)
  }

  entries(): Iterable<Entry> {
    return this.#byName.values()
  }

  /** An entry that was found when the file system was attached; `sort` when all are there. */
  load(entry: Entry): void {
    this.#byName.set(entry.name, entry)
    this.#inOrder.push(entry)
  }

  sort(): void {
    this.#inOrder.sort((a, b) => a.sequence - b.sequence)
    this.#nextSequence = (this.#inOrder.at(-1)?.sequence ?? FIRST_SEQUENCE - 1) + 1
  }

  add(transaction: Transaction, entry: Entry): void {
    this.#byName.set(entry.name, entry)
    this.#inOrder.push(entry)
    this.#nextSequence = entry.sequence + 1
    transaction.undoing(() => {
      this.#byName.delete(entry.name)
      this.#inOrder.pop()
      this.#nextSequence = entry.sequence
    })
  }

  remove(transaction: Transaction, entry: Entry): void {
    this.#byName.delete(entry.name)
    entry.isGone = true
    this.#gone++
    transaction.undoing(() => {
      this.#byName.set(entry.name, entry)
      entry.isGone = false
      this.#gone--
    })
    transaction.keeping(() => this.#compact())
  }

  #compact(): void {
    if (this.#gone < GONE_MIN || this.#gone * 2 < this.#inOrder.length) return
    this.#inOrder = this.#inOrder.filter(({ isGone }) => !isGone)
    this.#gone = 0
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
