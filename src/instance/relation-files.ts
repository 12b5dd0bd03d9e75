/**
 * Knows which files hold the engine's pages, so that no torn one gets into the log: tables and indexes are only ever
 * written in whole pages, and run without full-page writes. Everything else is passed on.
 *
 * A page's file is known by where it is: `base/<database>/<number>...` and `global/<number>...`. Tablespaces are links out
 * of the data directory, for superusers only: there are none. Who writes to a file has looked it up, or made it, by name
 * before: here, or of a server before us (`lookUpAll`). A file without a name that was open then is not known; nobody
 * reads its pages after a crash.
 */
import type { Eventual } from '../filesystem/block-device.ts'
import { andThen } from '../filesystem/eventual.ts'
import {
  type AllocateMode,
  type AttributeChange,
  type Attributes,
  type ByteName,
  type DirectoryEntry,
  type FileOperations,
  FileType,
  type Ino,
  type Owner,
  type RenameMode,
  ROOT_INO,
  type Statistics,
} from '../filesystem/file-operations.ts'

export const PAGE_BYTES = 8192

/** `16384`, `16384.1`, `16384_fsm`, `16384_vm.2`, `16384_init`, and of a temporary table `t3_16384`. */
const RELATION = /^(?:t\d+_)?\d+(?:_(?:fsm|vm|init))?(?:\.\d+)?$/
const NUMBER = /^\d+$/
/** `.` and `..` come first in every directory. */
const DOTS = 2

/** What a directory is, as far as pages lie below it. */
type Place = 'root' | 'data' | 'databases' | 'relations'

function placeBelow(place: Place | undefined, name: ByteName): Place | undefined {
  if (place === 'root') return 'data'
  if (place === 'data') return name === 'base' ? 'databases' : name === 'global' ? 'relations' : undefined
  return place === 'databases' && NUMBER.test(name) ? 'relations' : undefined
}

export class RelationFiles implements FileOperations {
  readonly #files: FileOperations
  readonly #places = new Map<Ino, Place>([[ROOT_INO, 'root']])
  readonly #relations = new Set<Ino>()

  constructor(files: FileOperations) {
    this.#files = files
  }

  /** Hot path: one look into a set for each write. */
  pageBytesOf(file: Ino): number | undefined {
    return this.#relations.has(file) ? PAGE_BYTES : undefined
  }

  /** For a kernel that asked another server, and does not ask again. */
  lookUpAll(): void {
    this.#lookUpIn(ROOT_INO)
  }

  #lookUpIn(directory: Ino): void {
    const isRelations = this.#places.get(directory) === 'relations'
    for (const { name, type } of this.#files.readdir(directory, DOTS, Number.MAX_SAFE_INTEGER)) {
      if (isRelations) this.lookup(directory, name)
      else if (type === FileType.DIRECTORY) {
        const { ino } = this.lookup(directory, name)
        if (this.#places.has(ino)) this.#lookUpIn(ino)
      }
    }
  }

  #note(parent: Ino, name: ByteName, attributes: Attributes): Attributes {
    if (name === '.' || name === '..') return attributes
    const { ino, mode } = attributes
    const place = this.#places.get(parent)
    const type = mode & FileType.MASK
    // A number is used again, for a file of another kind perhaps.
    if (type === FileType.REGULAR && place === 'relations' && RELATION.test(name)) this.#relations.add(ino)
    else this.#relations.delete(ino)
    const below = type === FileType.DIRECTORY ? placeBelow(place, name) : undefined
    if (below !== undefined) this.#places.set(ino, below)
    else if (ino !== ROOT_INO) this.#places.delete(ino)
    return attributes
  }

  get readOnly(): boolean {
    return this.#files.readOnly
  }

  lookup(parent: Ino, name: ByteName): Attributes {
    return this.#note(parent, name, this.#files.lookup(parent, name))
  }

  create(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes> {
    return andThen(this.#files.create(parent, name, mode, owner), (made) => this.#note(parent, name, made))
  }

  mkdir(parent: Ino, name: ByteName, mode: number, owner: Owner): Eventual<Attributes> {
    return andThen(this.#files.mkdir(parent, name, mode, owner), (made) => this.#note(parent, name, made))
  }

  mknod(parent: Ino, name: ByteName, mode: number, owner: Owner, rdev?: number): Eventual<Attributes> {
    return andThen(this.#files.mknod(parent, name, mode, owner, rdev), (made) => this.#note(parent, name, made))
  }

  link(target: Ino, newParent: Ino, newName: ByteName): Eventual<Attributes> {
    return andThen(this.#files.link(target, newParent, newName), (made) => this.#note(newParent, newName, made))
  }

  /** The kernel goes on with the inode it knows, without looking it up under its new name. */
  rename(parent: Ino, name: ByteName, newParent: Ino, newName: ByteName, mode?: RenameMode): Eventual<void> {
    return andThen(this.#files.rename(parent, name, newParent, newName, mode), () => {
      this.lookup(newParent, newName)
      if (mode === 'exchange') this.lookup(parent, name)
    })
  }

  getattr(target: Ino): Attributes {
    return this.#files.getattr(target)
  }

  setattr(target: Ino, change: AttributeChange): Eventual<Attributes> {
    return this.#files.setattr(target, change)
  }

  symlink(parent: Ino, name: ByteName, target: ByteName, owner: Owner): Eventual<Attributes> {
    return this.#files.symlink(parent, name, target, owner)
  }

  unlink(parent: Ino, name: ByteName): Eventual<void> {
    return this.#files.unlink(parent, name)
  }

  rmdir(parent: Ino, name: ByteName): Eventual<void> {
    return this.#files.rmdir(parent, name)
  }

  readlink(target: Ino): ByteName {
    return this.#files.readlink(target)
  }

  open(target: Ino, truncate?: boolean): Eventual<void> {
    return this.#files.open(target, truncate)
  }

  release(target: Ino): Eventual<void> {
    return this.#files.release(target)
  }

  read(target: Ino, offset: number, length: number): Eventual<Uint8Array> {
    return this.#files.read(target, offset, length)
  }

  write(target: Ino, offset: number, bytes: Uint8Array): Eventual<number> {
    return this.#files.write(target, offset, bytes)
  }

  fallocate(target: Ino, mode: AllocateMode, offset: number, length: number): Eventual<void> {
    return this.#files.fallocate(target, mode, offset, length)
  }

  fsync(): Eventual<void> {
    return this.#files.fsync()
  }

  readdir(target: Ino, after: number, count: number): readonly DirectoryEntry[] {
    return this.#files.readdir(target, after, count)
  }

  statfs(): Statistics {
    return this.#files.statfs()
  }
}
