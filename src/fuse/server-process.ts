/** One server, or one that waits for its turn, as its keeper sees it: see `kept-server.ts`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { type Asked, type FromKeeper, type FromServer, type Left, STATUS_REPLACE_ME, type Turn } from './kept-server.ts'

export interface ServerCommand {
  readonly command: readonly [program: string, ...args: string[]]
  readonly env?: NodeJS.ProcessEnv
  /** What it prints is thrown away, instead of going where our complaints go. */
  readonly quiet?: boolean
  /** Its numbers 3 and on. */
  readonly descriptors: readonly number[]
}

export interface ServerEnd {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  /** It had begun to serve: what it answered may be lost, unless it left in order. */
  readonly served: boolean
  /** It left in order: nothing that was answered can be lost. */
  readonly inOrder: boolean
  /** For its successor. */
  readonly left: Left
}

/** After its end the channel may still hold what it said last. */
const LAST_WORDS_MS_MAX = 1000

export class ServerProcess {
  readonly generation: number
  readonly child: ChildProcess
  /** Kept when its code is loaded; rejected when it ends before. */
  readonly ready: Promise<void>
  /** Kept when it serves; rejected when it ends before. */
  readonly serving: Promise<void>
  readonly ended: Promise<ServerEnd>
  readonly #onTold: (told: unknown) => void
  readonly #becomeReady: () => void
  readonly #begin: () => void
  #served = false
  #left: Left

  constructor(
    generation: number,
    { command: [program, ...args], env, quiet, descriptors }: ServerCommand,
    onTold: (told: unknown) => void,
  ) {
    this.generation = generation
    this.#onTold = onTold
    const ready = Promise.withResolvers<void>()
    const serving = Promise.withResolvers<void>()
    for (const { promise } of [ready, serving]) promise.catch(() => {})
    this.ready = ready.promise
    this.serving = serving.promise
    this.#becomeReady = ready.resolve
    this.#begin = serving.resolve
    // Not our standard output: whoever reads that would take its end for ours.
    const output = quiet === true ? 'ignore' : 2
    this.child = spawn(program, args, {
      ...(env === undefined ? {} : { env }),
      stdio: ['ignore', output, output, ...descriptors, 'ipc'],
    })
    this.child.on('message', (message: FromServer) => this.#heard(message))
    this.ended = this.#end().then((end) => {
      const how = end.signal === null ? `it ended with status ${end.status}` : `it was ended by ${end.signal}`
      ready.reject(new Error(how))
      serving.reject(new Error(how))
      return end
    })
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  get hasServed(): boolean {
    return this.#served
  }

  #heard(message: FromServer): void {
    if (message.is === 'ready') this.#becomeReady()
    else if (message.is === 'left') this.#left = message.left
    else if (message.is === 'told') this.#onTold(message.told)
    else {
      this.#served = true
      this.#begin()
    }
  }

  async #end(): Promise<ServerEnd> {
    const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      // A program that cannot be started says so by an error alone, and one that was by its exit.
      this.child.once('error', () => this.child.pid === undefined && resolve([null, null]))
      this.child.once('exit', (...how) => resolve(how))
    })
    if (this.child.connected) {
      await new Promise<void>((resolve) => {
        this.child.once('disconnect', resolve)
        setTimeout(resolve, LAST_WORDS_MS_MAX).unref()
      })
    }
    return { status, signal, served: this.#served, inOrder: status === STATUS_REPLACE_ME, left: this.#left }
  }

  #send(message: FromKeeper): void {
    // One that is gone is heard of by its end.
    if (this.child.connected) this.child.send(message, () => {})
  }

  give(turn: Omit<Turn, 'generation'>): void {
    this.#send({ turn: { ...turn, generation: this.generation } })
  }

  ask(asked: Asked): void {
    this.#send({ asked })
  }

  /** Something that is between it and whoever has the keeper. */
  tell(told: unknown): void {
    this.#send({ told })
  }

  kill(): void {
    this.child.kill('SIGKILL')
  }
}
