/** Mounting and unmounting without libfuse: mount(2) with a descriptor of /dev/fuse. */
import { execFile } from 'node:child_process'
import { closeSync, constants, openSync, readFileSync, realpathSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { constants as system } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cString, errno, errorName, libc } from './real-libc.ts'

/** In /proc/self/mountinfo, and how we know a mount for ours. */
const MOUNT_SOURCE = 'borealis'
const MOUNT_TYPE = 'fuse.borealis'
const DEVICE = '/dev/fuse'

/** MS_NOSUID | MS_NODEV | MS_NOATIME: programs and devices have no business in a database's volume. */
const MOUNT_FLAGS = 0x2n | 0x4n | 0x400n
const MNT_FORCE = 1
const MNT_DETACH = 2

/** A mount that answers nothing for so long is somebody's who hangs, not one that nobody serves. */
const PROBE_MS_MAX = 2000
const UNMOUNT_MS_MAX = 10_000

const CONTAINER = 'in a container with --device /dev/fuse --cap-add SYS_ADMIN'
const HOW =
  `run as root, ${CONTAINER}, ` +
  'or in namespaces of your own: unshare --user --map-current-user --keep-caps --mount PROGRAM'

export type MountErrorCode =
  /** No /dev/fuse, or no right to open it. */
  | 'NoDevice'
  | 'NotPermitted'
  /** Something of ours is mounted there and alive. */
  | 'InUse'
  | 'BadPlace'
  | 'Failed'

/** One line for people: what is wrong, and what to do. */
export class MountError extends Error {
  readonly code: MountErrorCode
  constructor(code: MountErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'MountError'
    this.code = code
  }
}

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** A descriptor that is not mounted yet, non-blocking and closed in the programs we start. */
function openDevice(device = DEVICE): number {
  try {
    return openSync(device, constants.O_RDWR | constants.O_NONBLOCK)
  } catch (error) {
    switch (codeOf(error)) {
      case 'ENOENT':
      case 'ENODEV':
      case 'ENXIO':
        throw new MountError('NoDevice', `there is no ${device}: load the module fuse, or run ${CONTAINER}`, {
          cause: error,
        })
      case 'EACCES':
      case 'EPERM':
        throw new MountError(
          'NoDevice',
          `${device} may not be opened: let users open it (chmod 666 ${device}), run as root, or ${CONTAINER}`,
          { cause: error },
        )
      default:
        throw error
    }
  }
}

/**
 * Mounts what will be served on the descriptor. Answers at once: the kernel's first request waits then. The serving
 * process must never touch the path in a way that blocks, since it would wait for its own answer: no `...Sync` on it,
 * and no `spawn` with its `cwd` there (Node stands still until the child has gone there; let a shell do that).
 */
function mountDevice(fd: number, path: string): void {
  const options = [
    `fd=${fd}`,
    'rootmode=40000',
    `user_id=${process.geteuid?.() ?? 0}`,
    `group_id=${process.getegid?.() ?? 0}`,
    // The kernel checks permissions, for all users: the engine is not the user that mounts.
    'allow_other',
    'default_permissions',
  ].join(',')
  const result = libc.mount(cString(MOUNT_SOURCE), cString(path), cString(MOUNT_TYPE), MOUNT_FLAGS, cString(options))
  if (result === 0) return
  const why = errno()
  if (why === system.errno.EPERM || why === system.errno.EACCES) {
    throw new MountError('NotPermitted', `mounting on ${path} is not permitted: ${HOW}`)
  }
  if (why === system.errno.ENOENT || why === system.errno.ENOTDIR) {
    throw new MountError('BadPlace', `${path} is no directory to mount on: ${errorName(why)}`)
  }
  if (why === system.errno.ENODEV) throw new MountError('NoDevice', `the kernel has no FUSE: load the module fuse`)
  throw new MountError('Failed', `mounting on ${path}: ${errorName(why)}`)
}

/** @throws MountError when nothing can be mounted on the directory, as things are */
export function tryMounting(path: string): void {
  const fd = openDevice()
  try {
    mountDevice(fd, path)
    unmountHere(path)
  } finally {
    closeSync(fd)
  }
}

/** Opens and mounts; nothing stays open when it fails. A dead mount of ours in the same place is taken away first. */
export async function openAndMount(path: string, device?: string): Promise<number> {
  const place = placeOf(path)
  await removeDeadMounts(place)
  const fd = openDevice(device)
  try {
    mountDevice(fd, place)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Without links, and without asking the mount itself, which may be dead. */
export const placeOf = (path: string): string => {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch (error) {
    throw new MountError('BadPlace', `${path} is no directory to mount on`, { cause: error })
  }
}

/** Of how many file systems of ours this is the place now; they lie on top of each other. */
export function mountsAt(path: string): number {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => {
      const [before = '', after = ''] = line.split(' - ')
      const [type, source] = after.split(' ')
      return type === MOUNT_TYPE && source === MOUNT_SOURCE && unescapePath(before.split(' ')[4] ?? '') === path
    }).length
}

/** Spaces and the like stand in octal there. */
const unescapePath = (path: string): string =>
  Buffer.from(
    path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
    'latin1',
  ).toString()

/** @throws MountError InUse when what is mounted there is alive, or hangs */
export async function removeDeadMounts(path: string): Promise<void> {
  for (let mounts = mountsAt(path); mounts > 0; mounts--) {
    if (!(await isDead(path))) throw new MountError('InUse', `${path} is in use: a file system is served there`)
    await unmount(path)
  }
}

/** Not by stat: the kernel may know the answer to that without asking. */
async function isDead(path: string): Promise<boolean> {
  const probe = statfs(path).then(
    () => false,
    // The second when it dies while it is asked.
    (error: unknown) => codeOf(error) === 'ENOTCONN' || codeOf(error) === 'ECONNABORTED',
  )
  return Promise.race([probe, sleep(PROBE_MS_MAX, false)])
}

/** `cut`: who uses it or waits for an answer gets ENOTCONN, whoever serves it. Needs root; others detach only. */
export type UnmountMode = 'detach' | 'cut'

/**
 * Takes the mount away for everybody who comes; who has files open keeps them until they are closed, or is cut off.
 *
 * In a process of its own, because the kernel writes back mapped pages first and waits for it: the serving thread would
 * wait for itself.
 */
export async function unmount(path: string, mode: UnmountMode = 'detach'): Promise<void> {
  const program = join(import.meta.dirname, 'unmount-main.ts')
  await promisify(execFile)(process.execPath, [program, path, mode], { timeout: UNMOUNT_MS_MAX, killSignal: 'SIGKILL' })
}

/** Takes away all that is mounted there by whoever was here before, dead or served. */
export async function clearMounts(path: string): Promise<void> {
  for (let mounts = mountsAt(path); mounts > 0; mounts--) await unmount(path, 'cut')
}

/** In the calling thread; not an error when nothing is mounted there. */
export function unmountHere(path: string, mode: UnmountMode = 'detach'): void {
  if (mode === 'cut' && libc.umount2(cString(path), MNT_FORCE | MNT_DETACH) === 0) return
  if (libc.umount2(cString(path), MNT_DETACH) === 0) return
  const why = errno()
  if (why === system.errno.EINVAL || why === system.errno.ENOENT) return
  throw new MountError(why === system.errno.EPERM ? 'NotPermitted' : 'Failed', `unmounting ${path}: ${errorName(why)}`)
}
