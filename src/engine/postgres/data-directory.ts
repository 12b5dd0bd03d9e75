/**
 * A data directory from outside: made from a template, looked at, and freed of what a dead engine left in it. It may lie
 * on a mount that this very process serves, so everything here is asynchronous: a blocking call would wait for itself.
 */
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, open, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from '../account.ts'
import { EngineError } from '../engine-error.ts'
import {
  isConsistentBeforeItsEnd,
  newSystemIdentifier,
  setSystemIdentifier,
  setWalIdentifier,
  systemIdentifier,
  wasShutDown,
} from './control-file.ts'
import { isAlive, processesIn } from './processes.ts'
import type { PostgresVersion } from './versions.ts'

/** There from the first file of a copy until the last is durable: a directory that has it is no database yet. */
export const UNFINISHED = 'borealis.unfinished'
export const VERSION_FILE = 'PG_VERSION'
const CONTROL_FILE = join('global', 'pg_control')
const WAL_FILE = /^pg_wal\/[0-9A-F]{24}$/
const STANDBY_SIGNAL = 'standby.signal'
const POSTMASTER_FILE = 'postmaster.pid'

/** Files of a kind are copied side by side; more than that many waits at once gain nothing on a volume. */
const COPIES_AT_ONCE = 3
const PRIVATE_FOLDER = 0o700
const PRIVATE_FILE = 0o600

interface Identifiers {
  readonly from: bigint
  readonly to: bigint
}

const newIdentity = (controlFile: Buffer): Identifiers => ({
  from: systemIdentifier(controlFile),
  to: newSystemIdentifier(Date.now(), randomBytes(4).readUInt32LE()),
})

function withIdentity(path: string, content: Buffer, { from, to }: Identifiers): Buffer {
  if (path === CONTROL_FILE) setSystemIdentifier(content, to)
  else if (WAL_FILE.test(path)) setWalIdentifier(content, from, to)
  return content
}

const BLOCK_BYTES = 8192
const ZEROS = Buffer.alloc(BLOCK_BYTES)

/** The length up to the last block that is not all zeros: most of a new WAL file, which need not be written. */
function writtenLength(content: Buffer): number {
  let end = content.length
  while (end >= BLOCK_BYTES && content.compare(ZEROS, 0, BLOCK_BYTES, end - BLOCK_BYTES, end) === 0) end -= BLOCK_BYTES
  return end
}

async function writeCopy(path: string, content: Buffer, account: Account | undefined): Promise<void> {
  const file = await open(path, 'wx', PRIVATE_FILE)
  try {
    const length = writtenLength(content)
    await file.write(content, 0, length, 0)
    if (length < content.length) await file.truncate(content.length)
    if (account !== undefined) await file.chown(account.uid, account.gid)
  } finally {
    await file.close()
  }
}

async function makeFolder(path: string, account: Account | undefined): Promise<void> {
  await mkdir(path, { recursive: true, mode: PRIVATE_FOLDER })
  await chmod(path, PRIVATE_FOLDER)
  if (account !== undefined) await chown(path, account.uid, account.gid)
}

async function copyAll(template: string, directory: string, account: Account | undefined): Promise<void> {
  const identity = newIdentity(await readFile(join(template, CONTROL_FILE)))
  const entries = await readdir(template, { recursive: true, withFileTypes: true })
  const pathOf = (entry: (typeof entries)[number]): string =>
    join(entry.parentPath, entry.name).slice(template.length + 1)
  const folders = entries.filter((entry) => entry.isDirectory()).map(pathOf)
  // A folder sorts before what is in it.
  for (const folder of folders.sort()) await makeFolder(join(directory, folder), account)
  const files = entries.filter((entry) => entry.isFile()).map(pathOf)
  const copyRest = async (): Promise<void> => {
    for (let path = files.pop(); path !== undefined; path = files.pop()) {
      const content = withIdentity(path, await readFile(join(template, path)), identity)
      await writeCopy(join(directory, path), content, account)
    }
  }
  await Promise.all(Array.from({ length: COPIES_AT_ONCE }, copyRest))
}

/**
 * On a volume one sync of anything makes all before it durable; elsewhere this is as good as `initdb --no-sync`, which is
 * to say that a power cut may cost a database that was made a second ago.
 */
async function sync(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function clearUnfinished(directory: string): Promise<void> {
  const names = await readdir(directory)
  if (names.length === 0) return
  if (!names.includes(UNFINISHED)) throw new EngineError('AlreadyExists', `${directory} is not empty`)
  // The mark goes last.
  for (const name of names.filter((each) => each !== UNFINISHED)) {
    await rm(join(directory, name), { recursive: true, force: true })
  }
  await rm(join(directory, UNFINISHED))
}

/** Makes a new database cluster in a folder that is empty, not there, or left by a creation that did not come to its end. */
export async function createDataDirectory(
  template: string,
  directory: string,
  account: Account | undefined,
): Promise<void> {
  await makeFolder(directory, account)
  await clearUnfinished(directory)
  await writeFile(join(directory, UNFINISHED), '')
  await copyAll(template, directory, account)
  await sync(join(directory, CONTROL_FILE))
  await rm(join(directory, UNFINISHED))
  await sync(directory)
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )

/** Throws, in one line, why an engine of this version cannot run on the directory. */
export async function checkDataDirectory(directory: string, version: PostgresVersion): Promise<void> {
  const content = await readFile(join(directory, VERSION_FILE), 'utf8').catch((cause: NodeJS.ErrnoException) => {
    const what = cause.code === 'ENOENT' || cause.code === 'ENOTDIR' ? 'holds no PostgreSQL data' : `cannot be read`
    throw new EngineError('NotADataDirectory', `${directory} ${what} (${VERSION_FILE}: ${cause.code})`, { cause })
  })
  if (await exists(join(directory, UNFINISHED))) {
    throw new EngineError('NotADataDirectory', `${directory} was not created to its end: create it again`)
  }
  if (content.trim() !== `${version.major}`) {
    const problem = `${directory} holds data of PostgreSQL ${content.trim()}, not ${version.major}`
    throw new EngineError('WrongVersion', problem)
  }
}

/**
 * Frees the directory of the process id that an engine left, which died without notice or on another machine. PostgreSQL
 * does so itself only while no process of the same user has the number by now, and all our engines are of one user.
 * Whoever really works here has the directory as its working directory.
 */
export async function clearStalePid(directory: string): Promise<void> {
  const users = processesIn(await realpath(directory)).filter(isAlive)
  if (users.length > 0) {
    throw new EngineError('InUse', `${directory} is in use by process ${users.sort((a, b) => a - b).join(', ')}`)
  }
  await rm(join(directory, POSTMASTER_FILE), { force: true })
}

/** Whether the engine starts as a standby, which replays what another writes, or as a primary after recovery. */
export async function setStandby(directory: string, standby: boolean, account: Account | undefined): Promise<void> {
  const path = join(directory, STANDBY_SIGNAL)
  if (!standby) return rm(path, { force: true })
  await writeFile(path, '', { mode: PRIVATE_FILE })
  if (account !== undefined) await chown(path, account.uid, account.gid)
}

/**
 * Whether there is something to recover, and that may end by promotion, as the control file says; what is wrong with that
 * is the engine's to say. Not after a promotion without a checkpoint: what was dropped or cut off since is gone already, and
 * a standby does not stand that once it takes itself for consistent, which it then does where the promotion was.
 */
export async function mayRecoverByPromotion(directory: string): Promise<boolean> {
  try {
    const controlFile = await readFile(join(directory, CONTROL_FILE))
    return !wasShutDown(controlFile) && !isConsistentBeforeItsEnd(controlFile)
  } catch {
    return false
  }
}

/** Of the lines of `postmaster.pid`: the process, and its state (`pidfile.h`). */
const PID_LINE = 0
const STATUS_LINE = 7

/**
 * What the engine says of itself, as `pg_ctl` asks it; undefined when it says nothing. To ask by connecting would leave a
 * line in its log for each time it says no.
 */
export async function postmasterStatus(directory: string, pid: number): Promise<string | undefined> {
  const content = await readFile(join(directory, POSTMASTER_FILE), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const lines = content.split('\n')
  return lines[PID_LINE] === `${pid}` ? lines[STATUS_LINE]?.trim() : undefined
}
