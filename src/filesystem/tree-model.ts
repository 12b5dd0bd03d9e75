/**
 * What a file system is, without blocks: a tree of maps and buffers. Tests hold `FileSystem` against it. Every operation
 * answers the code of its error, or undefined.
 */
import { crc32 } from 'node:zlib'
import type { AllocateMode, RenameMode } from './file-operations.ts'
import { FileType, type Ino, ROOT_INO } from './file-operations.ts'
import type { FileSystem } from './file-system.ts'
import type { FsErrorCode } from './fs-error.ts'

export interface ModelNode {
  /** As the file system under test calls it. */
  readonly ino: Ino
  mode: number
  /** Of a directory. */
  readonly entries?: Map<string, ModelNode>
  parent?: ModelNode
  /** Of a regular file. */
  content?: Buffer
  readonly target?: string
  links: number
  opens: number
}

type Answer = FsErrorCode | undefined

export class TreeModel {
  readonly root: ModelNode = { ino: ROOT_INO, mode: 0o755, entries: new Map(), links: 1, opens: 0 }
  /** All nodes that a name leads to or that are open. */
  readonly nodes = new Set<ModelNode>([this.root])

  get directories(): ModelNode[] {
    return [...this.nodes].filter(({ entries }) => entries !== undefined)
  }

  get files(): ModelNode[] {
    return [...this.nodes].filter(({ content }) => content !== undefined)
  }

  /** Whether `make` would do; `made` adds what it made. */
  canMake(parent: ModelNode, name: string): Answer {
    if (parent.links === 0) return 'ENOENT'
    return parent.entries?.has(name) ? 'EEXIST' : undefined
  }

  made(parent: ModelNode, name: string, node: Omit<ModelNode, 'links' | 'parent'>): void {
    const added: ModelNode = { ...node, links: 1, parent }
    parent.entries?.set(name, added)
    this.nodes.add(added)
  }

  link(node: ModelNode, parent: ModelNode, name: string): Answer {
    const refused = this.canMake(parent, name)
    if (refused !== undefined) return refused
    if (node.entries !== undefined) return 'EPERM'
    if (node.links === 0) return 'ENOENT'
    parent.entries?.set(name, node)
    node.links++
    return undefined
  }

  #drop(node: ModelNode): void {
    node.links--
    this.#collect(node)
  }

  #collect(node: ModelNode): void {
    if (node.links === 0 && node.opens === 0) this.nodes.delete(node)
  }

  unlink(parent: ModelNode, name: string): Answer {
    const node = parent.entries?.get(name)
    if (node === undefined) return 'ENOENT'
    if (node.entries !== undefined) return 'EISDIR'
    parent.entries?.delete(name)
    this.#drop(node)
    return undefined
  }

  rmdir(parent: ModelNode, name: string): Answer {
    const node = parent.entries?.get(name)
    if (node === undefined) return 'ENOENT'
    if (node.entries === undefined) return 'ENOTDIR'
    if (node.entries.size > 0) return 'ENOTEMPTY'
    parent.entries?.delete(name)
    this.#drop(node)
    return undefined
  }

  rename(parent: ModelNode, name: string, newParent: ModelNode, newName: string, mode: RenameMode): Answer {
    if (newParent.links === 0) return 'ENOENT'
    const node = parent.entries?.get(name)
    if (node === undefined) return 'ENOENT'
    const old = newParent.entries?.get(newName)
    if (isBelow(newParent, node)) return 'EINVAL'
    if (mode === 'exchange') {
      if (old === undefined) return 'ENOENT'
      if (isBelow(parent, old)) return 'EINVAL'
      put(parent, name, old)
      put(newParent, newName, node)
      return undefined
    }
    if (old !== undefined && mode === 'noreplace') return 'EEXIST'
    if (old === node) return undefined
    if (old !== undefined) {
      if (node.entries !== undefined && old.entries === undefined) return 'ENOTDIR'
      if (node.entries === undefined && old.entries !== undefined) return 'EISDIR'
      if ((old.entries?.size ?? 0) > 0) return 'ENOTEMPTY'
    }
    parent.entries?.delete(name)
    put(newParent, newName, node)
    if (old !== undefined) this.#drop(old)
    return undefined
  }

  release(node: ModelNode): void {
    node.opens--
    this.#collect(node)
  }

  // -------------------------------------------------------------- content

  resize(node: ModelNode, size: number): void {
    const content = Buffer.alloc(size)
    node.content?.copy(content, 0, 0, size)
    node.content = content
  }

  write(node: ModelNode, offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length
    if (node.content !== undefined && end > node.content.length) this.resize(node, end)
    node.content?.set(bytes, offset)
  }

  allocate(node: ModelNode, mode: AllocateMode, offset: number, length: number): void {
    const { content } = node
    if (content === undefined) return
    if (mode !== 'allocate' && mode !== 'allocate-keep-size') content.subarray(offset, offset + length).fill(0)
    const isExtending = mode === 'allocate' || mode === 'zero-range'
    if (isExtending && offset + length > content.length) this.resize(node, offset + length)
  }

  /** A line for every name, sorted: comparable with `describeTree`. */
  describe(): string {
    const lines: string[] = []
    const firstPath = new Map<ModelNode, string>()
    const walk = (path: string, node: ModelNode): void => {
      const same = node.entries === undefined ? firstPath.get(node) : undefined
      firstPath.set(node, same ?? path)
      lines.push(
        same === undefined ? line(path, node.mode, node.links, node.content, node.target) : `${path} = ${same}`,
      )
      for (const name of [...(node.entries?.keys() ?? [])].sort())
        walk(`${path}/${name}`, node.entries?.get(name) as ModelNode)
    }
    walk('', this.root)
    return lines.join('\n')
  }
}

const isBelow = (folder: ModelNode, node: ModelNode): boolean => {
  for (let at: ModelNode | undefined = folder; at !== undefined; at = at.parent) if (at === node) return true
  return false
}

function put(parent: ModelNode, name: string, node: ModelNode): void {
  parent.entries?.set(name, node)
  if (node.entries !== undefined) node.parent = parent
}

function line(path: string, mode: number, links: number, content?: Uint8Array, target?: string): string {
  const what = content === undefined ? (target ?? 'directory') : `${content.length} bytes, crc ${crc32(content)}`
  return `${path} ${(mode & 0o7777).toString(8)} x${content === undefined ? '' : links}: ${what}`
}

/** What a file system shows, read through its operations. */
export async function describeTree(system: FileSystem): Promise<string> {
  const lines: string[] = []
  const firstPath = new Map<Ino, string>()
  const walk = async (path: string, ino: Ino): Promise<void> => {
    const { mode, size, links } = system.getattr(ino)
    const type = mode & FileType.MASK
    const isDirectory = type === FileType.DIRECTORY
    const same = isDirectory ? undefined : firstPath.get(ino)
    firstPath.set(ino, same ?? path)
    const content = type === FileType.REGULAR ? await system.read(ino, 0, size) : undefined
    const target = type === FileType.SYMLINK ? system.readlink(ino) : undefined
    lines.push(same === undefined ? line(path, mode, links, content, target) : `${path} = ${same}`)
    if (!isDirectory) return
    const entries = system.readdir(ino, 2, Number.MAX_SAFE_INTEGER)
    for (const { name, ino: child } of [...entries].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      await walk(`${path}/${name}`, child)
    }
  }
  await walk('', ROOT_INO)
  return lines.join('\n')
}
