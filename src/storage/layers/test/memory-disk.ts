/** A disk in memory, without faults: for tests of the layers alone. */
import { VolumeError } from '../../../protocol/errors.ts'
import type { Disk, DiskFile } from '../../disk.ts'

interface Content {
  bytes: Uint8Array
  length: number
}

class MemoryFile implements DiskFile {
  readonly path: string
  readonly content: Content
  readonly #disk: MemoryDisk
  constructor(path: string, content: Content, disk: MemoryDisk) {
    this.path = path
    this.content = content
    this.#disk = disk
    disk.openFiles++
  }
  size(): number {
    return this.content.length
  }
  read(offset: number, length: number): Uint8Array {
    if (offset + length > this.content.length) throw new VolumeError('Corrupt', `${this.path} ends before`)
    this.#disk.reads++
    return this.content.bytes.slice(offset, offset + length)
  }
  write(offset: number, bytes: Uint8Array): void {
    const { content } = this
    this.#disk.room -= bytes.length
    if (this.#disk.room < 0) throw new VolumeError('DiskFull', this.path)
    const end = offset + bytes.length
    if (end > content.bytes.length) {
      const grown = new Uint8Array(Math.max(end, content.bytes.length * 2))
      grown.set(content.bytes)
      content.bytes = grown
    }
    content.bytes.set(bytes, offset)
    content.length = Math.max(content.length, end)
    this.#disk.written += bytes.length
    this.#disk.largestWrite = Math.max(this.#disk.largestWrite, bytes.length)
  }
  writeDurable(offset: number, bytes: Uint8Array): void {
    this.write(offset, bytes)
  }
  allocate(length: number): void {
    this.write(0, new Uint8Array(length))
  }
  sync(): void {}
  close(): void {
    this.#disk.openFiles--
  }
}

export class MemoryDisk implements Disk {
  readonly files = new Map<string, Content>()
  openFiles = 0
  reads = 0
  written = 0
  largestWrite = 0
  /** Bytes that can still be written. */
  room = Number.MAX_SAFE_INTEGER

  list(folder: string): string[] {
    const names = [...this.files.keys()].filter((path) => path.startsWith(`${folder}/`))
    return names.map((path) => path.slice(folder.length + 1)).sort()
  }
  makeFolder(): void {}
  create(path: string): DiskFile {
    const content = { bytes: new Uint8Array(1024), length: 0 }
    this.files.set(path, content)
    return new MemoryFile(path, content, this)
  }
  open(path: string): DiskFile {
    const content = this.files.get(path)
    if (content === undefined) throw new VolumeError('NotFound', path)
    return new MemoryFile(path, content, this)
  }
  exists(path: string): boolean {
    return this.files.has(path)
  }
  rename(from: string, to: string): void {
    const content = this.files.get(from)
    if (content === undefined) throw new VolumeError('NotFound', from)
    this.files.delete(from)
    this.files.set(to, content)
  }
  remove(path: string): void {
    this.files.delete(path)
  }
  removeFolder(folder: string): void {
    for (const name of this.list(folder)) this.remove(`${folder}/${name}`)
  }
  syncFolder(): void {}
  freeBytes(): number {
    return this.room
  }
}
