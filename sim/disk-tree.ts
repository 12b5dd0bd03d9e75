/**
 * The names on a simulated disk: folders, and the changes to them that a power cut may still undo. A change is durable
 * once a folder that it touches was synced; until then any subset of the changes may survive that a real journal could
 * leave, which is: none without the earlier ones on the same name or the same file.
 */
import { VolumeError } from '../src/protocol/errors.ts'
import { Inode } from './disk-file.ts'
import type { Random } from './random.ts'

export class Folder {
  /** As the process sees it. */
  entries = new Map<string, DiskNode>()
  /** As a power cut would leave it if all pending changes were lost. */
  readonly stable = new Map<string, DiskNode>()
}

export type DiskNode = Folder | Inode

/** One atomic change: names taken away and names given. */
interface Change {
  readonly cleared: readonly { readonly folder: Folder; readonly name: string; readonly was: DiskNode }[]
  readonly set: { readonly folder: Folder; readonly name: string; readonly node: DiskNode } | undefined
}

const touches = (change: Change, folder: Folder): boolean =>
  change.set?.folder === folder || change.cleared.some((c) => c.folder === folder)

function names(change: Change): { folder: Folder; name: string; node: DiskNode }[] {
  const cleared = change.cleared.map((c) => ({ folder: c.folder, name: c.name, node: c.was }))
  return change.set === undefined ? cleared : [...cleared, change.set]
}

const dependsOn = (later: Change, earlier: Change): boolean =>
  names(later).some((l) =>
    names(earlier).some((e) => l.node === e.node || (l.folder === e.folder && l.name === e.name)),
  )

function settle(change: Change): void {
  for (const { folder, name, was } of change.cleared) if (folder.stable.get(name) === was) folder.stable.delete(name)
  if (change.set !== undefined) change.set.folder.stable.set(change.set.name, change.set.node)
}

export const partsOf = (path: string): string[] => path.split('/').filter((part) => part !== '' && part !== '.')

export class DiskTree {
  readonly root = new Folder()
  #pending: Change[] = []

  find(path: string): DiskNode | undefined {
    let node: DiskNode | undefined = this.root
    for (const part of partsOf(path)) {
      if (!(node instanceof Folder)) return undefined
      node = node.entries.get(part)
    }
    return node
  }

  /** The folder that holds `path`, and the last part of it. @throws VolumeError `NotFound` */
  #place(path: string): { folder: Folder; name: string } {
    const parts = partsOf(path)
    const name = parts.pop()
    const folder = this.find(parts.join('/'))
    if (name === undefined || !(folder instanceof Folder)) throw new VolumeError('NotFound', `no folder for ${path}`)
    return { folder, name }
  }

  #change(change: Change): void {
    for (const { folder, name, was } of change.cleared)
      if (folder.entries.get(name) === was) folder.entries.delete(name)
    if (change.set !== undefined) change.set.folder.entries.set(change.set.name, change.set.node)
    this.#pending.push(change)
  }

  makeFolder(path: string): void {
    const parts = partsOf(path)
    for (let depth = 1; depth <= parts.length; depth++) {
      const part = parts.slice(0, depth).join('/')
      if (this.find(part) === undefined)
        this.#change({ cleared: [], set: { ...this.#place(part), node: new Folder() } })
    }
  }

  createFile(path: string): Inode {
    const { folder, name } = this.#place(path)
    const old = folder.entries.get(name)
    const node = new Inode()
    this.#change({ cleared: old === undefined ? [] : [{ folder, name, was: old }], set: { folder, name, node } })
    return node
  }

  rename(from: string, to: string): void {
    const source = this.#place(from)
    const target = this.#place(to)
    const node = source.folder.entries.get(source.name)
    if (node === undefined) throw new VolumeError('NotFound', `no file ${from}`)
    if (source.folder === target.folder && source.name === target.name) return
    const old = target.folder.entries.get(target.name)
    const cleared = [{ ...source, was: node }]
    if (old !== undefined) cleared.push({ ...target, was: old })
    this.#change({ cleared, set: { ...target, node } })
  }

  remove(path: string): void {
    const node = this.find(path)
    if (node !== undefined) this.#change({ cleared: [{ ...this.#place(path), was: node }], set: undefined })
  }

  /** Takes away all that is in a folder, as far as `keep` does not hold it back, and then the folder if it is empty. */
  removeFolder(path: string, keep: (name: string) => boolean = () => false): void {
    const folder = this.find(path)
    if (!(folder instanceof Folder)) return
    for (const name of [...folder.entries.keys()].sort()) {
      const inner = `${path}/${name}`
      if (folder.entries.get(name) instanceof Folder) this.removeFolder(inner, keep)
      else if (!keep(inner)) this.remove(inner)
    }
    if (folder.entries.size === 0) this.remove(path)
  }

  syncFolder(path: string): void {
    const folder = this.find(path)
    if (!(folder instanceof Folder)) throw new VolumeError('NotFound', `no folder ${path}`)
    const wanted = new Set<Change>()
    for (const change of this.#pending.toReversed()) {
      if (touches(change, folder) || [...wanted].some((later) => dependsOn(later, change))) wanted.add(change)
    }
    this.#settle(wanted)
  }

  #settle(wanted: ReadonlySet<Change>): void {
    for (const change of this.#pending) if (wanted.has(change)) settle(change)
    this.#pending = this.#pending.filter((change) => !wanted.has(change))
  }

  /** The system wrote its journal, unasked. */
  settleAll(): void {
    this.#settle(new Set(this.#pending))
  }

  losePower(random: Random): void {
    const fate = random.weighted({ none: 3, all: 2, prefix: 2, some: 3 })
    const cut = random.below(this.#pending.length + 1)
    const lost: Change[] = []
    for (const [i, change] of this.#pending.entries()) {
      const survives = fate === 'all' || (fate === 'prefix' && i < cut) || (fate === 'some' && random.chance(0.5))
      if (survives && !lost.some((earlier) => dependsOn(change, earlier))) settle(change)
      else lost.push(change)
    }
    this.#pending = []
    const restore = (folder: Folder): void => {
      folder.entries = new Map(folder.stable)
      for (const node of folder.entries.values()) if (node instanceof Folder) restore(node)
    }
    restore(this.root)
    for (const [, inode] of this.files()) inode.losePower(random)
  }

  /** Files by path, in order of their names, as the process sees them. */
  files(): [string, Inode][] {
    const found: [string, Inode][] = []
    const walk = (folder: Folder, prefix: string): void => {
      for (const name of [...folder.entries.keys()].sort()) {
        const node = folder.entries.get(name)
        if (node instanceof Folder) walk(node, `${prefix}${name}/`)
        else if (node !== undefined) found.push([prefix + name, node])
      }
    }
    walk(this.root, '')
    return found
  }

  /** All files that are there now or may come back after a power cut. */
  reachable(): Set<Inode> {
    const found = new Set<Inode>()
    const walk = (folder: Folder): void => {
      for (const node of new Set([...folder.entries.values(), ...folder.stable.values()])) {
        if (node instanceof Folder) walk(node)
        else found.add(node)
      }
    }
    walk(this.root)
    for (const change of this.#pending) if (change.set?.node instanceof Inode) found.add(change.set.node)
    return found
  }
}
