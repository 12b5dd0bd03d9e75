/**
 * The engine's first process and what it started. It does not outlive us: the kernel sends it SIGQUIT, on which it ends at
 * once with all its children, when the thread that started it is gone (`PR_SET_PDEATHSIG`, set by util-linux's `setpriv`).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { open } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'
import type { Account } from '../account.ts'
import { EngineError } from '../engine-error.ts'
import { lastWords, startupLog } from './log.ts'
import { childrenOf, isAlive, processesIn, signal } from './processes.ts'

export interface PostmasterPlace {
  readonly program: string
  readonly configurationFile: string
  /** As the kernel names it: no symbolic links. */
  readonly dataDirectory: string
  readonly logFolder: string
  readonly account: Account | undefined
  /** For this start only; they win over the file. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Between a signal and the end of a process; uninterruptible waits for a dead mount are the only reason for more. */
const END_DEADLINE_MS = 10_000
const END_POLL_MS = 5

/** The log collector ends after its last reader, and its last lines are the ones that say why. */
const COLLECTOR_GRACE_MS = 1_000

/**
 * What is left when the postmaster has gone. Its children end by themselves when they notice, which may be after a long
 * query.
 */
async function sweep(dataDirectory: string, graceMs: number): Promise<void> {
  const start = performance.now()
  for (; performance.now() < start + END_DEADLINE_MS; await pause(END_POLL_MS)) {
    const left = processesIn(dataDirectory).filter(isAlive)
    if (left.length === 0) return
    if (performance.now() < start + graceMs) continue
    for (const pid of left) signal(pid, 'SIGKILL')
  }
}

export class Postmaster {
  readonly pid: number
  /** Resolves when it and all its children are gone, with why, as far as it is known. */
  readonly ended: Promise<string>
  readonly #child: ChildProcess
  readonly #place: PostmasterPlace

  private constructor(child: ChildProcess, pid: number, startedMs: number, place: PostmasterPlace) {
    this.pid = pid
    this.#child = child
    this.#place = place
    this.ended = new Promise((resolve) => {
      child.once('exit', (status, name) => {
        const plainly = name === null ? `it exited with status ${status}` : `it was ended by ${name}`
        void sweep(place.dataDirectory, name === null ? COLLECTOR_GRACE_MS : 0)
          .then(() => (name === 'SIGKILL' ? undefined : lastWords(place.logFolder, startedMs)))
          .then((words) => resolve(words === undefined ? plainly : `${words} (${plainly})`))
          .catch(() => resolve(plainly))
      })
    })
  }

  /** The folders of configuration and logs are there already, and nobody else works in the data directory. */
  static async start(place: PostmasterPlace): Promise<Postmaster> {
    if (!isMainThread)
      throw new EngineError('WrongState', 'an engine that a worker thread starts would end with the thread')
    // Before there is a process: it may have ended by the time we hear that it began.
    const startedMs = Date.now()
    const log = await open(startupLog(place.logFolder), 'w', 0o640)
    try {
      const settings = { config_file: place.configurationFile, ...place.settings }
      const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
      const engine = [place.program, '-D', place.dataDirectory, ...options]
      // Where an ordinary user mounts, in namespaces of its own, we have privileges that the engine must not have.
      const child = spawn('setpriv', ['--pdeathsig', 'QUIT', '--ambient-caps', '-all', '--', ...engine], {
        // A session of its own: Ctrl-C in our terminal is for us, and we stop the engine in order.
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        // Nothing of ours: it may hold credentials, and PG* variables have meanings.
        env: { PATH: process.env.PATH, TZ: 'UTC' },
        ...place.account,
      })
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve)
        child.once('error', (cause) => {
          const problem = `setpriv (of util-linux) cannot be started: ${cause.message}`
          reject(new EngineError('MachineNotReady', problem, { cause }))
        })
      })
      return new Postmaster(child, child.pid!, startedMs, place)
    } finally {
      await log.close()
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Ends all its processes at once, whatever they are doing. Nothing is read or written after this returns but what the kernel has in hand. */
  kill(): void {
    // Stopped first, so that it starts no more of them; a session of its own has each of its children.
    this.#child.kill('SIGSTOP')
    const others = new Set([...childrenOf(this.pid), ...processesIn(this.#place.dataDirectory)])
    others.delete(this.pid)
    this.#child.kill('SIGKILL')
    for (const pid of others) signal(pid, 'SIGKILL')
  }
}
