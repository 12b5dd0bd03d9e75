/**
 * An ordinary user of this machine, who mounts in namespaces of its own: ourselves, or, when we are root, `nobody`, for
 * whom /dev/fuse may be opened as most distributions have it, seen so only by what is started through here.
 */
import { chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inOwnNamespaces } from '../src/fuse/own-namespaces.ts'
import { runProgram } from './fuse-mounts.ts'

const NOBODY = 65_534
const FUSE_NUMBER = ['c', '10', '229'] as const
const MOUNT_CHECK = join(import.meta.dirname, '..', 'src', 'fuse', 'mount-check-main.ts')

const asNobody = (device: string): string[] => [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `mount --bind "$0" /dev/fuse && exec setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups -- "$@"`,
  device,
]

/** From inside of a namespace that may have no others in it, without any privilege. */
const WITHOUT_NAMESPACES = inOwnNamespaces([
  'sh',
  '-c',
  'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps -all -- "$@"',
  'sh',
])

export class OrdinaryUser implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'borealis-user-'))
  readonly #isRoot = process.getuid?.() === 0
  readonly uid = this.#isRoot ? NOBODY : (process.getuid?.() ?? NOBODY)
  /** What comes in front of the command of a program that this user is to run. */
  readonly through: readonly string[]

  private constructor() {
    this.through = this.#isRoot ? asNobody(join(this.#folder, 'fuse')) : []
  }

  get throughWithoutNamespaces(): readonly string[] {
    return [...this.through, ...WITHOUT_NAMESPACES]
  }

  /** @returns why there is none here who could mount, in one line, or the user */
  static async find(): Promise<OrdinaryUser | string> {
    const user = new OrdinaryUser()
    const why = await user.#whyNot()
    if (why === undefined) return user
    user[Symbol.dispose]()
    return why
  }

  async #whyNot(): Promise<string | undefined> {
    if (this.#isRoot) {
      const made = await runProgram('mknod', ['-m', '666', join(this.#folder, 'fuse'), ...FUSE_NUMBER])
      if (made.status !== 0) return made.output.trim()
    }
    const place = join(this.#folder, 'place')
    const [program = '', ...args] = [
      ...this.through,
      ...['sh', '-c', 'mkdir "$0" && exec "$@"', place],
      ...inOwnNamespaces([process.execPath, MOUNT_CHECK, place]),
    ]
    this.own(this.#folder)
    const { status, output } = await runProgram(program, args)
    return status === 0 ? undefined : `an ordinary user may not mount here: ${output.trim().split('\n').at(-1)}`
  }

  /** Gives a folder to the user. */
  own(path: string): void {
    if (this.#isRoot) chownSync(path, this.uid, this.uid)
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
