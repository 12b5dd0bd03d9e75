/**
 * How an ordinary user mounts: in a user and a mount namespace of its own, where it may. It keeps its number there (a
 * database server refuses to be root), the mount is seen only by what is started in them, and goes with the last process.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The command that runs a program in namespaces of its own, in place of the process that starts it. */
export const inOwnNamespaces = (command: readonly string[]): [string, ...string[]] => [
  'unshare',
  '--user',
  '--map-current-user',
  '--keep-caps',
  '--mount',
  '--',
  ...command,
]

const CHECK_MS_MAX = 20_000

/** @returns why nothing can be mounted on the directory from there either; undefined when it can */
export async function whyNoMountInOwnNamespaces(place: string): Promise<string | undefined> {
  const check = join(import.meta.dirname, 'mount-check-main.ts')
  const [unshare, ...args] = inOwnNamespaces([process.execPath, check, place])
  try {
    await promisify(execFile)(unshare, args, { timeout: CHECK_MS_MAX, killSignal: 'SIGKILL' })
    return undefined
  } catch (error) {
    if (!(error instanceof Error)) throw error
    if ('code' in error && error.code === 'ENOENT') return 'there is no unshare, of util-linux'
    const said = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : ''
    return said.split('\n').at(-1) || error.message
  }
}
