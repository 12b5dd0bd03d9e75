/**
 * Who the engine runs as. Database servers refuse to run as root; started by an ordinary user they run as that user.
 *
 * As root we give the engine a fixed numeric user id that needs no entry in /etc/passwd, so nothing on the machine is
 * changed: `postgres` runs as a user without a name. Only `initdb` insists on a name; it makes a template once, as
 * `nobody` (`template.ts`).
 */
import { chmod, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { EngineError } from './engine-error.ts'

export interface Account {
  readonly uid: number
  readonly gid: number
}

/**
 * 65520 to 65533 are left alone by systemd (UIDs and GIDs on systemd systems) and reserved in Debian's policy; below
 * 65536, so that it exists in a container with the usual map of ids.
 */
const ENGINE_ID = 65_525

/** undefined: we are an ordinary user, and so is the engine. */
export const engineAccount = (): Account | undefined =>
  process.getuid?.() === 0 ? { uid: ENGINE_ID, gid: ENGINE_ID } : undefined

/** The id that the last entry of the user database of every distribution has. */
const NOBODY_ID = 65_534

/** An unprivileged account that has a name; undefined when we are not root, for we have one ourselves. */
export async function namedAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const fields = /^nobody:[^:]*:(\d+):(\d+):/m.exec(users)
  return { uid: Number(fields?.[1] ?? NOBODY_ID), gid: Number(fields?.[2] ?? NOBODY_ID) }
}

const OTHERS_SEARCH = 0o001
const GROUP_SEARCH = 0o010
const OWNER_SEARCH = 0o100

async function canSearch(folder: string, { uid, gid }: Account): Promise<boolean> {
  const { mode, uid: owner, gid: group } = await stat(folder)
  const bit = owner === uid ? OWNER_SEARCH : group === gid ? GROUP_SEARCH : OTHERS_SEARCH
  return (mode & bit) !== 0
}

/** Folders above `path` that the mode keeps the account from passing through, from the root down. */
export async function closedFolders(path: string, account: Account | undefined): Promise<string[]> {
  if (account === undefined) return []
  const closed: string[] = []
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (!(await canSearch(folder, account))) closed.unshift(folder)
    if (folder === dirname(folder)) return closed
  }
}

/**
 * Lets the account pass through the folders above `path`, and no more: they can still not be listed or read. Root's home
 * is closed on most machines, and the default home of Borealis is in it.
 * @returns what was changed (`chmod o+x`), for the log
 */
export async function openFolders(path: string, account: Account | undefined): Promise<string[]> {
  const closed = await closedFolders(path, account)
  for (const folder of closed) {
    try {
      await chmod(folder, ((await stat(folder)).mode & 0o7777) | OTHERS_SEARCH)
    } catch (cause) {
      const problem = `user ${account?.uid}, as whom the engine runs, cannot pass through ${folder}`
      throw new EngineError('MachineNotReady', `${problem}: choose a BOREALIS_HOME elsewhere`, { cause })
    }
  }
  return closed
}
