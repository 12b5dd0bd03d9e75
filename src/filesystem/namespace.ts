/** Directories: finding, making, naming, moving and removing files. Each operation is one plan, carried out at once. */
import type { Eventual } from './block-device.ts'
import type { Directory, Entry } from './directory.ts'
import { Directory as NewDirectory } from './directory.ts'
import { andThen } from './eventual.ts'
import { type ByteName, FileType, LINKS_MAX, type Owner, type RenameMode } from './file-operations.ts'
import type { FileRemoval } from './file-removal.ts'
import { FsError } from './fs-error.ts'
import type { Inode } from './inode.ts'
import type { Metadata } from './metadata.ts'
import { checkName, checkTarget, isDots } from './names.ts'
import type { Transaction } from './transaction.ts'

export interface NewFile {
  /** Type and permission bits. */
  readonly mode: number
  readonly owner: Owner
  readonly rdev?: number
  /** Of a symbolic link. */
  readonly target?: ByteName
}

/** A directory inode with its entries. */
interface Folder {
  readonly inode: Inode
  readonly directory: Directory
}

const PERMISSIONS = 0o7777

export class Namespace {
  readonly #metadata: Metadata
  readonly #removal: FileRemoval

  constructor(metadata: Metadata, removal: FileRemoval) {
    this.#metadata = metadata
    this.#removal = removal
  }

  // -------------------------------------------------------------- finding

  folder(number: number): Folder {
    const inode = this.#metadata.inode(number)
    const { directory } = inode
    if (directory === undefined) throw new FsError('ENOTDIR', `inode ${number} is no directory`)
    return { inode, directory }
  }

  lookup(parent: number, name: ByteName): Inode {
    const { inode, directory } = this.folder(parent)
    if (name === '.') return inode
    if (name === '..') return this.#metadata.inode(directory.parent)
    checkName(name)
    return this.#metadata.inode(this.#entry(directory, name).child)
  }

  #entry(directory: Directory, name: ByteName): Entry {
    const entry = directory.get(name)
    if (entry === undefined) throw new FsError('ENOENT', `there is no ${name}`)
    return entry
  }

  // -------------------------------------------------------------- entries

  /** A folder that names may be put into: not one that was removed while open. */
  #livingFolder(number: number): Folder {
    const folder = this.folder(number)
    if (folder.inode.links === 0) throw new FsError('ENOENT', `directory ${number} was removed`)
    return folder
  }

  #touch(transaction: Transaction, folder: Inode, links: number): void {
    this.#metadata.inodes.change(transaction, folder)
    folder.links += links
    folder.mtime = this.#metadata.now()
    folder.ctime = folder.mtime
  }

  #touchFile(transaction: Transaction, inode: Inode, links: number): void {
    this.#metadata.inodes.change(transaction, inode)
    inode.links += links
    inode.ctime = this.#metadata.now()
  }

  #add(transaction: Transaction, { inode, directory }: Folder, name: ByteName, child: Inode): void {
    const sequence = directory.nextSequence
    const at = this.#metadata.names.insert(transaction, { parent: inode.number, child: child.number, sequence, name })
    directory.add(transaction, { name, child: child.number, sequence, at, isGone: false })
    this.#touch(transaction, inode, child.isDirectory ? 1 : 0)
    this.#moveUnder(transaction, child, inode)
  }

  #remove(transaction: Transaction, { inode, directory }: Folder, entry: Entry, child: Inode): void {
    this.#metadata.names.remove(transaction, entry.at)
    directory.remove(transaction, entry)
    this.#touch(transaction, inode, child.isDirectory ? -1 : 0)
  }

  /** The same name for another file, in place. */
  #repoint(transaction: Transaction, { inode }: Folder, entry: Entry, before: Inode, child: Inode): void {
    this.#metadata.names.repoint(transaction, entry.at, child.number)
    entry.child = child.number
    transaction.undoing(() => {
      entry.child = before.number
    })
    this.#touch(transaction, inode, (child.isDirectory ? 1 : 0) - (before.isDirectory ? 1 : 0))
    this.#moveUnder(transaction, child, inode)
  }

  #moveUnder(transaction: Transaction, child: Inode, folder: Inode): void {
    const { directory } = child
    if (directory === undefined) return
    const { parent } = directory
    directory.parent = folder.number
    transaction.undoing(() => {
      directory.parent = parent
    })
  }

  // -------------------------------------------------------------- making

  create(parent: number, name: ByteName, file: NewFile): Eventual<Inode> {
    checkName(name)
    if (file.target !== undefined) checkTarget(file.target)
    return this.#metadata.change((transaction) => {
      const folder = this.#livingFolder(parent)
      if (isDots(name) || folder.directory.get(name) !== undefined) throw new FsError('EEXIST', `there is a ${name}`)
      const { inodes, names } = this.#metadata
      const inode = inodes.create(transaction, file.mode, file.owner, this.#metadata.now())
      inode.rdev = file.rdev ?? 0
      if (inode.isDirectory) {
        inode.links = 2
        inode.directory = new NewDirectory(parent)
      }
      if (file.target !== undefined) {
        const record = { parent: inode.number, child: inode.number, sequence: 0, name: file.target }
        inode.target = { name: file.target, at: names.insert(transaction, record) }
        inode.size = file.target.length
      }
      this.#add(transaction, folder, name, inode)
      return inode
    })
  }

  mkdir(parent: number, name: ByteName, mode: number, owner: Owner): Eventual<Inode> {
    return this.create(parent, name, { mode: FileType.DIRECTORY | (mode & PERMISSIONS), owner })
  }

  symlink(parent: number, name: ByteName, target: ByteName, owner: Owner): Eventual<Inode> {
    return this.create(parent, name, { mode: FileType.SYMLINK | 0o777, owner, target })
  }

  link(target: number, parent: number, name: ByteName): Eventual<Inode> {
    checkName(name)
    return this.#metadata.change((transaction) => {
      const inode = this.#metadata.inode(target)
      const folder = this.#livingFolder(parent)
      if (isDots(name) || folder.directory.get(name) !== undefined) throw new FsError('EEXIST', `there is a ${name}`)
      if (inode.isDirectory) throw new FsError('EPERM', 'a directory has one name only')
      if (inode.links === 0) throw new FsError('ENOENT', `inode ${target} was unlinked`)
      if (inode.links >= LINKS_MAX) throw new FsError('EMLINK', `${LINKS_MAX} links are the most`)
      this.#touchFile(transaction, inode, 1)
      this.#add(transaction, folder, name, inode)
      return inode
    })
  }

  // -------------------------------------------------------------- removing

  unlink(parent: number, name: ByteName): Eventual<void> {
    checkName(name)
    if (isDots(name)) throw new FsError('EISDIR', `${name} is a directory`)
    const removed = this.#metadata.change((transaction) => {
      const folder = this.folder(parent)
      const entry = this.#entry(folder.directory, name)
      const inode = this.#metadata.inode(entry.child)
      if (inode.isDirectory) throw new FsError('EISDIR', `${name} is a directory`)
      this.#remove(transaction, folder, entry, inode)
      return this.#removal.unlink(transaction, inode) ? inode : undefined
    })
    return this.#reaped(removed)
  }

  #reaped(removed: Eventual<Inode | undefined>): Eventual<void> {
    return andThen(removed, (inode) => (inode === undefined ? undefined : this.#removal.reap(inode)))
  }

  rmdir(parent: number, name: ByteName): Eventual<void> {
    checkName(name)
    if (name === '.') throw new FsError('EINVAL', 'a directory is not removed from within')
    if (name === '..') throw new FsError('ENOTEMPTY', 'the parent holds this directory')
    const removed = this.#metadata.change((transaction) => {
      const folder = this.folder(parent)
      const entry = this.#entry(folder.directory, name)
      const { inode, directory } = this.folder(entry.child)
      if (directory.size > 0) throw new FsError('ENOTEMPTY', `${name} is not empty`)
      this.#remove(transaction, folder, entry, inode)
      return this.#removal.unlink(transaction, inode) ? inode : undefined
    })
    return this.#reaped(removed)
  }

  // -------------------------------------------------------------- renaming

  rename(parent: number, name: ByteName, newParent: number, newName: ByteName, mode: RenameMode): Eventual<void> {
    checkName(name)
    checkName(newName)
    if (isDots(name) || isDots(newName)) throw new FsError('EINVAL', 'a directory does not rename itself')
    const replaced = this.#metadata.change((transaction) => {
      const from = this.folder(parent)
      const to = this.#livingFolder(newParent)
      const entry = this.#entry(from.directory, name)
      const inode = this.#metadata.inode(entry.child)
      const target = to.directory.get(newName)
      this.#checkNotBelow(to.inode, inode)
      if (mode === 'exchange') {
        this.#exchange(transaction, { folder: from, entry }, { folder: to, entry: this.#entry(to.directory, newName) })
        return undefined
      }
      if (target !== undefined && mode === 'noreplace') throw new FsError('EEXIST', `there is a ${newName}`)
      // Two names of one file: POSIX wants nothing to be done.
      if (target?.child === inode.number) return undefined
      const old = target === undefined ? undefined : this.#metadata.inode(target.child)
      if (old !== undefined) checkReplaceable(old, inode)
      this.#touchFile(transaction, inode, 0)
      this.#remove(transaction, from, entry, inode)
      if (target === undefined || old === undefined) {
        this.#add(transaction, to, newName, inode)
        return undefined
      }
      this.#repoint(transaction, to, target, old, inode)
      return this.#removal.unlink(transaction, old) ? old : undefined
    })
    return this.#reaped(replaced)
  }

  #exchange(
    transaction: Transaction,
    one: { readonly folder: Folder; readonly entry: Entry },
    other: { readonly folder: Folder; readonly entry: Entry },
  ): void {
    const first = this.#metadata.inode(one.entry.child)
    const second = this.#metadata.inode(other.entry.child)
    if (first === second) return
    this.#checkNotBelow(one.folder.inode, second)
    this.#touchFile(transaction, first, 0)
    this.#touchFile(transaction, second, 0)
    this.#repoint(transaction, one.folder, one.entry, first, second)
    this.#repoint(transaction, other.folder, other.entry, second, first)
  }

  /** @throws FsError EINVAL when `folder` is `inode` or below it */
  #checkNotBelow(folder: Inode, inode: Inode): void {
    if (!inode.isDirectory) return
    for (let at = folder; ; ) {
      if (at === inode) throw new FsError('EINVAL', 'a directory cannot come under itself')
      const parent = at.directory?.parent ?? at.number
      if (parent === at.number) return
      at = this.#metadata.inode(parent)
    }
  }
}

function checkReplaceable(old: Inode, inode: Inode): void {
  if (inode.isDirectory && !old.isDirectory) throw new FsError('ENOTDIR', 'a directory replaces directories only')
  if (!inode.isDirectory && old.isDirectory) throw new FsError('EISDIR', 'a file does not replace a directory')
  if (old.directory !== undefined && old.directory.size > 0) throw new FsError('ENOTEMPTY', 'what it would replace')
}
