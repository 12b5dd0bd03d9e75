/**
 * The rules that metadata must keep at every LSN, one function for each. What is in memory is held against the blocks it
 * stands for, so that what a later attach will read is checked as well.
 */
import type { Extent } from './extent-map.ts'
import { FileType, ROOT_INO } from './file-operations.ts'
import type { Inode } from './inode.ts'
import { CHUNK_BYTES, SUPERBLOCK_CHUNKS } from './layout.ts'
import type { Metadata } from './metadata.ts'

export function checkMetadata(metadata: Metadata): string[] {
  return [
    ...links(metadata),
    ...records(metadata),
    ...namesInBlocks(metadata),
    ...extents(metadata),
    ...space(metadata),
  ]
}

/** Every file has as many names as it says, every directory one place in the tree that is under the root. */
function* links({ inodes }: Metadata): Iterable<string> {
  const names = new Map<number, number>()
  const reached = new Set<number>([ROOT_INO])
  const waiting: Inode[] = []
  const root = inodes.get(ROOT_INO)
  if (root !== undefined) waiting.push(root)
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    let subfolders = 0
    for (const { name, child } of folder.directory?.entries() ?? []) {
      const inode = inodes.get(child)
      names.set(child, (names.get(child) ?? 0) + 1)
      if (inode === undefined) yield `${name} in directory ${folder.number} is inode ${child}, which is not there`
      else if (inode.directory !== undefined) {
        subfolders++
        if (reached.has(child)) yield `directory ${child} has more than one name`
        else waiting.push(inode)
        if (inode.directory.parent !== folder.number) yield `directory ${child} says its parent is another`
      }
      reached.add(child)
    }
    if (folder.links !== 2 + subfolders)
      yield `directory ${folder.number} has ${folder.links} links, not ${2 + subfolders}`
  }
  for (const inode of inodes.all()) {
    const isOrphan = inode.links === 0
    if (isOrphan === reached.has(inode.number)) {
      yield `inode ${inode.number} with ${inode.links} links is ${isOrphan ? '' : 'not '}in the tree`
    }
    const found = names.get(inode.number) ?? 0
    if (!inode.isDirectory && inode.links !== found)
      yield `inode ${inode.number} has ${found} names, not ${inode.links}`
    if (isOrphan && (inode.directory?.size ?? 0) > 0) yield `directory ${inode.number} was removed with entries`
    if ((inode.type === FileType.SYMLINK) !== (inode.target !== undefined)) {
      yield `inode ${inode.number} has type ${inode.type.toString(8)} and ${inode.target ? 'a' : 'no'} target`
    }
    if (inode.target !== undefined && inode.target.name.length !== inode.size) {
      yield `the target of inode ${inode.number} has another size`
    }
  }
}

/** Records of inodes are what is in memory, but for times that a write has changed since. */
function* records({ inodes }: Metadata): Iterable<string> {
  for (const inode of inodes.all()) {
    const stored = inodes.stored(inode.number)
    for (const field of ['mode', 'links', 'uid', 'gid', 'size', 'rdev', 'generation'] as const) {
      if (stored[field] !== inode[field]) {
        yield `${field} of inode ${inode.number} is ${inode[field]}, and ${stored[field]} in its block`
      }
    }
  }
}

/** Names in blocks are the entries and targets in memory, no more and no fewer. */
function* namesInBlocks({ inodes, names }: Metadata): Iterable<string> {
  let stored = 0
  for (let index = 0; index < names.table.blocks.length; index++) {
    for (const { parent, child, name, sequence, at } of names.records(index)) {
      stored++
      const folder = inodes.get(parent)
      const entry = folder?.directory?.get(name)
      const isTarget = parent === child && folder?.target?.at === at && folder.target.name === name
      const isEntry = entry?.at === at && entry.child === child && entry.sequence === sequence
      if (!isTarget && !isEntry) yield `the name at ${at} (${parent}, ${name}) is not in memory`
    }
  }
  let held = 0
  for (const { directory, target } of inodes.all()) held += (directory?.size ?? 0) + (target === undefined ? 0 : 1)
  if (held !== stored) yield `${held} names are in memory and ${stored} in blocks`
}

/** Extents of a file are in order, those in blocks are those in memory, and files have none outside of their size. */
function* extents(metadata: Metadata): Iterable<string> {
  const { inodes, tables } = metadata
  const table = metadata.extents
  const held = new Map<number, Extent & { readonly owner: number }>()
  for (const { number, extents: map } of [...tables, ...inodes.all()]) {
    let end = 0
    let chunks = 0
    for (const extent of map) {
      if (extent.logical < end || extent.count < 1) yield `extent ${extent.slot} of ${number} overlaps the one before`
      end = extent.logical + extent.count
      chunks += extent.count
      held.set(extent.slot, { ...extent, owner: number })
    }
    if (chunks !== map.chunks) yield `${number} counts ${map.chunks} chunks and has ${chunks}`
  }
  let stored = 0
  for (let index = 0; index < table.table.blocks.length; index++) {
    for (const { slot, owner, logical, physical, count } of table.records(index, false)) {
      stored++
      const extent = held.get(slot)
      const isSame = extent?.logical === logical && extent.physical === physical && extent.count === count
      if (!isSame || extent.owner !== owner) yield `extent ${slot} of ${owner} is not what is in memory`
    }
  }
  if (stored !== held.size) yield `${held.size} extents are in memory and ${stored} in blocks`
  for (const inode of inodes.all()) {
    if (!inode.isRegular && inode.extents.length > 0) yield `inode ${inode.number} has extents and is no regular file`
  }
  if (table.freeSlots < 1) yield 'the extent table has no slot left for its own extent'
}

/** Every chunk of the device is the superblock's, of one extent, or free. */
function* space({ inodes, tables, space, superblock }: Metadata): Iterable<string> {
  const taken = [{ first: 0, count: SUPERBLOCK_CHUNKS, by: 'the superblock' }]
  for (const { number, extents } of [...tables, ...inodes.all()]) {
    for (const { physical, count } of extents) taken.push({ first: physical, count, by: `${number}` })
  }
  for (const range of space.ranges()) taken.push({ ...range, by: 'nobody' })
  taken.sort((a, b) => a.first - b.first)
  let at = 0
  let before = 'nobody'
  for (const { first, count, by } of taken) {
    if (first < at) yield `chunk ${first} belongs to ${before} and to ${by}`
    if (first > at) yield `chunks ${at} to ${first} of ${CHUNK_BYTES} bytes are neither free nor in use`
    at = Math.max(at, first + count)
    before = by
  }
  if (at !== superblock.capacityChunks) yield `the device ends at chunk ${at}, not ${superblock.capacityChunks}`
}
