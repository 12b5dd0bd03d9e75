/**
 * Torn pages must not reach the log: an engine that runs without full-page writes or doublewrite trusts that a page is
 * written whole or not at all. With direct I/O one write(2) of whole pages arrives as whole pages, wherever its source
 * lies, as far as one request goes: one that touches more than 256 pages of memory (1 MiB, less when the source is not
 * aligned) is cut by the kernel wherever that limit falls. Here such a piece is answered *short*, at the last page that is whole, so that the
 * kernel returns a short write and the engine goes on with the page from its first byte, as POSIX asks of it. What
 * cannot be shortened to a page is refused.
 *
 * Hot path: one call per write.
 */
import type { Ino } from '../filesystem/file-operations.ts'

/** The size of the pages a file is only ever written in; undefined when it is not such a file. */
export type PageBytesOf = (file: Ino) => number | undefined

export interface WriteCounts {
  writes: number
  bytes: number
  /** Writes by size: index `n` counts those of more than 2^(n-1) and up to 2^n bytes; index 20 is 1 MiB. */
  readonly bySize: Uint32Array
  /** Writes that begin and end at a multiple of 512, 4 KiB, 8 KiB, 16 KiB; each counts at the largest only. */
  readonly byAlignment: Uint32Array
  /** Writes from the page cache: of a mapping, or of a file without direct I/O. */
  fromCache: number
  /** Writes to files of pages. */
  toPages: number
  /** Of those, the ones that were not whole pages. */
  fragments: number
  shortened: number
  refused: number
}

/** From the smallest; index 0 of the counter is for what is not even aligned to the first. */
const ALIGNMENTS = [512, 4096, 8192, 16_384] as const

export class PageWrites {
  readonly counts: WriteCounts = {
    writes: 0,
    bytes: 0,
    bySize: new Uint32Array(21),
    byAlignment: new Uint32Array(ALIGNMENTS.length + 1),
    fromCache: 0,
    toPages: 0,
    fragments: 0,
    shortened: 0,
    refused: 0,
  }
  readonly #pageBytesOf: PageBytesOf | undefined

  constructor(pageBytesOf: PageBytesOf | undefined) {
    this.#pageBytesOf = pageBytesOf
  }

  /** How many of the bytes may be written: all, down to the end of the last whole page, or 0 to refuse them. */
  allow(file: Ino, offset: number, length: number, fromCache: boolean): number {
    this.#count(offset, length, fromCache)
    const pageBytes = this.#pageBytesOf?.(file)
    if (pageBytes === undefined) return length
    this.counts.toPages++
    if (length === 0 || (offset % pageBytes === 0 && length % pageBytes === 0)) return length
    this.counts.fragments++
    const whole = length - (length % pageBytes)
    // The kernel takes a short answer to a write from the cache for an error, and so it would be one without a reason.
    if (whole === 0 || offset % pageBytes !== 0 || fromCache) {
      this.counts.refused++
      return 0
    }
    this.counts.shortened++
    return whole
  }

  #count(offset: number, length: number, fromCache: boolean): void {
    const { counts } = this
    counts.writes++
    counts.bytes += length
    if (fromCache) counts.fromCache++
    counts.bySize[length <= 1 ? 0 : 32 - Math.clz32(length - 1)]!++
    let alignment = 0
    while (
      alignment < ALIGNMENTS.length &&
      offset % ALIGNMENTS[alignment]! === 0 &&
      length % ALIGNMENTS[alignment]! === 0
    ) {
      alignment++
    }
    counts.byAlignment[alignment]!++
  }
}
