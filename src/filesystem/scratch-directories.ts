/**
 * Directories whose content is not worth a log: an engine's sorts and statistics. They are directories of the file
 * system like others; what is in them is in a second one, on a local device. On a device of zeros they are empty; the
 * same device goes on with what is in them.
 *
 * A directory is one of them by its path, when the file system is attached and when it is made. What had been put into
 * it before it was one is hidden. Nothing is linked or moved across the border (EXDEV), nor are these directories moved.
 */
import type { BlockDevice, Eventual } from './block-device.ts'
import { andThen } from './eventual.ts'
import {
  type AllocateMode,
  type AttributeChange,
  type Attributes,
  type ByteName,
  type DirectoryEntry,
  type FileOperations,
  FileType,
  type Ino,
  ino,
  type Owner,
  type RenameMode,
  ROOT_INO,
  type Statistics,
  type Timestamp,
} from './file-operations.ts'
import { FileSystem } from './file-system.ts'
import { FsError } from './fs-error.ts'

/** Inode numbers of the file system proper are below 2^32. */
const SCRATCH_INO = 2 ** 40

export interface ScratchOptions {
  now(): Timestamp
  /** Blocks of zeros, or what directories grafted before have left. */
  readonly device: BlockDevice
  /** From the root, with `/` between names. */
  readonly directories: readonly ByteName[]
  /** As for `FileSystem.attach`: of these, those that are in scratch directories. */
  readonly stillOpen?: readonly Ino[]
}

/** An inode where it is. */
interface Place {
  readonly system: FileSystem
  readonly ino: Ino
}

export class ScratchDirectories implements FileOperations {
  readonly #main: FileSystem
  readonly #scratch: FileSystem
  readonly #paths: readonly (readonly ByteName[])[]
  /** By a directory's number in the file system proper: the one in the other that holds what is in it; and back. */
  readonly #inner = new Map<Ino, Ino>()
  readonly #outer = new Map<Ino, Ino>()

  private constructor(main: FileSystem, scratch: FileSystem, paths: readonly (readonly ByteName[])[]) {
    this.#main = main
    this.#scratch = scratch
    this.#paths = paths
  }

  /** Puts scratch directories into a file system that was just attached. */
  static async graft(main: FileSystem, options: ScratchOptions): Promise<ScratchDirectories> {
    const { now, device, directories, stillOpen = [] } = options
    await formatZeros(device, now)
    const inScratch = stillOpen.filter((each) => each >= SCRATCH_INO).map((each) => ino(each - SCRATCH_INO))
    const scratch = await FileSystem.attach(device, { now, stillOpen: inScratch })
    const paths = directories.map((path) => path.split('/').filter((name) => name !== ''))
    const grafted = new ScratchDirectories(main, scratch, paths)
    for (const path of paths) {
      const found = grafted.#resolve(path)
      if (found !== undefined && (found.mode & FileType.MASK) === FileType.DIRECTORY) await grafted.#add(found.ino)
    }
    return grafted
  }

  get readOnly(): boolean {
    return this.#main.readOnly
  }

  /** Files that lost their last name and are open: what the next who attaches has to keep. */
  get openOrphans(): readonly Ino[] {
    return [...this.#main.openOrphans, ...this.#scratch.openOrphans.map((each) => ino(each + SCRATCH_INO))]
  }

  // -------------------------------------------------------------- which is where

  #resolve(path: readonly ByteName[]): Attributes | undefined {
    try {
      return path.reduce((at, name) => this.#main.lookup(at.ino, name), this.#main.getattr(ROOT_INO))
    } catch (error) {
      if (error instanceof FsError) return undefined
      throw error
    }
  }

  #add(directory: Ino): Eventual<void> {
    const name = String(directory)
    const inner = child(this.#scratch, ROOT_INO, name) ?? this.#scratch.mkdir(ROOT_INO, name, 0o700, { uid: 0, gid: 0 })
    return andThen(inner, (attributes) => {
      this.#inner.set(directory, attributes.ino)
      this.#outer.set(attributes.ino, directory)
    })
  }

  #isScratchPath(parent: Ino, name: ByteName): boolean {
    return this.#paths.some((path) => path.at(-1) === name && this.#resolve(path.slice(0, -1))?.ino === parent)
  }

  /** Where an inode itself is. */
  #at(target: Ino): Place {
    if (target >= SCRATCH_INO) return { system: this.#scratch, ino: ino(target - SCRATCH_INO) }
    return { system: this.#main, ino: target }
  }

  /** Where the entries of a directory are. */
  #in(directory: Ino): Place {
    const inner = this.#inner.get(directory)
    return inner === undefined ? this.#at(directory) : { system: this.#scratch, ino: inner }
  }

  #told(system: FileSystem, attributes: Attributes): Attributes {
    if (system === this.#main) return attributes
    const outer = this.#outer.get(attributes.ino)
    if (outer !== undefined) return this.#main.getattr(outer)
    return { ...attributes, ino: ino(attributes.ino + SCRATCH_INO) }
  }

  // -------------------------------------------------------------- attributes

  lookup(parent: Ino, name: ByteName): Attributes {
    if (this.#inner.has(parent) && (name === '.' || name === '..')) return this.#main.lookup(parent, name)
    const { system, ino: at } = this.#in(parent)
    return this.#told(system, system.lookup(at, name))
  }

  getattr(target: Ino): Attributes {
    const { system, ino: at } = this.#at(target)
    return this.#told(system, system.getattr(at))
  }

  setattr(target: Ino, change: AttributeChange): Eventual<Attributes> {
    const { system, ino: at } = this.#at(target)
    return andThen(system.setattr(at, change), (attributes) => this.#told(system, attributes))
  }

  // -------------------------------------------------------------- names

  #making(parent: Ino, make: (system: FileSystem, at: Ino) => Eventual<Attributes>): Eventual<Attributes> {
    const { system, ino: at } = this.#in(parent)
    return andThen(make(system, at), (attributes) => this.#told(system, attributes))
  }

  create(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes> {
    return this.#making(parent, (system, at) => system.create(at, name, mode, owner))
  }

  mknod(parent: Ino, name: ByteName, mode: number, owner: Owner, rdev = 0): Eventual<Attributes> {
    return this.#making(parent, (system, at) => system.mknod(at, name, mode, owner, rdev))
  }

  mkdir(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes> {
    const made = this.#making(parent, (system, at) => system.mkdir(at, name, mode, owner))
    return andThen(made, (attributes) => {
      if (attributes.ino >= SCRATCH_INO || !this.#isScratchPath(parent, name)) return attributes
      return andThen(this.#add(attributes.ino), () => attributes)
    })
  }

  symlink(parent: Ino, name: ByteName, target: ByteName, owner: Owner): Eventual<Attributes> {
    return this.#making(parent, (system, at) => system.symlink(at, name, target, owner))
  }

  link(target: Ino, newParent: Ino, newName: ByteName): Eventual<Attributes> {
    const file = this.#at(target)
    return this.#making(newParent, (system, at) => {
      if (system !== file.system) throw new FsError('EXDEV', 'a link into or out of a scratch directory')
      return system.link(file.ino, at, newName)
    })
  }

  unlink(parent: Ino, name: ByteName): Eventual<void> {
    const { system, ino: at } = this.#in(parent)
    return system.unlink(at, name)
  }

  rmdir(parent: Ino, name: ByteName): Eventual<void> {
    const { system, ino: at } = this.#in(parent)
    const target = system === this.#main ? this.#main.lookup(at, name).ino : undefined
    const inner = target === undefined ? undefined : this.#inner.get(target)
    if (target === undefined || inner === undefined) return system.rmdir(at, name)
    if (this.#scratch.readdir(inner, 2, 1).length > 0) throw new FsError('ENOTEMPTY', `${name} is not empty`)
    return andThen(system.rmdir(at, name), () => {
      this.#inner.delete(target)
      this.#outer.delete(inner)
      return this.#scratch.rmdir(ROOT_INO, String(target))
    })
  }

  rename(parent: Ino, name: ByteName, newParent: Ino, newName: ByteName, mode: RenameMode = 'replace'): Eventual<void> {
    const from = this.#in(parent)
    const to = this.#in(newParent)
    if (from.system !== to.system) throw new FsError('EXDEV', 'a rename into or out of a scratch directory')
    if (from.system === this.#main) {
      const isFixed = (at: Ino, which: ByteName): boolean => {
        const found = child(this.#main, at, which)
        return this.#isScratchPath(at, which) || (found !== undefined && this.#inner.has(found.ino))
      }
      if (isFixed(from.ino, name) || isFixed(to.ino, newName)) throw new FsError('EXDEV', 'a scratch directory stays')
    }
    return from.system.rename(from.ino, name, to.ino, newName, mode)
  }

  readlink(target: Ino): ByteName {
    const { system, ino: at } = this.#at(target)
    return system.readlink(at)
  }

  // -------------------------------------------------------------- content

  open(target: Ino, truncate = false): Eventual<void> {
    const { system, ino: at } = this.#at(target)
    return system.open(at, truncate)
  }

  release(target: Ino): Eventual<void> {
    const { system, ino: at } = this.#at(target)
    return system.release(at)
  }

  read(target: Ino, offset: number, length: number): Eventual<Uint8Array> {
    const { system, ino: at } = this.#at(target)
    return system.read(at, offset, length)
  }

  write(target: Ino, offset: number, bytes: Uint8Array): Eventual<number> {
    const { system, ino: at } = this.#at(target)
    return system.write(at, offset, bytes)
  }

  fallocate(target: Ino, mode: AllocateMode, offset: number, length: number): Eventual<void> {
    const { system, ino: at } = this.#at(target)
    return system.fallocate(at, mode, offset, length)
  }

  /** What is in scratch directories is never durable. */
  fsync(): Eventual<void> {
    return this.#main.fsync()
  }

  // -------------------------------------------------------------- the whole

  readdir(target: Ino, after: number, count: number): readonly DirectoryEntry[] {
    const { system, ino: at } = this.#in(target)
    const entries = system.readdir(at, after, count)
    if (system === this.#main) return entries
    return entries.map((entry) => ({ ...entry, ino: this.#entryIno(target, entry) }))
  }

  #entryIno(directory: Ino, { name, ino: inner }: DirectoryEntry): Ino {
    if (this.#inner.has(directory) && name === '..') return this.#main.lookup(directory, '..').ino
    return this.#outer.get(inner) ?? ino(inner + SCRATCH_INO)
  }

  statfs(): Statistics {
    return this.#main.statfs()
  }
}

async function formatZeros(device: BlockDevice, now: () => Timestamp): Promise<void> {
  try {
    await FileSystem.format(device, { now })
  } catch (error) {
    if (!(error instanceof FsError) || error.code !== 'EEXIST') throw error
  }
}

function child(system: FileSystem, parent: Ino, name: ByteName): Attributes | undefined {
  try {
    return system.lookup(parent, name)
  } catch (error) {
    if (error instanceof FsError && error.code === 'ENOENT') return undefined
    throw error
  }
}
