/**
 * The mailbox by which SQL asks the instance's supervisor for something (`aurora-faults.ts`): a folder beside the
 * configuration. A request is a file with one line of JSON, whole when the line has its end; the answer is another, there
 * at once and whole. Readers can use it as well as the writer, as they could not NOTIFY.
 */
import { type FSWatcher, watch } from 'node:fs'
import { chown, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Account } from '../account.ts'

export type RequestedFault =
  | { readonly kind: 'crash'; readonly what: 'instance' | 'dispatcher' | 'node' }
  | {
      readonly kind: 'replica-failure'
      readonly percent: number
      readonly seconds: number
      /** null: all readers */
      readonly replica: string | null
    }
  | { readonly kind: 'disk-failure'; readonly percent: number; readonly index: number; readonly seconds: number }
  | {
      readonly kind: 'disk-congestion'
      readonly percent: number
      /** Which of the storage nodes, by their names, from 0. */
      readonly index: number
      readonly seconds: number
      readonly msMin: number
      readonly msMax: number
    }

export interface FaultRequest {
  readonly id: string
  /** Nobody waits for an answer any more. */
  readonly untilMs: number
  readonly fault: RequestedFault
}

const REQUEST = /^([0-9a-f-]{36})\.request$/
const PRIVATE_FOLDER = 0o700
/** Whoever asked has read it by then. */
const ANSWER_KEPT_MS = 30_000

/** undefined for a line that is not whole. The functions that write it have checked the rest. */
function parseRequest(content: string): FaultRequest | undefined {
  if (!content.endsWith('\n')) return undefined
  const request = JSON.parse(content) as FaultRequest
  return typeof request.fault?.kind === 'string' ? request : undefined
}

export class RequestMailbox {
  readonly #folder: string
  readonly #account: Account | undefined
  readonly #onRequest: (request: FaultRequest) => void
  readonly #complain: (what: string, error: unknown) => void
  #watcher: FSWatcher | undefined
  /** One look after the other: a request is taken once. */
  #looking: Promise<void> = Promise.resolve()

  private constructor(
    folder: string,
    account: Account | undefined,
    onRequest: (request: FaultRequest) => void,
    complain: (what: string, error: unknown) => void,
  ) {
    this.#folder = folder
    this.#account = account
    this.#onRequest = onRequest
    this.#complain = complain
  }

  /**
   * What was asked of an earlier process is not done by this one: it may be what has ended it.
   * @param runFolder of the configuration
   * @param onRequest is told each request once
   */
  static async open(
    runFolder: string,
    account: Account | undefined,
    onRequest: (request: FaultRequest) => void,
    complain: (what: string, error: unknown) => void,
  ): Promise<RequestMailbox> {
    const folder = join(runFolder, 'requests')
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER })
    if (account !== undefined) await chown(folder, account.uid, account.gid)
    const mailbox = new RequestMailbox(folder, account, onRequest, complain)
    mailbox.#watcher = watch(folder, () => mailbox.#look())
    mailbox.#watcher.on('error', (error) => complain('the mailbox for requests of SQL', error))
    return mailbox
  }

  #look(): void {
    this.#looking = this.#looking
      .then(async () => {
        for (const name of await readdir(this.#folder)) if (REQUEST.test(name)) await this.#take(name)
      })
      .catch((error: unknown) => this.#complain('a request of SQL', error))
  }

  async #take(name: string): Promise<void> {
    const path = join(this.#folder, name)
    const request = parseRequest(await readFile(path, 'utf8'))
    if (request === undefined) return
    await rm(path)
    if (request.untilMs > Date.now()) this.#onRequest(request)
  }

  /** @param problem why it cannot be, for whoever asked; null: it is done */
  async answer(id: string, problem: string | null): Promise<void> {
    const path = join(this.#folder, `${id}.answer`)
    const file = await open(`${path}.new`, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify({ problem }))
      if (this.#account !== undefined) await file.chown(this.#account.uid, this.#account.gid)
    } finally {
      await file.close()
    }
    await rename(`${path}.new`, path)
    setTimeout(() => void rm(path, { force: true }), ANSWER_KEPT_MS).unref()
  }

  close(): void {
    this.#watcher?.close()
  }
}
