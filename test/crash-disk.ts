/**
 * A disk in memory that loses power, tears, misdirects and rots on command. For tests of one part at a time; the
 * simulator has its own. Its pages are 512 bytes, written whole or not at all.
 */
import { VolumeError } from '../src/protocol/errors.ts'
import type { Disk, DiskFile } from '../src/storage/disk.ts'

export const PAGE = 512

/** Thrown by the operation during which the power goes. */
export class PowerLoss extends Error {}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

interface Inode {
  cached: Uint8Array
  durable: Uint8Array
}

interface NameChange {
  readonly folder: string
  readonly apply: (names: Map<string, Inode>) => void
}

/** Where a page that was to go to `path` really goes; undefined: nowhere. */
export type Reroute = (path: string, page: number) => { path: string; page: number } | undefined

const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')))

export class CrashDisk implements Disk {
  /** Counts the operations that change something. */
  operations = 0
  /** The power goes during the operation of this number. */
  crashAt = Number.POSITIVE_INFINITY
  capacityBytes = Number.POSITIVE_INFINITY
  reroute: Reroute | undefined
  #random: () => number
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  #pending: NameChange[] = []
  #powered = true

  constructor(seed: number) {
    this.#random = randomOf(seed)
  }

  /** Counts an operation; answers whether the power goes during it. */
  #operation(): boolean {
    if (!this.#powered) throw new PowerLoss('no power')
    if (this.operations++ !== this.crashAt) return false
    this.#powered = false
    return true
  }

  #step(): void {
    if (this.#operation()) throw new PowerLoss('the power went')
  }

  #change(folder: string, apply: (names: Map<string, Inode>) => void): void {
    apply(this.#names)
    this.#pending.push({ folder, apply })
    this.#step()
  }

  /** After the process was killed and the machine was not: what was written can be seen, but is not durable. */
  revive(): void {
    this.crashAt = Number.POSITIVE_INFINITY
    this.#powered = true
  }

  /** After a loss of power: of what was not synced, any pages and the first few name changes of a folder remain. */
  restart(): void {
    const kept = new Map<string, number>()
    for (const { folder, apply } of this.#pending) {
      if (!kept.has(folder)) {
        const all = this.#pending.filter((change) => change.folder === folder).length
        kept.set(folder, Math.floor(this.#random() * (all + 1)))
      }
      const left = kept.get(folder) as number
      if (left > 0) apply(this.#durableNames)
      kept.set(folder, left - 1)
    }
    this.#pending = []
    for (const inode of new Set(this.#durableNames.values())) this.#tear(inode)
    this.#names = new Map(this.#durableNames)
    this.crashAt = Number.POSITIVE_INFINITY
    this.#powered = true
  }

  #tear(inode: Inode): void {
    const { cached, durable } = inode
    const size = cached.length !== durable.length && this.#random() < 0.5 ? cached.length : durable.length
    const after = new Uint8Array(size)
    after.set(durable.subarray(0, size))
    for (let at = 0; at < Math.min(size, cached.length); at += PAGE) {
      if (this.#random() < 0.5) after.set(cached.subarray(at, Math.min(at + PAGE, size)), at)
    }
    inode.durable = after
    inode.cached = after.slice()
  }

  /** Flips a bit, in the cache and below. */
  flip(path: string, offset: number, bit = 0): void {
    const { cached, durable } = this.#inode(path)
    cached[offset] = (cached[offset] as number) ^ (1 << bit)
    durable[offset] = cached[offset] as number
  }

  bytesOf(path: string): Uint8Array {
    return this.#inode(path).cached.slice()
  }

  /** Puts a file there, durably. */
  plant(path: string, bytes: Uint8Array): void {
    const inode = { cached: Uint8Array.from(bytes), durable: Uint8Array.from(bytes) }
    this.#names.set(path, inode)
    this.#durableNames.set(path, inode)
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path)
    if (inode === undefined) throw new VolumeError('NotFound', `no file ${path}`)
    return inode
  }

  list(folder: string): string[] {
    const all = [...this.#names.keys()].filter((path) => folderOf(path) === folder)
    return all.map((path) => path.slice(folder.length + 1)).sort()
  }
  makeFolder(): void {}
  exists(path: string): boolean {
    return this.#names.has(path)
  }
  create(path: string): DiskFile {
    const inode = { cached: new Uint8Array(0), durable: new Uint8Array(0) }
    this.#change(folderOf(path), (names) => names.set(path, inode))
    return this.#handle(path, inode)
  }
  open(path: string): DiskFile {
    return this.#handle(path, this.#inode(path))
  }
  rename(from: string, to: string): void {
    const inode = this.#inode(from)
    this.#change(folderOf(to), (names) => {
      names.delete(from)
      names.set(to, inode)
    })
  }
  remove(path: string): void {
    this.#change(folderOf(path), (names) => names.delete(path))
  }
  removeFolder(folder: string): void {
    for (const name of this.list(folder)) this.remove(`${folder}/${name}`)
  }
  syncFolder(folder: string): void {
    this.#step()
    for (const change of this.#pending) if (change.folder === folder) change.apply(this.#durableNames)
    this.#pending = this.#pending.filter((change) => change.folder !== folder)
  }
  freeBytes(): number {
    let used = 0
    for (const inode of new Set(this.#names.values())) used += inode.cached.length
    return this.capacityBytes - used
  }

  #resize(inode: Inode, size: number): void {
    if (size <= inode.cached.length) return
    if (size - inode.cached.length > this.freeBytes()) throw new VolumeError('DiskFull', 'no room')
    const larger = new Uint8Array(size)
    larger.set(inode.cached)
    inode.cached = larger
  }

  #write(inode: Inode, offset: number, bytes: Uint8Array): void {
    this.#resize(inode, offset + bytes.length)
    inode.cached.set(bytes, offset)
  }

  #writePage(path: string, offset: number, bytes: Uint8Array, durable: boolean): void {
    const to = this.reroute === undefined ? { path, page: offset / PAGE } : this.reroute(path, offset / PAGE)
    if (to === undefined) return
    const inode = this.#inode(to.path)
    inode.cached.set(bytes, to.page * PAGE)
    if (!durable) return
    if (inode.durable.length < inode.cached.length) inode.durable = inode.cached.slice()
    inode.durable.set(bytes, to.page * PAGE)
  }

  #handle(path: string, inode: Inode): DiskFile {
    return {
      path,
      size: () => inode.cached.length,
      read: (offset, length) => {
        if (offset + length > inode.cached.length)
          throw new VolumeError('Corrupt', `${path} ends before ${offset + length}`)
        return inode.cached.slice(offset, offset + length)
      },
      write: (offset, bytes) => {
        this.#write(inode, offset, bytes)
        this.#step()
      },
      writeDurable: (offset, bytes) => {
        if (offset % PAGE !== 0 || bytes.length % PAGE !== 0) throw new Error('a durable write is not whole pages')
        if (offset + bytes.length > inode.cached.length)
          throw new Error('a durable write is outside of what was allocated')
        const torn = this.#operation()
        for (let at = 0; at < bytes.length; at += PAGE) {
          const reached = torn ? this.#random() * 3 : 3
          if (reached >= 1) this.#writePage(path, offset + at, bytes.subarray(at, at + PAGE), reached >= 2)
        }
        if (torn) throw new PowerLoss('the power went')
      },
      allocate: (length) => {
        this.#resize(inode, length)
        this.#step()
      },
      sync: () => {
        this.#step()
        inode.durable = inode.cached.slice()
      },
      close: () => {},
    }
  }
}
