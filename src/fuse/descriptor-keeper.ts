/**
 * Keeps the descriptor of a mounted file system open while the processes that serve it come and go: the kernel then
 * lets callers wait instead of failing them, and gives the next server what the last one did not answer.
 *
 * The server is a program of its own (`kept-server.ts` is its side). One that ends with status 0 has unmounted, with
 * `STATUS_REPLACE_ME` it has left in order; any other end is a death. To replace it the next one is started first and
 * loads its code; only when that has gone well, the present one is asked to leave.
 *
 * The keeper must never touch what it keeps with a blocking call, or it waits for a server that it would have to start.
 * That includes starting a program in a folder of the mount: Node stands still until the child has gone there.
 *
 * What a new server must have: every change the old one answered. That is so when the old one answered only what was
 * durable (`answerWhen: 'durable'`), left in order, or had not begun to serve. After any other death the engine's memory
 * may hold what the files have lost, and the engine has to be restarted with it; `onDeath` is where that is decided.
 */
import { closeSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { Left } from './kept-server.ts'
import { openAndMount, placeOf, unmount } from './real-mount.ts'
import { type ServerEnd, ServerProcess } from './server-process.ts'

/** A server that dies more often than this does so for a reason that the next one will have as well. */
const DEATHS_MAX = 5
const DEATHS_WITHIN_MS = 60_000
/** Between death and start, so that a program that fails at once does not take the whole machine. */
const PAUSE_MS = 50
const STOP_MS_MAX = 15_000
/** To load its code, on a busy machine. */
const READY_MS_MAX = 60_000

export interface Death extends Omit<ServerEnd, 'left'> {
  /** Of the server that died. */
  readonly generation: number
}

export interface KeeperOptions {
  /** Where to mount. */
  readonly path: string
  /** The server: a program and its arguments. */
  readonly command: readonly [program: string, ...args: string[]]
  readonly env?: NodeJS.ProcessEnv
  readonly device?: string
  /** Others that every server gets, as its numbers 4 and on. */
  readonly descriptors?: readonly number[]
  /** What the server prints is thrown away, instead of going where our complaints go. */
  readonly quiet?: boolean
  /** Whether a successor is to be started. @defaultValue always */
  readonly onDeath?: (death: Death) => boolean
  /** It is this server's turn. */
  readonly onTurn?: (server: ServerProcess) => void
  /** What the server of that turn says besides. */
  readonly onTold?: (told: unknown) => void
}

export type KeeperEnd =
  /** The server unmounted, or `stop` or `abort` was called. */
  | 'stopped'
  /** No successor was wanted, or none stayed alive: unmounted, callers got ENOTCONN. */
  | 'given-up'

export class DescriptorKeeper {
  readonly path: string
  /** Kept when there is no server any more, nor will be, and nothing is mounted. */
  readonly ended: Promise<KeeperEnd>
  readonly #options: KeeperOptions
  readonly #fd: number
  readonly #end: (reason: KeeperEnd) => void
  #state: 'keeping' | 'stopping' | 'ended' = 'keeping'
  #isClosed = false
  /** Of the last process that was started. */
  #generation = -1
  #server: ServerProcess
  /** Started, and waiting for its turn. */
  #next: ServerProcess | undefined
  #left: Left
  #deathsAtMs: number[] = []
  #onServing: ((generation: number) => void)[] = []

  private constructor(options: KeeperOptions, path: string, fd: number) {
    const { promise, resolve } = Promise.withResolvers<KeeperEnd>()
    this.#options = options
    this.path = path
    this.#fd = fd
    this.ended = promise
    this.#end = resolve
    this.#server = this.#start()
    this.#giveTurn(this.#server)
  }

  /** Mounts, and starts the first server. @throws MountError */
  static async start(options: KeeperOptions): Promise<DescriptorKeeper> {
    const path = placeOf(options.path)
    return new DescriptorKeeper(options, path, await openAndMount(path, options.device))
  }

  /** The process whose turn it is; it may have ended. */
  get server(): ServerProcess {
    return this.#server
  }

  // -------------------------------------------------------------- servers

  #start(): ServerProcess {
    const { command, env, quiet, descriptors = [] } = this.#options
    const process: ServerProcess = new ServerProcess(
      ++this.#generation,
      {
        command,
        descriptors: [this.#fd, ...descriptors],
        ...(env === undefined ? {} : { env }),
        ...(quiet === undefined ? {} : { quiet }),
      },
      (told) => {
        if (process === this.#server) this.#options.onTold?.(told)
      },
    )
    return process
  }

  #giveTurn(server: ServerProcess): void {
    this.#server = server
    this.#options.onTurn?.(server)
    server.give({ path: this.path, left: this.#left })
    server.serving.then(
      () => this.#serves(server.generation),
      () => {},
    )
    void server.ended.then((end) => this.#hasEnded(server, end))
  }

  #serves(generation: number): void {
    const listeners = this.#onServing
    this.#onServing = []
    for (const listener of listeners) listener(generation)
  }

  #hasEnded({ generation }: ServerProcess, { left, ...end }: ServerEnd): void {
    if (end.status === 0 || this.#state !== 'keeping') return void this.#finish('stopped')
    if (end.inOrder) this.#left = left
    const isWanted = this.#options.onDeath?.({ generation, ...end }) ?? true
    // `abort` may have been called meanwhile.
    if (this.#state !== 'keeping') return
    if (!isWanted || (!end.inOrder && this.#diesTooOften())) return void this.#finish('given-up')
    const next = this.#next
    this.#next = undefined
    if (next !== undefined) this.#giveTurn(next)
    else void this.#succeed(end.inOrder ? 0 : PAUSE_MS)
  }

  async #succeed(pauseMs: number): Promise<void> {
    await pause(pauseMs)
    if (this.#state === 'keeping') this.#giveTurn(this.#start())
    else void this.#finish('stopped')
  }

  #diesTooOften(): boolean {
    const now = performance.now()
    this.#deathsAtMs = [...this.#deathsAtMs.filter((at) => now - at < DEATHS_WITHIN_MS), now]
    return this.#deathsAtMs.length > DEATHS_MAX
  }

  // -------------------------------------------------------------- replacement

  /**
   * Replaces the server by a new process of the same program, as it is now.
   * @param onLeaving the new one is ready, and callers wait from now on
   * @throws Error the new one did not come up, and the old one goes on; or everything ended
   */
  async replaceServer(onLeaving: () => void = () => {}): Promise<void> {
    const old = this.#server
    if (this.#state !== 'keeping' || !old.hasServed) throw new Error('there is no server that could be replaced')
    if (this.#next !== undefined) throw new Error('it is being replaced already')
    const next = this.#start()
    this.#next = next
    try {
      await inTime(next.ready, READY_MS_MAX)
      if (this.#state !== 'keeping' || this.#server !== old) throw new Error('the old one has ended')
    } catch (error) {
      // It may have become the server, when the old one died.
      if (this.#next === next) {
        this.#next = undefined
        next.kill()
      }
      throw error
    }
    onLeaving()
    const serving = new Promise<void>((resolve) => this.#onServing.push(() => resolve()))
    old.ask('leave')
    const ended = this.ended.then(() => {
      throw new Error('it was stopped meanwhile')
    })
    await Promise.race([serving, ended])
  }

  // -------------------------------------------------------------- ending

  /** Asks the server to unmount and end; cuts it off when it does not. */
  async stop(): Promise<void> {
    if (this.#state === 'keeping') {
      this.#state = 'stopping'
      this.#next?.kill()
      this.#server.ask('stop')
      const limit = setTimeout(() => void this.abort(), STOP_MS_MAX)
      await this.ended
      clearTimeout(limit)
    }
    await this.ended
  }

  /** At once: whoever waits for an answer gets ENOTCONN, whatever the server is doing. Resolves when nothing is left. */
  async abort(): Promise<void> {
    if (this.#state !== 'ended') {
      this.#state = 'stopping'
      this.#close()
      this.#next?.kill()
      this.#server.kill()
      await this.#server.ended
      await this.#finish('stopped')
    }
    await this.ended
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    closeSync(this.#fd)
  }

  async #finish(reason: KeeperEnd): Promise<void> {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    // The last one to hold it: whoever still waits for an answer gets ENOTCONN. A dead mount is unmounted at once.
    this.#close()
    this.#next?.kill()
    await this.#next?.ended
    // What cannot be taken away now is dead, and is taken away before the next mount.
    await unmount(this.path).catch(() => {})
    this.#end(reason)
  }
}

async function inTime(event: Promise<void>, msMax: number): Promise<void> {
  const patience = new AbortController()
  const late = pause(msMax, undefined, { signal: patience.signal, ref: false }).then(() => {
    throw new Error(`it was not ready within ${msMax / 1000} s`)
  })
  late.catch(() => {})
  try {
    await Promise.race([event, late])
  } finally {
    patience.abort()
  }
}
