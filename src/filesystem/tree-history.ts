/** Random operations on a file system and on the model of it, step by step, each with the same outcome. */
import { strict as assert } from 'node:assert'
import { type AllocateMode, FileType, type Ino, type RenameMode } from './file-operations.ts'
import type { FileSystem } from './file-system.ts'
import { FsError } from './fs-error.ts'
import type { ModelNode, TreeModel } from './tree-model.ts'

/** One step: what to do, and numbers that choose among what is there. */
export interface Step {
  readonly act: (typeof ACTS)[number]
  readonly pick: readonly [number, number, number, number]
  readonly offset: number
  readonly length: number
}

export const ACTS = [
  'create',
  'mkdir',
  'symlink',
  'mknod',
  'link',
  'unlink',
  'rmdir',
  'rename',
  'write',
  'write',
  'truncate',
  'allocate',
  'open',
  'release',
  'chmod',
] as const

const NAMES = ['a', 'b', 'a-name-of-more-than-one-granule', '\xff\xfe', 'x'.repeat(255)]
const RENAMES: readonly RenameMode[] = ['replace', 'replace', 'noreplace', 'exchange']
const ALLOCATIONS: readonly AllocateMode[] = [
  'allocate',
  'allocate-keep-size',
  'punch-hole',
  'zero-range',
  'zero-range-keep-size',
]
const OWNER = { uid: 5, gid: 6 }

const choose = <T>(from: readonly T[], pick: number): T => from[pick % from.length] as T

/** Runs `call`; the code of its error. */
async function codeOf(call: () => unknown): Promise<string | undefined> {
  try {
    await call()
    return undefined
  } catch (error) {
    if (error instanceof FsError) return error.code
    throw error
  }
}

async function make(model: TreeModel, parent: ModelNode, name: string, call: () => Promise<Omit<ModelNode, 'links'>>) {
  const expected = model.canMake(parent, name)
  let node: Omit<ModelNode, 'links'> | undefined
  const code = await codeOf(async () => {
    node = await call()
  })
  assert.equal(code, expected)
  if (node !== undefined) model.made(parent, name, node)
}

export async function takeStep(system: FileSystem, model: TreeModel, step: Step): Promise<void> {
  const { act, pick, offset, length } = step
  const parent = choose(model.directories, pick[0])
  const other = choose(model.directories, pick[1])
  const name = choose(NAMES, pick[2])
  const newName = choose(NAMES, pick[3])
  const file = choose(model.files, pick[1]) as ModelNode | undefined
  const made = async (answer: unknown, node: object): Promise<Omit<ModelNode, 'links'>> => {
    const { ino, mode } = (await answer) as { ino: Ino; mode: number }
    return { ino, mode: mode & 0o7777, opens: 0, ...node }
  }
  switch (act) {
    case 'create':
      return make(model, parent, name, () =>
        made(system.create(parent.ino, name, 0o640, OWNER), { content: Buffer.alloc(0), opens: 1 }),
      )
    case 'mkdir':
      return make(model, parent, name, () => made(system.mkdir(parent.ino, name, 0o700, OWNER), { entries: new Map() }))
    case 'symlink':
      return make(model, parent, name, () =>
        made(system.symlink(parent.ino, name, `../${newName}`, OWNER), { target: `../${newName}` }),
      )
    case 'mknod':
      return make(model, parent, name, () =>
        made(system.mknod(parent.ino, name, FileType.REGULAR | 0o600, OWNER), { content: Buffer.alloc(0) }),
      )
    case 'link': {
      const node = choose([...model.nodes], pick[1])
      return assert.equal(await codeOf(() => system.link(node.ino, parent.ino, name)), model.link(node, parent, name))
    }
    case 'unlink':
      return assert.equal(await codeOf(() => system.unlink(parent.ino, name)), model.unlink(parent, name))
    case 'rmdir':
      return assert.equal(await codeOf(() => system.rmdir(parent.ino, name)), model.rmdir(parent, name))
    case 'rename': {
      const mode = choose(RENAMES, offset)
      const code = await codeOf(() => system.rename(parent.ino, name, other.ino, newName, mode))
      return assert.equal(code, model.rename(parent, name, other, newName, mode))
    }
    case 'chmod':
      await system.setattr(parent.ino, { mode: length & 0o777, uid: offset })
      parent.mode = length & 0o777
      return
  }
  if (file === undefined) return
  switch (act) {
    case 'write': {
      const bytes = Buffer.alloc(length, `${offset}.${pick[2]} `)
      assert.equal(await system.write(file.ino, offset, bytes), length)
      return length === 0 ? undefined : model.write(file, offset, bytes)
    }
    case 'truncate':
      await system.setattr(file.ino, { size: offset })
      return model.resize(file, offset)
    case 'allocate': {
      const mode = choose(ALLOCATIONS, pick[2])
      await system.fallocate(file.ino, mode, offset, length + 1)
      return model.allocate(file, mode, offset, length + 1)
    }
    case 'open':
      await system.open(file.ino)
      file.opens++
      return
    case 'release':
      if (file.opens === 0) return
      await system.release(file.ino)
      model.release(file)
  }
}

/** One step without a model, on any of `inos`: it may well be refused. */
export async function startStep(system: FileSystem, inos: readonly Ino[], step: Step): Promise<unknown> {
  const { act, pick, offset, length } = step
  const [one, other] = [choose(inos, pick[0]), choose(inos, pick[1])]
  const [name, newName] = [choose(NAMES, pick[2]), choose(NAMES, pick[3])]
  switch (act) {
    case 'create':
      return system.create(one, name, 0o640, OWNER)
    case 'mkdir':
      return system.mkdir(one, name, 0o700, OWNER)
    case 'symlink':
      return system.symlink(one, name, newName, OWNER)
    case 'mknod':
      return system.mknod(one, name, FileType.REGULAR | 0o600, OWNER)
    case 'link':
      return system.link(other, one, name)
    case 'unlink':
      return system.unlink(one, name)
    case 'rmdir':
      return system.rmdir(one, name)
    case 'rename':
      return system.rename(one, name, other, newName, choose(RENAMES, offset))
    case 'chmod':
      return system.setattr(one, { mode: length & 0o777 })
    case 'write':
      return system.write(one, offset, Buffer.alloc(length, 1))
    case 'truncate':
      return system.setattr(one, { size: offset })
    case 'allocate':
      return system.fallocate(one, choose(ALLOCATIONS, pick[2]), offset, length)
    case 'open':
      return system.open(one, pick[2] % 2 === 0)
    case 'release':
      return system.release(one)
  }
}

/** After a restart nothing is open, and what had no name is gone. */
export function restarted(model: TreeModel): void {
  for (const node of model.nodes) {
    while (node.opens > 0) model.release(node)
    if (node.links === 0) model.nodes.delete(node)
  }
}
