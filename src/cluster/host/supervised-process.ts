/**
 * A process that is to run as long as the region does:
 *
 *     starting -> running -> restarting -> starting ...
 *                       \-> stopping -> stopped
 *
 * It is started again when it ends by itself, later and later, unless its status says that this makes no sense
 * (`given-up`). What it prints are lines for us; its complaints go to a log.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { CrashBudget } from '../../instance/crash-budget.ts'
import { endAll, isAlive, type ProcessIdentity } from './process-identity.ts'
import { openLog } from './process-log.ts'

export type ProcessState = 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped' | 'given-up'

export interface ProcessOptions {
  /** One that runs already, left by a supervisor that was killed: it is watched instead of started. */
  readonly adopt?: () => ProcessIdentity | undefined
  readonly onAdopted?: () => void
  /** Found anew for each start. */
  readonly command: () => Promise<readonly [program: string, ...args: string[]]>
  readonly log: string
  readonly onLine: (line: string) => void
  readonly onStart: (pid: number) => void
  /** @returns when another start makes sense */
  readonly onEnd: (status: number | null) => NextStart
  /** It could not be started, or has ended by itself. */
  readonly onTrouble: (what: string) => void
}

/** Later and later; not before so many milliseconds; or not at all. */
export type NextStart = 'later' | 'never' | number

/** Of one that is not our child. */
const WATCH_MS = 100

export class SupervisedProcess {
  readonly #options: ProcessOptions
  readonly #budget = new CrashBudget(Number.POSITIVE_INFINITY)
  #state: ProcessState = 'stopped'
  #child: ChildProcess | undefined
  #adopted: ProcessIdentity | undefined
  #timer: NodeJS.Timeout | undefined
  #starting: Promise<void> = Promise.resolve()

  constructor(options: ProcessOptions) {
    this.#options = options
  }

  get state(): ProcessState {
    return this.#state
  }

  get pid(): number | undefined {
    return this.#child?.pid ?? this.#adopted?.pid
  }

  start(): void {
    this.#state = 'starting'
    this.#starting = this.#start().catch((error: unknown) => {
      this.#ended(null, error instanceof Error ? error.message : String(error))
    })
  }

  async #start(): Promise<void> {
    const running = this.#options.adopt?.()
    if (running !== undefined && isAlive(running)) return this.#watch(running)
    const [program, ...args] = await this.#options.command()
    if (this.#state !== 'starting') return
    const log = openLog(this.#options.log)
    try {
      // A session of its own: Ctrl-C in our terminal is for us, and we stop everything in order. Its input is a pipe
      // that ends with us.
      const child = spawn(program, args, { stdio: ['pipe', 'pipe', log], detached: true })
      await once(child, 'spawn')
      this.#child = child
    } finally {
      closeSync(log)
    }
    const child = this.#child
    child.stdin?.on('error', () => {})
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#options.onLine(line))
    child.once('close', (status, signal) => {
      this.#child = undefined
      this.#ended(status, signal === null ? `it ended with status ${status}` : `it was ended by ${signal}`)
    })
    this.#options.onStart(child.pid!)
    // It was asked to stop while it was being started.
    if (this.#state !== 'starting') child.kill('SIGTERM')
  }

  #watch(running: ProcessIdentity): void {
    this.#adopted = running
    this.#options.onStart(running.pid)
    this.#options.onAdopted?.()
    const timer = setInterval(() => {
      if (isAlive(running)) return
      clearInterval(timer)
      this.#adopted = undefined
      this.#ended(null, 'it ended')
    }, WATCH_MS).unref()
  }

  /** To be called when it says that it is ready. */
  ready(): void {
    if (this.#state === 'starting') this.#state = 'running'
  }

  #ended(status: number | null, why: string): void {
    const next = this.#options.onEnd(status)
    if (this.#state === 'stopping' || this.#state === 'stopped') {
      this.#state = 'stopped'
      return
    }
    this.#state = next === 'never' ? 'given-up' : 'restarting'
    this.#options.onTrouble(why)
    if (next === 'never') return
    const pauseMs = this.#budget.crashed(performance.now()) ?? 0
    this.#timer = setTimeout(() => this.start(), Math.max(pauseMs, next === 'later' ? 0 : next))
  }

  signal(name: NodeJS.Signals): void {
    if (this.#adopted !== undefined && isAlive(this.#adopted)) process.kill(this.#adopted.pid, name)
    this.#child?.kill(name)
  }

  /** In order; after `msMax` at once. Resolves when it is gone. */
  async stop(msMax: number): Promise<void> {
    clearTimeout(this.#timer)
    this.#state = 'stopping'
    await this.#starting
    if (this.#adopted !== undefined) await endAll([this.#adopted], msMax)
    const child = this.#child
    if (child !== undefined) {
      const closed = once(child, 'close')
      child.kill('SIGTERM')
      const late = setTimeout(() => child.kill('SIGKILL'), msMax)
      await closed
      clearTimeout(late)
    }
    this.#state = 'stopped'
  }
}
