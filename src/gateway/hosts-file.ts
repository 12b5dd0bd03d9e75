/** Changes a file of hosts(5), which others read all the time and may change at the same time. */
import { existsSync } from 'node:fs'
import { type FileHandle, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { type BlockOwner, type NamedAddress, withBlock } from './hosts-block.ts'

/** Whoever makes it is the one who may change the file; it becomes the file. A region that is at it needs milliseconds. */
const NEXT = '.borealis-next'
const PAUSE_MS = 20
/** Who has it for longer was killed. */
const WAIT_MS_MAX = 1000

/** A new file would get another label there, and some programs may then not read it. */
const SELINUX = '/sys/fs/selinux/enforce'

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** Which file has that name; undefined when none has. */
const identityOf = (path: string): Promise<string | undefined> =>
  stat(path).then(
    ({ ino, birthtimeMs }) => `${ino} ${birthtimeMs}`,
    () => undefined,
  )

async function takeNext(path: string): Promise<FileHandle> {
  let there: string | undefined
  let lateMs = Number.POSITIVE_INFINITY
  for (;;) {
    try {
      return await open(path, 'wx', 0o600)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    const now = await identityOf(path)
    if (now !== there) {
      there = now
      lateMs = performance.now() + WAIT_MS_MAX
    } else if (performance.now() > lateMs) await rm(path, { force: true })
    await pause(PAUSE_MS)
  }
}

type Change = (before: Buffer) => Buffer

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; )
    done += (await file.write(bytes, done, undefined, position + done)).bytesWritten
}

/**
 * From one content to another of the same length: an endpoint has another address. Only bytes of the region's own block
 * differ, so that there is nothing to lose, and the disk is not waited for. That may take long when databases keep it busy,
 * and at a failover clients wait for this.
 */
async function overwrite(file: FileHandle, before: Buffer, after: Buffer): Promise<void> {
  const first = after.findIndex((byte, at) => byte !== before[at])
  const last = after.findLastIndex((byte, at) => byte !== before[at])
  await writeAll(file, after.subarray(first, last + 1), first)
}

/** Who reads it meanwhile sees all of the old or all of the new. */
async function replaceFile(path: string, change: Change): Promise<void> {
  const next = path + NEXT
  const file = await takeNext(next)
  // Once it has become the file, what has its name is another region's.
  let isOurs = true
  try {
    const { mode, uid, gid } = await stat(path)
    const before = await readFile(path)
    const after = change(before)
    if (after.equals(before)) return
    if (after.length === before.length) {
      await using old = await open(path, 'r+')
      await overwrite(old, before, after)
      return
    }
    await file.writeFile(after)
    await file.chown(uid, gid)
    // After its owner, whose change takes away some of its mode.
    await file.chmod(mode & 0o7777)
    await file.sync()
    await rename(next, path)
    isOurs = false
  } finally {
    await file.close()
    if (isOurs) await rm(next, { force: true })
  }
}

const newlines = (count: number): Buffer => Buffer.alloc(Math.max(count, 0), '\n')

/**
 * Whenever we are killed, the file is the old or the new one with empty lines at its end. First those that it is going to
 * need, so that a full disk is met while they are all there is to take back.
 */
async function writeInPlace(path: string, change: Change): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const before = await file.readFile()
    const after = change(before)
    if (after.equals(before)) return
    if (after.length === before.length) {
      await overwrite(file, before, after)
      return
    }
    try {
      await writeAll(file, newlines(after.length - before.length), before.length)
    } catch (error) {
      await file.truncate(before.length)
      throw error
    }
    await writeAll(file, Buffer.concat([after, newlines(before.length - after.length)]), 0)
    await file.truncate(after.length)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Puts the region's names into the file, in place of those that it had there; without entries it takes them away.
 * @returns false when it said so already
 * @throws the system's error when that is not allowed; the file is as it was
 */
export async function writeHosts(file: string, owner: BlockOwner, entries: readonly NamedAddress[]): Promise<boolean> {
  const path = await realpath(file)
  const change: Change = (before) => withBlock(before, owner, entries)
  const before = await readFile(path)
  if (change(before).equals(before)) return false
  const { nlink } = await stat(path)
  if (nlink === 1 && !existsSync(SELINUX)) {
    try {
      await replaceFile(path, change)
      return true
    } catch {
      // Something is mounted there (EBUSY), or the folder is not ours to change: the file may be all the same.
    }
  }
  await writeInPlace(path, change)
  return true
}
