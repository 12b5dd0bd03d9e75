/** Whether and how file systems can be mounted here: better known before anything is started. */
import { mkdtempSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { inOwnNamespaces, whyNoMountInOwnNamespaces } from '../../fuse/own-namespaces.ts'
import { MountError, tryMounting } from '../../fuse/real-mount.ts'
import { PlainError } from '../plain-error.ts'
import type { Home } from './home.ts'

/** Makes of the command of a program that mounts one that may. */
export type MountingCommand = (command: readonly [string, ...string[]]) => readonly [string, ...string[]]

const asItIs: MountingCommand = (command) => command

/** @throws PlainError that says what to do */
export async function mountingCommand(home: Home): Promise<MountingCommand> {
  const place = mkdtempSync(join(home.region, 'mount-'))
  try {
    tryMounting(place)
    return asItIs
  } catch (error) {
    if (!(error instanceof MountError)) throw error
    // Root's engine runs as another user, which namespaces with one user in them do not have.
    if (error.code !== 'NotPermitted' || process.getuid?.() === 0) throw new PlainError(error.message, { cause: error })
    const why = await whyNoMountInOwnNamespaces(place)
    if (why === undefined) return inOwnNamespaces
    throw new PlainError(
      `an ordinary user may not mount here, not in namespaces of its own either (${why}): run as root, ` +
        'in a container with --device /dev/fuse --cap-add SYS_ADMIN, or let users have user namespaces ' +
        '(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, ' +
        'kernel.apparmor_restrict_unprivileged_userns)',
      { cause: error },
    )
  } finally {
    rmdirSync(place)
  }
}
