/**
 * A process that outlives who started it and is found again: by its identity in the process list, and by its control
 * socket (`control-lines.ts`). Whether we started it or have adopted it makes no difference.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { createConnection, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'
import { openLog } from './process-log.ts'

export interface DaemonPlace {
  readonly socket: string
  readonly onMessage: (message: unknown) => void
  /** Once: the process has ended. */
  readonly onGone: (why: string) => void
}

/** A process that listens in a moment, or whose connection broke. */
const CONNECT_PAUSE_MS = 10
/** Of a process that is not our child; its connection tells sooner. */
const WATCH_MS = 100

export class Daemon {
  readonly identity: ProcessIdentity
  /** Resolves when it has ended. */
  readonly gone: Promise<void>
  readonly #place: DaemonPlace
  readonly #resolveGone: () => void
  readonly #watch: NodeJS.Timeout
  #socket: Socket | undefined
  #isOver = false
  /** Said before there was a connection. */
  #unsent: string[] = []
  #reconnecting: NodeJS.Timeout | undefined

  private constructor(identity: ProcessIdentity, place: DaemonPlace) {
    this.identity = identity
    this.#place = place
    const { promise, resolve } = Promise.withResolvers<void>()
    this.gone = promise
    this.#resolveGone = resolve
    this.#watch = setInterval(() => this.#look(), WATCH_MS).unref()
    this.#connect()
  }

  /** One that runs already. */
  static adopt(identity: ProcessIdentity, place: DaemonPlace): Daemon {
    return new Daemon(identity, place)
  }

  /** @throws Error when it cannot be started */
  static async start(command: readonly [string, ...string[]], logPath: string, place: DaemonPlace): Promise<Daemon> {
    const [program, ...args] = command
    const log = openLog(logPath)
    let child: ChildProcess
    try {
      // A session of its own: signals to our group are not for it.
      child = spawn(program, args, { stdio: ['ignore', log, log], detached: true, cwd: '/' })
      await once(child, 'spawn')
    } finally {
      closeSync(log)
    }
    child.unref()
    // One that ended already has left its number to us, as we have not waited for it.
    const identity = identify(child.pid as number) ?? { pid: child.pid as number, started: 'ended' }
    const daemon = new Daemon(identity, place)
    child.once('exit', (status, signal) =>
      daemon.#over(signal === null ? `it ended with status ${status}` : `it was ended by ${signal}`),
    )
    return daemon
  }

  #connect(): void {
    const socket = createConnection(this.#place.socket)
    socket.unref()
    socket.on('error', () => socket.destroy())
    socket.once('connect', () => {
      this.#socket = socket
      for (const line of this.#unsent.splice(0)) socket.write(line)
    })
    createInterface({ input: socket })
      .on('line', (line) => this.#heard(line))
      .on('error', () => {})
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = undefined
      this.#look()
      if (!this.#isOver) this.#reconnecting = setTimeout(() => this.#connect(), CONNECT_PAUSE_MS).unref()
    })
  }

  #heard(line: string): void {
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      return
    }
    this.#place.onMessage(message)
  }

  #look(): void {
    if (!isAlive(this.identity)) this.#over('it ended')
  }

  #over(why: string): void {
    if (this.#isOver) return
    this.#isOver = true
    clearInterval(this.#watch)
    clearTimeout(this.#reconnecting)
    // What it said last may still be on its way.
    const finish = (): void => {
      this.#socket?.destroy()
      this.#place.onGone(why)
      this.#resolveGone()
    }
    if (this.#socket === undefined) finish()
    else {
      const late = setTimeout(finish, CONNECT_PAUSE_MS)
      this.#socket.once('close', () => {
        clearTimeout(late)
        setImmediate(finish)
      })
    }
  }

  send(message: object): void {
    const line = `${JSON.stringify(message)}\n`
    if (this.#socket === undefined) this.#unsent.push(line)
    else this.#socket.write(line)
  }

  signal(name: NodeJS.Signals): void {
    if (!isAlive(this.identity)) return
    try {
      process.kill(this.identity.pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  /** Nothing more is heard; the process goes on. */
  leave(): void {
    this.#isOver = true
    clearInterval(this.#watch)
    clearTimeout(this.#reconnecting)
    this.#socket?.destroy()
  }
}
