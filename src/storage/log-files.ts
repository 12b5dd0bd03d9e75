/**
 * The files of the hot log: all of one size, allocated ahead, and renamed instead of removed, so that a durable write
 * never has to change the file system's metadata.
 *
 *     log/00000007-0003-000000000041.pages   file 7, slot 3; all batches up to sequence 0x41 were complete when it began
 *     log/spare-0004.pages                   slot 4, without a file number
 *
 * The sequence in the name lets replay see what is missing before the first batch of a file, also when earlier files
 * are gone. Every change of a name is made durable before the next, so that files leave in the order of their numbers
 * and no crash can leave a gap.
 */
import { invariant, VolumeError } from '../protocol/errors.ts'
import type { Disk, DiskFile } from './disk.ts'

export const LOG_FOLDER = 'log'

const SLOT_MAX = 0xffff
const LIVE = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{12})\.pages$/
const SPARE = /^spare-([0-9a-f]{4})\.pages$/

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')
const livePath = (number: number, slot: number, base: number): string =>
  `${LOG_FOLDER}/${hex(number, 8)}-${hex(slot, 4)}-${hex(base, 12)}.pages`
const sparePath = (slot: number): string => `${LOG_FOLDER}/spare-${hex(slot, 4)}.pages`

export interface LiveFile {
  readonly number: number
  readonly slot: number
  /** The last batch that was complete when the file began. */
  readonly base: number
  readonly handle: DiskFile
}

export interface LogFilesOptions {
  readonly fileBytes: number
  /** Of all files, spares too. */
  readonly capacityBytes: number
  /** Files kept for reuse by `release`; others are removed. */
  readonly sparesMax: number
}

export class LogFiles {
  readonly #disk: Disk
  readonly #options: LogFilesOptions
  /** In the order of their numbers, which have no gap unless a file was lost. */
  readonly #live: LiveFile[] = []
  readonly #spares: number[] = []

  constructor(disk: Disk, options: LogFilesOptions) {
    this.#disk = disk
    this.#options = options
    disk.makeFolder(LOG_FOLDER)
    disk.syncFolder('')
    for (const name of disk.list(LOG_FOLDER)) this.#adopt(name)
    this.#live.sort((a, b) => a.number - b.number)
    // A process that was killed may have left names and pages that can be seen but are not durable yet. What is
    // replayed counts as acknowledged from now on.
    disk.syncFolder(LOG_FOLDER)
    this.current?.handle.sync()
  }

  #adopt(name: string): void {
    const path = `${LOG_FOLDER}/${name}`
    const live = LIVE.exec(name)
    const spare = SPARE.exec(name)
    if (live === null && spare === null) return
    const handle = this.#disk.open(path)
    if (live !== null) {
      if (handle.size() !== this.#options.fileBytes) {
        throw new VolumeError(
          'Corrupt',
          `${path} has ${handle.size()} bytes, not the ${this.#options.fileBytes} of a log file`,
        )
      }
      const [number, slot, base] = live.slice(1).map((digits) => Number.parseInt(digits, 16)) as [
        number,
        number,
        number,
      ]
      this.#live.push({ number, slot, base, handle })
      return
    }
    const whole = handle.size() === this.#options.fileBytes
    // Its size may not be durable yet either, if the process was killed while it was made.
    if (whole) handle.sync()
    handle.close()
    // A spare of another size is one whose making was cut off, or of an earlier setting.
    if (whole) this.#spares.push(Number.parseInt(spare?.[1] as string, 16))
    else this.#disk.remove(path)
  }

  get live(): readonly LiveFile[] {
    return this.#live
  }
  get current(): LiveFile | undefined {
    return this.#live.at(-1)
  }
  get spareSlots(): readonly number[] {
    return this.#spares
  }

  find(number: number): LiveFile | undefined {
    const file = this.#live[number - (this.#live[0]?.number ?? 0)]
    return file?.number === number ? file : this.#live.find((f) => f.number === number)
  }

  /** Calls `look` with each spare, opened. */
  eachSpare(look: (slot: number, handle: DiskFile) => void): void {
    for (const slot of this.#spares) {
      const handle = this.#disk.open(sparePath(slot))
      look(slot, handle)
      handle.close()
    }
  }

  /** Makes sure of `count` spares. @throws VolumeError `DiskFull`, which leaves the log as usable as before. */
  reserve(count: number): void {
    while (this.#spares.length < count) this.#makeSpare()
  }

  #makeSpare(): void {
    const { fileBytes, capacityBytes } = this.#options
    const files = this.#live.length + this.#spares.length
    if ((files + 1) * fileBytes > capacityBytes) {
      throw new VolumeError(
        'DiskFull',
        `the hot log has ${files} files of ${fileBytes} bytes and may have ${capacityBytes} bytes`,
      )
    }
    const slot = this.#freeSlot()
    const path = sparePath(slot)
    let handle: DiskFile | undefined
    try {
      handle = this.#disk.create(path)
      handle.allocate(fileBytes)
      handle.sync()
      handle.close()
    } catch (error) {
      if (error instanceof VolumeError && error.code === 'DiskFull') {
        handle?.close()
        this.#disk.remove(path)
      }
      throw error
    }
    this.#disk.syncFolder(LOG_FOLDER)
    this.#spares.push(slot)
  }

  #freeSlot(): number {
    const used = new Set([...this.#spares, ...this.#live.map((file) => file.slot)])
    for (let slot = 0; slot <= SLOT_MAX; slot++) if (!used.has(slot)) return slot
    throw new VolumeError('DiskFull', `the hot log has ${SLOT_MAX + 1} files`)
  }

  /** Turns a reserved spare into the current file. */
  roll(base: number): LiveFile {
    const slot = this.#spares.shift()
    invariant(slot !== undefined, 'a log file is begun without a reserved spare')
    const number = (this.current?.number ?? 0) + 1
    const path = livePath(number, slot, base)
    this.#disk.rename(sparePath(slot), path)
    this.#disk.syncFolder(LOG_FOLDER)
    const file = { number, slot, base, handle: this.#disk.open(path) }
    this.#live.push(file)
    return file
  }

  /** Recycles the files below `before`; never the current one. Their entries are gone when this returns. */
  release(before: number): void {
    for (let oldest = this.#live[0]; this.#live.length > 1 && oldest !== undefined && oldest.number < before; ) {
      const path = livePath(oldest.number, oldest.slot, oldest.base)
      oldest.handle.close()
      this.#live.shift()
      if (this.#spares.length < this.#options.sparesMax) {
        this.#disk.rename(path, sparePath(oldest.slot))
        this.#spares.push(oldest.slot)
      } else {
        this.#disk.remove(path)
      }
      this.#disk.syncFolder(LOG_FOLDER)
      oldest = this.#live[0]
    }
  }

  close(): void {
    for (const file of this.#live) file.handle.close()
  }
}
