/** A file system in memory, as small as it can be: for tests of what serves one. Slabs of a file double in size. */
import {
  type AllocateMode,
  type AttributeChange,
  type Attributes,
  type DirectoryEntry,
  type FileOperations,
  FileType,
  type Ino,
  ino,
  NAME_BYTES_MAX,
  type Owner,
  type RenameMode,
  type Statistics,
  type Timestamp,
} from '../src/filesystem/file-operations.ts'
import { FsError, type FsErrorCode } from '../src/filesystem/fs-error.ts'

interface Node {
  readonly ino: Ino
  mode: number
  links: number
  uid: number
  gid: number
  rdev: number
  atime: Timestamp
  mtime: Timestamp
  ctime: Timestamp
  size: number
  data: Uint8Array
  target: string
  parent: Ino
  readonly names: Map<string, { ino: Ino; cookie: number }>
  opens: number
}

const fail = (code: FsErrorCode, message = code): never => {
  throw new FsError(code, message)
}
const isDirectory = ({ mode }: Node): boolean => (mode & FileType.MASK) === FileType.DIRECTORY
const now = (): Timestamp => {
  const ms = Date.now()
  return { seconds: Math.floor(ms / 1000), nanoseconds: (ms % 1000) * 1_000_000 }
}

export class MemoryFiles implements FileOperations {
  readonly readOnly = false
  /** Times an fsync was asked for. */
  syncs = 0
  /** What an fsync and a write wait for, when they are to wait. */
  waitForSync: (() => Promise<void>) | undefined
  waitForWrite: (() => Promise<void>) | undefined
  readonly #nodes = new Map<Ino, Node>()
  #next = 2
  #cookie = 2

  constructor() {
    const root = this.#node(ino(1), FileType.DIRECTORY | 0o755, { uid: 0, gid: 0 })
    root.links = 2
  }

  get inodes(): number {
    return this.#nodes.size
  }

  #node(number: Ino, mode: number, { uid, gid }: Owner, rdev = 0): Node {
    const time = now()
    const node: Node = {
      ino: number,
      mode,
      links: 0,
      uid,
      gid,
      rdev,
      atime: time,
      mtime: time,
      ctime: time,
      size: 0,
      data: new Uint8Array(0),
      target: '',
      parent: ino(1),
      names: new Map(),
      opens: 0,
    }
    this.#nodes.set(number, node)
    return node
  }

  #get(number: Ino): Node {
    return this.#nodes.get(number) ?? fail('ENOENT')
  }

  #directory(number: Ino): Node {
    const node = this.#get(number)
    return isDirectory(node) ? node : fail('ENOTDIR')
  }

  #find(parent: Ino, name: string): Node {
    const directory = this.#directory(parent)
    if (name.length > NAME_BYTES_MAX) fail('ENAMETOOLONG')
    if (name === '.') return directory
    if (name === '..') return this.#get(directory.parent)
    return this.#get((directory.names.get(name) ?? fail('ENOENT')).ino)
  }

  #add(parent: Ino, name: string, node: Node): void {
    const directory = this.#directory(parent)
    if (name.length > NAME_BYTES_MAX) fail('ENAMETOOLONG')
    if (directory.names.has(name)) fail('EEXIST')
    directory.names.set(name, { ino: node.ino, cookie: ++this.#cookie })
    node.parent = parent
    node.links += isDirectory(node) ? 2 : 1
    if (isDirectory(node)) directory.links++
    directory.mtime = directory.ctime = node.ctime = now()
  }

  #drop(parent: Ino, name: string, node: Node): void {
    const directory = this.#directory(parent)
    directory.names.delete(name)
    node.links -= isDirectory(node) ? 2 : 1
    if (isDirectory(node)) directory.links--
    directory.mtime = directory.ctime = node.ctime = now()
    this.#collect(node)
  }

  #collect(node: Node): void {
    if (node.links === 0 && node.opens === 0) this.#nodes.delete(node.ino)
  }

  #make(parent: Ino, name: string, mode: number, owner: Owner, rdev = 0): Node {
    if (this.#directory(parent).names.has(name)) fail('EEXIST')
    if (name.length > NAME_BYTES_MAX) fail('ENAMETOOLONG')
    if (this.#directory(parent).links === 0) fail('ENOENT')
    const node = this.#node(ino(this.#next++), mode, owner, rdev)
    this.#add(parent, name, node)
    return node
  }

  lookup(parent: Ino, name: string): Attributes {
    return this.#attributes(this.#find(parent, name))
  }
  getattr(target: Ino): Attributes {
    return this.#attributes(this.#get(target))
  }

  #attributes({ ino, mode, links, uid, gid, rdev, atime, mtime, ctime, size, data }: Node): Attributes {
    const blocks = Math.ceil(Math.min(size, data.length) / 4096) * 8
    return { ino, generation: 0, mode, links, uid, gid, size, blocks, rdev, atime, mtime, ctime }
  }

  setattr(target: Ino, { mode, uid, gid, size, atime, mtime }: AttributeChange): Attributes {
    const node = this.#get(target)
    if (size !== undefined) this.#resize(node, size)
    if (mode !== undefined) node.mode = (node.mode & FileType.MASK) | mode
    node.uid = uid ?? node.uid
    node.gid = gid ?? node.gid
    node.ctime = now()
    if (atime !== undefined) node.atime = atime === 'now' ? node.ctime : atime
    if (mtime !== undefined) node.mtime = mtime === 'now' ? node.ctime : mtime
    return this.#attributes(node)
  }

  #resize(node: Node, size: number): void {
    if (isDirectory(node)) fail('EISDIR')
    if (size > 2 ** 30) fail('EFBIG')
    if (size < node.size) node.data.fill(0, size, Math.min(node.size, node.data.length))
    node.size = size
    node.mtime = node.ctime = now()
  }

  create(parent: Ino, name: string, mode: number, owner: Owner): Attributes {
    const node = this.#make(parent, name, FileType.REGULAR | mode, owner)
    node.opens++
    return this.#attributes(node)
  }
  mknod(parent: Ino, name: string, mode: number, owner: Owner, rdev = 0): Attributes {
    return this.#attributes(this.#make(parent, name, mode, owner, rdev))
  }
  mkdir(parent: Ino, name: string, mode: number, owner: Owner): Attributes {
    return this.#attributes(this.#make(parent, name, FileType.DIRECTORY | mode, owner))
  }
  symlink(parent: Ino, name: string, target: string, owner: Owner): Attributes {
    const node = this.#make(parent, name, FileType.SYMLINK | 0o777, owner)
    node.target = target
    node.size = target.length
    return this.#attributes(node)
  }
  link(target: Ino, newParent: Ino, newName: string): Attributes {
    const node = this.#get(target)
    if (isDirectory(node)) fail('EPERM')
    this.#add(newParent, newName, node)
    return this.#attributes(node)
  }
  unlink(parent: Ino, name: string): void {
    const node = this.#find(parent, name)
    if (isDirectory(node)) fail('EISDIR')
    this.#drop(parent, name, node)
  }
  rmdir(parent: Ino, name: string): void {
    const node = this.#find(parent, name)
    if (!isDirectory(node)) fail('ENOTDIR')
    if (node.names.size > 0) fail('ENOTEMPTY')
    this.#drop(parent, name, node)
  }

  rename(parent: Ino, name: string, newParent: Ino, newName: string, mode: RenameMode = 'replace'): void {
    const node = this.#find(parent, name)
    const there = this.#directory(newParent).names.get(newName)
    if (mode === 'noreplace' && there !== undefined) fail('EEXIST')
    if (mode === 'exchange') fail('EINVAL')
    if (there?.ino === node.ino) return
    for (let at = this.#get(newParent); at.ino !== 1; at = this.#get(at.parent)) if (at === node) fail('EINVAL')
    if (there !== undefined) {
      const replaced = this.#get(there.ino)
      if (isDirectory(node) && !isDirectory(replaced)) fail('ENOTDIR')
      if (!isDirectory(node) && isDirectory(replaced)) fail('EISDIR')
      if (replaced.names.size > 0) fail('ENOTEMPTY')
      this.#drop(newParent, newName, replaced)
    }
    node.opens++
    this.#drop(parent, name, node)
    this.#add(newParent, newName, node)
    node.opens--
  }

  readlink(target: Ino): string {
    return this.#get(target).target
  }
  open(target: Ino, truncate = false): void {
    const node = this.#get(target)
    if (truncate) this.#resize(node, 0)
    node.opens++
  }
  release(target: Ino): void {
    const node = this.#get(target)
    if (node.opens-- === 0) throw new Error(`release of inode ${target} that is not open`)
    this.#collect(node)
  }

  read(target: Ino, offset: number, length: number): Uint8Array {
    const { data, size } = this.#get(target)
    const end = Math.min(offset + length, size)
    if (end <= offset) return new Uint8Array(0)
    if (end <= data.length) return data.subarray(offset, end)
    const bytes = new Uint8Array(end - offset)
    bytes.set(data.subarray(offset, end))
    return bytes
  }

  write(target: Ino, offset: number, bytes: Uint8Array): number | Promise<number> {
    if (this.waitForWrite !== undefined) return this.waitForWrite().then(() => this.#write(target, offset, bytes))
    return this.#write(target, offset, bytes)
  }

  #write(target: Ino, offset: number, bytes: Uint8Array): number {
    const node = this.#get(target)
    const end = offset + bytes.length
    if (end > 2 ** 30) fail('EFBIG')
    if (end > node.data.length) {
      const grown = new Uint8Array(Math.max(end, node.data.length * 2, 65_536))
      grown.set(node.data)
      node.data = grown
    }
    node.data.set(bytes, offset)
    node.size = Math.max(node.size, end)
    node.mtime = node.ctime = now()
    return bytes.length
  }

  fallocate(target: Ino, mode: AllocateMode, offset: number, length: number): void {
    const node = this.#get(target)
    if (length === 0) fail('EINVAL')
    if (mode.startsWith('punch') || mode.startsWith('zero'))
      node.data.fill(0, offset, Math.min(offset + length, node.size))
    if (mode === 'allocate' || mode === 'zero-range') node.size = Math.max(node.size, offset + length)
  }

  fsync(): void | Promise<void> {
    this.syncs++
    return this.waitForSync?.()
  }

  readdir(target: Ino, after: number, count: number): DirectoryEntry[] {
    const directory = this.#directory(target)
    const entries: DirectoryEntry[] = [
      { name: '.', ino: target, type: FileType.DIRECTORY, cookie: 1 },
      { name: '..', ino: directory.parent, type: FileType.DIRECTORY, cookie: 2 },
    ]
    for (const [name, entry] of directory.names) {
      entries.push({ name, ino: entry.ino, type: this.#get(entry.ino).mode & FileType.MASK, cookie: entry.cookie })
    }
    return entries.filter(({ cookie }) => cookie > after).slice(0, count)
  }

  statfs(): Statistics {
    return { blockBytes: 4096, blocks: 2 ** 20, blocksFree: 2 ** 19, files: 1000, filesFree: 500, nameBytesMax: 255 }
  }
}
