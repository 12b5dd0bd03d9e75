/** TPC-B of pgbench on whoever is the writer, again as soon as it ends because the writer did. */
import { type ChildProcess, spawn } from 'node:child_process'
import { endWithUs } from '../../test/child-processes.ts'
import { pause } from '../../test/waiting.ts'
import { findPgbench, type Reach } from '../pgbench/load.ts'

const AGAIN_MS = 100
const SECONDS_MAX = 3600

export class SteadyLoad {
  readonly #writer: () => Promise<Reach>
  readonly #clients: number
  #child: ChildProcess | undefined
  #isStopped = false
  readonly #running: Promise<void>

  constructor(clients: number, writer: () => Promise<Reach>) {
    this.#clients = clients
    this.#writer = writer
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const reach = await this.#writer().catch(() => undefined)
      if (reach !== undefined && !this.#isStopped) await this.#once(reach)
      await pause(AGAIN_MS)
    }
  }

  #once({ socketFolder, port, user }: Reach): Promise<void> {
    const args = ['-n', '-c', `${this.#clients}`, '-j', '2', '-T', `${SECONDS_MAX}`]
    const child = endWithUs(
      spawn(findPgbench(), ['-h', socketFolder, '-p', `${port}`, '-U', user, ...args, 'postgres'], { stdio: 'ignore' }),
    )
    this.#child = child
    return new Promise((resolve) => child.once('exit', () => resolve()))
  }

  /** It may wait for a server that hangs: another begins where the writer is by then. */
  restart(): void {
    this.#child?.kill('SIGKILL')
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#child?.kill('SIGKILL')
    await this.#running
  }
}
