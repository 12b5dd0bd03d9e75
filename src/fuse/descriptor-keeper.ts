/**
 * Keeps the descriptor of a mounted file system open while the process that serves it comes and goes: the kernel then
 * lets callers wait instead of failing them, and gives the next server what the last one did not answer.
 *
 * The server is a program of its own. It gets the descriptor as its number 3, and finds in its environment what else it
 * has to know (`handedDescriptor`). Its standard input is a pipe from here that is never written to: its end says that
 * the keeper is gone, and the server then unmounts (`keeperGone`). A server that ends with status 0 has unmounted; any
 * other end is a death, and the next one is started.
 *
 * The keeper must never touch what it keeps, or it waits for a server that it would have to start. That includes starting
 * a program in a folder of the mount: Node stands still until the child has gone there.
 *
 * What a new server must have: every change the old one answered. That is so when the old one answered only what was
 * durable (`answerWhen: 'durable'`), or was told to stop and made everything durable first (SIGTERM, status 75). After
 * any other death the engine's memory may hold what the files have lost, and the engine has to be restarted with it;
 * `onDeath` is where that is decided.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import type { HandedDescriptor } from './fuse-mount.ts'
import { openAndMount, placeOf, unmount } from './real-mount.ts'

const CHILD_FD = 3
const VARIABLE = 'BOREALIS_FUSE'

/** Status of a server that leaves in order, everything durable, and wants a successor: EX_TEMPFAIL. */
export const STATUS_REPLACE_ME = 75

/** A server that dies more often than this does so for a reason that the next one will have as well. */
const DEATHS_MAX = 5
const DEATHS_WITHIN_MS = 60_000
/** Between death and start, so that a program that fails at once does not take the whole machine. */
const PAUSE_MS = 50
const STOP_MS_MAX = 15_000

export interface Death {
  /** Of the server that died. */
  readonly generation: number
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  /** It left in order: nothing that was answered can be lost. */
  readonly inOrder: boolean
}

export interface KeeperOptions {
  /** Where to mount. */
  readonly path: string
  /** The server: a program and its arguments. */
  readonly command: readonly [program: string, ...args: string[]]
  readonly env?: NodeJS.ProcessEnv
  readonly device?: string
  /** What the server prints is thrown away, instead of shown with ours. */
  readonly quiet?: boolean
  /** Whether a successor is to be started. @defaultValue always */
  readonly onDeath?: (death: Death) => boolean | Promise<boolean>
  readonly onStart?: (child: ChildProcess, generation: number) => void
}

export type KeeperEnd =
  /** The server unmounted, or `stop` was called. */
  | 'stopped'
  /** No successor was wanted, or none stayed alive: unmounted, callers got ENOTCONN. */
  | 'given-up'

export class DescriptorKeeper {
  readonly path: string
  /** Kept when there is no server any more, nor will be. */
  readonly ended: Promise<KeeperEnd>
  readonly #options: KeeperOptions
  readonly #fd: number
  readonly #end: (reason: KeeperEnd) => void
  #state: 'keeping' | 'stopping' | 'ended' = 'keeping'
  #server: ChildProcess | undefined
  #generation = 0
  #deathsAtMs: number[] = []

  private constructor(options: KeeperOptions, path: string, fd: number) {
    const { promise, resolve } = Promise.withResolvers<KeeperEnd>()
    this.#options = options
    this.path = path
    this.#fd = fd
    this.ended = promise
    this.#end = resolve
  }

  /** Mounts, and starts the first server. @throws MountError */
  static async start(options: KeeperOptions): Promise<DescriptorKeeper> {
    const path = placeOf(options.path)
    const keeper = new DescriptorKeeper(options, path, await openAndMount(path, options.device))
    keeper.#startServer()
    return keeper
  }

  get serverPid(): number | undefined {
    return this.#server?.pid
  }

  /** Asks the server to unmount and end, by SIGTERM; does so itself when it does not. */
  async stop(): Promise<void> {
    if (this.#state === 'keeping') {
      this.#state = 'stopping'
      this.#server?.kill('SIGTERM')
      const limit = setTimeout(() => this.#server?.kill('SIGKILL'), STOP_MS_MAX)
      await this.ended
      clearTimeout(limit)
    }
    await this.ended
  }

  /** Asks the server to make everything durable and to leave for its successor, by SIGUSR2: for a new version of it. */
  replaceServer(): void {
    this.#server?.kill('SIGUSR2')
  }

  #startServer(): void {
    const [program, ...args] = this.#options.command
    const handed: HandedDescriptor = { fd: CHILD_FD, path: this.path, generation: this.#generation }
    const output = this.#options.quiet === true ? 'ignore' : 'inherit'
    const child = spawn(program, args, {
      env: { ...(this.#options.env ?? process.env), [VARIABLE]: JSON.stringify(handed) },
      stdio: ['pipe', output, output, this.#fd],
    })
    this.#server = child
    // A program that cannot be started says so by an error alone, and one that was by its exit.
    child.once('error', () => {
      if (child.pid === undefined) void this.#onExit(null, null)
    })
    child.once('exit', (status, signal) => void this.#onExit(status, signal))
    child.stdin?.on('error', () => {})
    this.#options.onStart?.(child, this.#generation)
  }

  async #onExit(status: number | null, signal: NodeJS.Signals | null): Promise<void> {
    this.#server = undefined
    if (status === 0) return this.#finish('stopped')
    if (this.#state === 'stopping') return this.#finish('stopped')
    const inOrder = status === STATUS_REPLACE_ME
    const death: Death = { generation: this.#generation, status, signal, inOrder }
    const wanted = (inOrder || !this.#diesTooOften()) && (await this.#isSuccessorWanted(death))
    // `stop` may have been called meanwhile.
    if (!wanted || this.#state !== 'keeping') return this.#finish(wanted ? 'stopped' : 'given-up')
    setTimeout(() => this.#succeed(), inOrder ? 0 : PAUSE_MS)
  }

  async #isSuccessorWanted(death: Death): Promise<boolean> {
    try {
      return (await this.#options.onDeath?.(death)) ?? true
    } catch {
      return false
    }
  }

  #diesTooOften(): boolean {
    const now = performance.now()
    this.#deathsAtMs = [...this.#deathsAtMs.filter((at) => now - at < DEATHS_WITHIN_MS), now]
    return this.#deathsAtMs.length > DEATHS_MAX
  }

  #succeed(): void {
    if (this.#state !== 'keeping') return void this.#finish('stopped')
    this.#generation++
    this.#startServer()
  }

  async #finish(reason: KeeperEnd): Promise<void> {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    // The last one to hold it: whoever still waits for an answer gets ENOTCONN. A dead mount is unmounted at once.
    closeSync(this.#fd)
    // What cannot be taken away now is dead, and is taken away before the next mount.
    await unmount(this.path).catch(() => {})
    this.#end(reason)
  }
}

/** What the keeper gave this process; undefined when no keeper started it. */
export function handedDescriptor(env: NodeJS.ProcessEnv = process.env): HandedDescriptor | undefined {
  const text = env[VARIABLE]
  // Not for the programs that this one starts.
  delete env[VARIABLE]
  return text === undefined ? undefined : (JSON.parse(text) as HandedDescriptor)
}

/** Kept when the keeper is gone, however it went. */
export function keeperGone(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once('close', resolve)
    process.stdin.once('error', () => resolve())
    process.stdin.resume()
  })
}
