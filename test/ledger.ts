/** What the writers of a volume were told is durable, and what the volume therefore has to hold. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Lsn, lsn, type VolumeId, volumeName } from '../src/protocol/lsn.ts'
import { endWithUs } from './child-processes.ts'
import { LedgerImage } from './ledger-image.ts'
import { pause, until } from './waiting.ts'

const PROGRAM = fileURLToPath(new URL('./ledger-writer.ts', import.meta.url))

const STOP_MS_MAX = 20_000

interface Opening {
  readonly epoch: number
  /** The last mini-transaction that the volume held then. */
  readonly after: number
}

export interface Acknowledged {
  readonly number: number
  readonly lsn: Lsn
}

export class Ledger {
  readonly seed: number
  readonly openings: Opening[] = []
  readonly acknowledged: Acknowledged[] = []
  /** Rules that were seen broken. */
  readonly problems: string[] = []
  #highest = 0

  constructor(seed: number) {
    this.seed = seed
  }

  /** The highest mini-transaction that was acknowledged: it and all before it have to be there for ever. */
  get highest(): number {
    return this.#highest
  }

  /** The epoch that wrote a mini-transaction which is durable. */
  epochOf(number: number): number | undefined {
    return this.openings.findLast(({ after }) => after < number)?.epoch
  }

  opened(opening: Opening): void {
    if (opening.after < this.#highest) {
      this.problems.push(`epoch ${opening.epoch} found ${opening.after}, but ${this.#highest} was acknowledged before`)
    }
    this.openings.push(opening)
    this.openings.sort((a, b) => a.epoch - b.epoch)
  }

  synced(epoch: number, acknowledged: Acknowledged): void {
    const next = this.openings.find((opening) => opening.epoch > epoch && opening.after < acknowledged.number)
    if (next !== undefined) {
      this.problems.push(
        `epoch ${epoch} was told that ${acknowledged.number} is durable; epoch ${next.epoch} found ${next.after}`,
      )
    }
    this.acknowledged.push(acknowledged)
    this.#highest = Math.max(this.#highest, acknowledged.number)
  }

  /** Brings an image up to a mini-transaction that is durable. */
  advance(image: LedgerImage, number: number): void {
    while (image.number < number) {
      const next = image.number + 1
      const epoch = this.epochOf(next)
      if (epoch === undefined) throw new Error(`nobody wrote mini-transaction ${next}`)
      image.apply(next, epoch)
    }
  }

  image(): LedgerImage {
    return new LedgerImage(this.seed)
  }
}

export interface WriterSettings {
  /** Mini-transactions under way at once. */
  readonly clients?: number
  /** Between two of a client. */
  readonly pauseMs?: number
  /** Small: then the writer reads from storage. */
  readonly cacheBytes?: number
}

/** A writer in a process of its own. */
export class LedgerWriter {
  readonly process: ChildProcess
  readonly ended: Promise<number | null>
  readonly #ledger: Ledger
  #epoch = 0
  /** The last that it was told is durable. */
  synced = 0
  count = 0
  complaints = ''

  constructor(
    ledger: Ledger,
    registryPath: string,
    volume: VolumeId,
    { clients = 4, pauseMs = 5, cacheBytes = 256 << 10 }: WriterSettings = {},
  ) {
    this.#ledger = ledger
    const args = [registryPath, volumeName(volume), ...[ledger.seed, clients, pauseMs, cacheBytes].map(String)]
    this.process = endWithUs(spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] }))
    createInterface({ input: this.process.stdout as Readable }).on('line', (line) => this.#said(line))
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text
      process.stderr.write(text)
    })
    this.ended = once(this.process, 'close').then(() => this.process.exitCode)
  }

  #said(line: string): void {
    const said = JSON.parse(line) as { opened?: number; after?: number; synced?: number; lsn?: number; wrong?: number }
    if (said.opened !== undefined) {
      this.#epoch = said.opened
      this.#ledger.opened({ epoch: said.opened, after: said.after as number })
    } else if (said.synced !== undefined) {
      this.synced = Math.max(this.synced, said.synced)
      this.count++
      this.#ledger.synced(this.#epoch, { number: said.synced, lsn: lsn(said.lsn as number) })
    } else {
      this.#ledger.problems.push(`a writer read what it had not written: ${line}`)
    }
  }

  get runs(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  /** Resolves when it has opened the volume, in its epoch. */
  opened(deadlineMs?: number): Promise<number> {
    return until('the writer opens the volume', () => this.#running() && this.#epoch > 0 && this.#epoch, deadlineMs)
  }

  /** Resolves when so many more mini-transactions were acknowledged. */
  async progress(more = 50, deadlineMs?: number): Promise<void> {
    const goal = this.count + more
    await until(`${more} more mini-transactions`, () => this.#running() && this.count >= goal, deadlineMs)
  }

  #running(): true {
    if (!this.runs) throw new Error(`the writer has ended with status ${this.process.exitCode}: ${this.complaints}`)
    return true
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.ended
  }

  /** Lets it sync and end. */
  async stop(): Promise<void> {
    this.process.kill('SIGTERM')
    const status = await Promise.race([this.ended, pause(STOP_MS_MAX).then(() => 'syncing')])
    if (status === 'syncing') await this.kill()
    if (status !== 0) throw new Error(`the writer ended with status ${status}: ${this.complaints}`)
  }
}
