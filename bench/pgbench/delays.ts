/** Addresses that are half a millisecond further away: a process that passes bytes on later (`delay-main.ts`). */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { endWithUs } from '../../test/child-processes.ts'

const PROGRAM = join(import.meta.dirname, 'delay-main.ts')

export class Delays {
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>

  /** @param delayUs of each message, in each direction */
  constructor(delayUs: number) {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROGRAM, `${delayUs}`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#process = endWithUs(child)
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** @returns an address that leads to `address` */
  async to(address: string): Promise<string> {
    this.#process.stdin?.write(`${address}\n`)
    const { value } = await this.#lines.next()
    return value as string
  }

  async stop(): Promise<void> {
    const exit = once(this.#process, 'exit')
    this.#process.kill()
    await exit
  }
}
