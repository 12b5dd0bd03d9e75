/**
 * Reads a hot log from end to end: its whole batches in order, and what is damaged.
 *
 * The rules, each with a test of its name in `hot-log-damage.test.ts`:
 *
 * - Sequences are given out one by one, and a batch is begun only when the one before it is complete. So every page
 *   that is whole, wherever it is, says up to which sequence everything was complete when it was written (`sequence -
 *   skipped - 1`), and so does the name of every file. Whatever of that is not found was lost: damage.
 * - Behind the last whole batch, pages of batches that nothing claims to have been complete are a torn tail, never
 *   acknowledged, and dropped in silence. A disk writes a page whole or not at all, so what a crash tears off shows
 *   what was there before: zeros, or an earlier life of the file.
 * - A rotten page there may have been acknowledged: damage. So is a whole page of a later batch that is found in a
 *   place other than its own.
 * - Rotten or stray pages in front of a batch that follows without a gap held nothing: none was lost.
 */
import type { DiskFile } from './disk.ts'
import { ENTRY_HEADER_BYTES } from './log-batch.ts'
import type { LiveFile, LogFiles } from './log-files.ts'
import { openPage, PAGE_HEADER_BYTES, type PageHeader, type PagePlace, saysElsewhere, standing } from './log-page.ts'

export interface DamagedPage {
  /** Undefined: in a spare file. */
  readonly file: number | undefined
  readonly slot: number
  readonly page: number
  /** `rot`: wrong checksum. `misplaced`: a whole page of another place. `partial`: of a batch that is not whole. */
  readonly problem: 'rot' | 'misplaced' | 'partial'
  /** What a whole page says that it is. */
  readonly claims?: PageHeader
}

/** Batches that were, or may have been, acknowledged and are gone. */
export interface Damage {
  readonly firstSequence: number
  /** At the end of the log it is not always known how many: then this is the lowest that it can be. */
  readonly lastSequence: number
  /** The pages that tell of it, `PAGES_NAMED_MAX` at most; none when the batches left no trace. */
  readonly pages: readonly DamagedPage[]
}

/** Enough to see what happened to a disk; a rotten file has thousands. */
const PAGES_NAMED_MAX = 64
/** Large enough that reads are sequential to any disk, small enough to be no burden. */
const READ_BYTES = 1 << 20

export interface ReplayOptions {
  readonly nodeTag: number
  readonly pageBytes: number
  readonly fileBytes: number
  /** Files below hold nothing that is needed: as if they had been released. */
  readonly fromFile: number
}

/** An entry: the file, the offset of its first byte in it, and the bytes, which are the caller's to keep. */
export type ReplayedEntry = (file: number, offset: number, bytes: Uint8Array) => void

interface OpenBatch {
  readonly header: PageHeader
  readonly payloads: Uint8Array[]
}

export class Replay {
  readonly damage: Damage[] = []
  /** Behind the last page of the current file that was written in this life of it, whatever became of it. */
  nextPage = 0
  /** The last batch that is complete. */
  complete = 0

  readonly #options: ReplayOptions
  readonly #onEntry: ReplayedEntry
  #batch: OpenBatch | undefined
  /** Up to here, some page or name says, everything was complete. */
  #claimed = 0
  #sequenceMax = 0
  /** Since the last complete batch. */
  #traces: DamagedPage[] = []
  #rotten = 0
  /** Stray pages of all files. */
  readonly #strays: DamagedPage[] = []

  constructor(options: ReplayOptions, onEntry: ReplayedEntry) {
    this.#options = options
    this.#onEntry = onEntry
  }

  run(files: LogFiles): void {
    const { fromFile } = this.#options
    const last = files.current?.number ?? 0
    const needed = files.live.filter(({ number }) => number >= Math.min(fromFile, last))
    this.complete = needed[0]?.base ?? 0
    for (const file of needed) this.#file(file)
    files.eachSpare((slot, handle) => this.#spare(slot, handle))
    this.#end()
    // It was there when somebody said that it is needed.
    if (last < fromFile) this.#lost(this.complete + 1, this.complete + 1, [])
  }

  /** For the next batch: above all that was ever given out, as far as can be known. */
  get nextSequence(): number {
    return Math.max(this.complete, this.#claimed, this.#sequenceMax) + this.#rotten + 1
  }

  #file(file: LiveFile): void {
    this.#completeTo(file.base)
    this.#batch = undefined
    this.nextPage = 0
    const place = { nodeTag: this.#options.nodeTag, file: file.number, slot: file.slot, page: 0 }
    for (const { bytes, view, at, page } of this.#pages(file.handle)) {
      place.page = page
      const found = openPage(bytes, view, at, this.#options.pageBytes)
      if (typeof found === 'string') this.#unreadable(found, place)
      else
        this.#whole(found, place, bytes.subarray(at + PAGE_HEADER_BYTES, at + PAGE_HEADER_BYTES + found.payloadBytes))
    }
  }

  #unreadable(found: 'zero' | 'rot', place: PagePlace): void {
    this.#breakBatch(place)
    if (found === 'zero') return
    this.#rotten++
    this.#trace({ file: place.file, slot: place.slot, page: place.page, problem: 'rot' })
    this.nextPage = place.page + 1
  }

  #whole(header: PageHeader, place: PagePlace, payload: Uint8Array): void {
    const what = standing(header, place)
    if (what === 'stale') {
      this.#breakBatch(place)
      return
    }
    this.nextPage = place.page + 1
    if (what === 'misplaced') {
      this.#breakBatch(place)
      const stray: DamagedPage = {
        file: place.file,
        slot: place.slot,
        page: place.page,
        problem: 'misplaced',
        claims: header,
      }
      this.#trace(stray)
      this.#stray(stray, header)
      return
    }
    this.#note(header)
    const batch = this.#batch
    if (header.indexInBatch === 0) {
      this.#breakBatch(place)
      this.#batch = { header, payloads: [payload] }
    } else if (batch?.header.sequence === header.sequence && batch.payloads.length === header.indexInBatch) {
      batch.payloads.push(payload)
    } else {
      this.#breakBatch(place)
      this.#trace({ file: place.file, slot: place.slot, page: place.page, problem: 'partial', claims: header })
      return
    }
    if (header.last) this.#endBatch()
  }

  /** The batch being read does not go on at `place`. */
  #breakBatch(place: PagePlace): void {
    const batch = this.#batch
    if (batch === undefined) return
    this.#batch = undefined
    const page = place.page - batch.payloads.length
    this.#trace({ file: place.file, slot: place.slot, page, problem: 'partial', claims: batch.header })
  }

  #endBatch(): void {
    const { header, payloads } = this.#batch as OpenBatch
    this.#batch = undefined
    // Given out a second time: only when what was taken for lost came back.
    if (header.sequence <= this.complete) return
    this.#completeTo(header.sequence - header.skipped - 1)
    this.complete = header.sequence
    const first = header.page * this.#options.pageBytes
    if (payloads.length === 1) this.#entries(header.file, first, payloads[0] as Uint8Array)
    else this.#entries(header.file, first, Buffer.concat(payloads))
  }

  #entries(file: number, first: number, stream: Uint8Array): void {
    const { pageBytes } = this.#options
    const payloadBytes = pageBytes - PAGE_HEADER_BYTES
    const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength)
    for (let at = 0; at < stream.length; ) {
      const start = at + ENTRY_HEADER_BYTES
      const length = view.getUint32(at, true)
      const page = Math.floor(start / payloadBytes)
      this.#onEntry(
        file,
        first + page * pageBytes + PAGE_HEADER_BYTES + (start % payloadBytes),
        stream.subarray(start, start + length),
      )
      at = start + length
    }
  }

  /** Everything up to `sequence` was complete once: what has not been found by now is lost. */
  #completeTo(sequence: number): void {
    if (sequence > this.complete) {
      this.#lost(this.complete + 1, sequence, this.#traces)
      this.complete = sequence
    }
    this.#traces = []
    this.#rotten = 0
  }

  /** What is behind the last complete batch. */
  #end(): void {
    const strays = this.#strays.filter((stray) => (stray.claims as PageHeader).sequence > this.complete)
    const lost = strays.reduce((last, stray) => Math.max(last, (stray.claims as PageHeader).sequence), this.#claimed)
    if (lost <= this.complete && this.#rotten === 0) return
    const pages = [...new Set([...this.#traces, ...strays])]
    this.#lost(this.complete + 1, Math.max(lost, this.complete + 1), pages)
  }

  #lost(firstSequence: number, lastSequence: number, pages: readonly DamagedPage[]): void {
    this.damage.push({ firstSequence, lastSequence, pages: pages.slice(0, PAGES_NAMED_MAX) })
  }

  #note(header: PageHeader): void {
    this.#claimed = Math.max(this.#claimed, header.sequence - header.skipped - 1)
    this.#sequenceMax = Math.max(this.#sequenceMax, header.sequence)
  }

  #trace(page: DamagedPage): void {
    if (this.#traces.length < PAGES_NAMED_MAX) this.#traces.push(page)
  }

  #stray(page: DamagedPage, header: PageHeader): void {
    if (header.nodeTag !== this.#options.nodeTag) {
      // Of another node: it says nothing of our sequences, only that something was overwritten.
      this.#rotten++
      return
    }
    this.#note(header)
    this.#strays.push(page)
  }

  /** A spare holds nothing, unless a write went astray into it. */
  #spare(slot: number, handle: DiskFile): void {
    const { nodeTag, pageBytes } = this.#options
    for (const { bytes, view, at, page } of this.#pages(handle)) {
      // Nearly all of them are what the file's last life left there, whole or not.
      if (!saysElsewhere(view, at, { nodeTag, slot, page })) continue
      const header = openPage(bytes, view, at, pageBytes)
      if (typeof header === 'string') continue
      this.#stray({ file: undefined, slot, page, problem: 'misplaced', claims: header }, header)
    }
  }

  *#pages(handle: DiskFile): Generator<{ bytes: Uint8Array; view: DataView; at: number; page: number }> {
    const { fileBytes, pageBytes } = this.#options
    const chunkBytes = Math.max(1, Math.floor(READ_BYTES / pageBytes)) * pageBytes
    for (let offset = 0; offset < fileBytes; offset += chunkBytes) {
      const bytes = handle.read(offset, Math.min(chunkBytes, fileBytes - offset))
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      for (let at = 0; at < bytes.length; at += pageBytes) yield { bytes, view, at, page: (offset + at) / pageBytes }
    }
  }
}
