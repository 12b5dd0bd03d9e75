/**
 * Lays the entries of one batch into pages and writes them. Hot path: every byte a node acknowledges goes through
 * here once: one copy into the aligned buffer, one checksum for each page, one durable write (several for a batch
 * larger than the buffer). The buffer is reused, and no object is made for a page.
 */
import type { DiskFile } from './disk.ts'
import type { LiveFile } from './log-files.ts'
import { PAGE_HEADER_BYTES, type PageHeader, sealPage } from './log-page.ts'

/** Each entry is preceded by its length. */
export const ENTRY_HEADER_BYTES = 4

export class BatchWriter {
  readonly #buffer: Uint8Array
  readonly #view: DataView
  readonly #pageBytes: number
  /** The header of the page being filled; the only one there is. */
  readonly #header: { -readonly [K in keyof PageHeader]: PageHeader[K] }
  #file: DiskFile | undefined
  /** Where the page being filled begins in the buffer, and the next free byte in it. */
  #pageAt = 0
  #at = 0
  /** Where the buffer's first byte goes in the file. */
  #bufferOffset = 0

  /** @param buffer aligned for durable writes, a multiple of `pageBytes` */
  constructor(buffer: Uint8Array, pageBytes: number, nodeTag: number) {
    this.#buffer = buffer
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    this.#pageBytes = pageBytes
    this.#header = {
      nodeTag,
      file: 0,
      slot: 0,
      page: 0,
      sequence: 0,
      indexInBatch: 0,
      skipped: 0,
      last: false,
      payloadBytes: 0,
    }
  }

  begin(file: LiveFile, page: number, sequence: number, skipped: number): void {
    const header = this.#header
    header.file = file.number
    header.slot = file.slot
    header.page = page
    header.sequence = sequence
    header.indexInBatch = 0
    header.skipped = skipped
    header.last = false
    this.#file = file.handle
    this.#bufferOffset = page * this.#pageBytes
    this.#pageAt = 0
    this.#at = PAGE_HEADER_BYTES
  }

  /** Begins an entry; answers where in the file its first byte will be. */
  beginEntry(length: number): number {
    if (this.#at + ENTRY_HEADER_BYTES <= this.#pageAt + this.#pageBytes) {
      this.#view.setUint32(this.#at, length, true)
      this.#at += ENTRY_HEADER_BYTES
    } else {
      this.put(Uint8Array.of(length, length >>> 8, length >>> 16, length >>> 24))
    }
    const full = this.#at === this.#pageAt + this.#pageBytes
    return this.#bufferOffset + (full ? this.#at + PAGE_HEADER_BYTES : this.#at)
  }

  put(bytes: Uint8Array): void {
    const room = this.#pageAt + this.#pageBytes - this.#at
    if (bytes.length <= room) {
      this.#buffer.set(bytes, this.#at)
      this.#at += bytes.length
      return
    }
    let from = 0
    while (from < bytes.length) {
      let free = this.#pageAt + this.#pageBytes - this.#at
      if (free === 0) {
        this.#nextPage()
        free = this.#pageBytes - PAGE_HEADER_BYTES
      }
      const to = Math.min(bytes.length, from + free)
      this.#buffer.set(bytes.subarray(from, to), this.#at)
      this.#at += to - from
      from = to
    }
  }

  #seal(): void {
    this.#header.payloadBytes = this.#at - this.#pageAt - PAGE_HEADER_BYTES
    sealPage(this.#buffer, this.#view, this.#pageAt, this.#pageBytes, this.#header)
  }

  #nextPage(): void {
    this.#seal()
    this.#pageAt += this.#pageBytes
    if (this.#pageAt === this.#buffer.length) this.#write()
    this.#at = this.#pageAt + PAGE_HEADER_BYTES
    this.#header.page++
    this.#header.indexInBatch++
  }

  /** Everything is on stable storage when this returns. */
  end(): void {
    this.#header.last = true
    this.#seal()
    this.#pageAt += this.#pageBytes
    this.#write()
  }

  #write(): void {
    this.#file?.writeDurable(this.#bufferOffset, this.#buffer.subarray(0, this.#pageAt))
    this.#bufferOffset += this.#pageAt
    this.#pageAt = 0
  }
}
