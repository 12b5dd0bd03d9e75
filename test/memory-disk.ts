/** A disk in memory with folders, a size, and bits that can be flipped. It outlives the node that uses it. */
import { VolumeError } from '../src/protocol/errors.ts'
import { isAligned } from '../src/storage/aligned.ts'
import type { Disk, DiskFile } from '../src/storage/disk.ts'

interface Content {
  bytes: Uint8Array
  length: number
}

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))
const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

export class MemoryDisk implements Disk {
  /** May be changed at any time. */
  capacityBytes = Number.MAX_SAFE_INTEGER
  readonly #files = new Map<string, Content>()
  readonly #folders = new Set<string>()

  /** All files, sorted. */
  paths(): string[] {
    return [...this.#files.keys()].sort()
  }

  bytesOf(path: string): Uint8Array {
    const { bytes, length } = this.#content(path)
    return bytes.slice(0, length)
  }

  /** Puts a file there. */
  plant(path: string, bytes: Uint8Array): void {
    this.makeFolder(parentOf(path))
    this.#files.set(path, { bytes: Uint8Array.from(bytes), length: bytes.length })
  }

  flip(path: string, offset: number, bit = 0): void {
    const { bytes } = this.#content(path)
    bytes[offset] = (bytes[offset] as number) ^ (1 << bit)
  }

  #content(path: string): Content {
    const content = this.#files.get(path)
    if (content === undefined) throw new VolumeError('NotFound', `no file ${path}`)
    return content
  }

  list(folder: string): string[] {
    const all = [...this.#files.keys(), ...this.#folders]
    return all
      .filter((path) => path !== '' && parentOf(path) === folder)
      .map(nameOf)
      .sort()
  }
  makeFolder(folder: string): void {
    for (let at = folder; at !== ''; at = parentOf(at)) this.#folders.add(at)
  }
  exists(path: string): boolean {
    return this.#files.has(path)
  }
  create(path: string): DiskFile {
    if (parentOf(path) !== '' && !this.#folders.has(parentOf(path)))
      throw new VolumeError('NotFound', `no folder for ${path}`)
    const content = { bytes: new Uint8Array(1024), length: 0 }
    this.#files.set(path, content)
    return this.#handle(path, content)
  }
  open(path: string): DiskFile {
    return this.#handle(path, this.#content(path))
  }
  rename(from: string, to: string): void {
    const content = this.#content(from)
    this.#files.delete(from)
    this.#files.set(to, content)
  }
  remove(path: string): void {
    this.#files.delete(path)
  }
  removeFolder(folder: string): void {
    const isInside = (path: string): boolean => path === folder || path.startsWith(`${folder}/`)
    for (const path of [...this.#files.keys()]) if (isInside(path)) this.#files.delete(path)
    for (const path of [...this.#folders]) if (isInside(path)) this.#folders.delete(path)
  }
  syncFolder(): void {}
  freeBytes(): number {
    let used = 0
    for (const { length } of this.#files.values()) used += length
    return this.capacityBytes - used
  }

  #grow(content: Content, end: number): void {
    if (end <= content.length) return
    if (end - content.length > this.freeBytes()) throw new VolumeError('DiskFull', 'the disk is full')
    if (end > content.bytes.length) {
      const larger = new Uint8Array(Math.max(end, content.bytes.length * 2))
      larger.set(content.bytes.subarray(0, content.length))
      content.bytes = larger
    }
    content.length = end
  }

  #handle(path: string, content: Content): DiskFile {
    return {
      path,
      size: () => content.length,
      read: (offset, length) => {
        if (offset + length > content.length) throw new VolumeError('Corrupt', `${path} ends before ${offset + length}`)
        return content.bytes.slice(offset, offset + length)
      },
      write: (offset, bytes) => {
        this.#grow(content, offset + bytes.length)
        content.bytes.set(bytes, offset)
      },
      writeDurable: (offset, bytes) => {
        if (!isAligned(offset, bytes)) throw new Error(`a durable write of ${path} is not aligned`)
        if (offset + bytes.length > content.length) throw new Error(`a durable write of ${path} is outside of it`)
        content.bytes.set(bytes, offset)
      },
      allocate: (length) => this.#grow(content, length),
      sync: () => {},
      close: () => {},
    }
  }
}
