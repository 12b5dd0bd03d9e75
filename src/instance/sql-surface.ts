/**
 * What an instance does for SQL while its engine runs: a writer's has Aurora's functions in every database, and what
 * those ask for is taken. A crash is the instance's own to make; other faults are for whoever runs it.
 */
import { engineAccount } from '../engine/account.ts'
import { type FaultRequest, RequestMailbox } from '../engine/postgres/aurora-requests.ts'
import { AuroraSurface } from '../engine/postgres/aurora-surface.ts'
import type { SessionPlace } from '../engine/postgres/session.ts'
import type { Crash } from './instance-command.ts'

/** A database that was restored has its functions after that time. */
const LOOK_MS = 10_000

type Complain = (what: string, error: unknown) => void

export class SqlSurface {
  readonly #mailbox: RequestMailbox
  readonly #looks: NodeJS.Timeout | undefined
  readonly #onChange: () => void
  readonly #complain: Complain
  #requests: readonly FaultRequest[] = []
  #isClosed = false

  private constructor(
    mailbox: RequestMailbox,
    looks: NodeJS.Timeout | undefined,
    onChange: () => void,
    complain: Complain,
  ) {
    this.#mailbox = mailbox
    this.#looks = looks
    this.#onChange = onChange
    this.#complain = complain
  }

  /**
   * The engine runs.
   * @param onCrash makes it crash, as was asked for
   * @param onChange there are other requests than before
   */
  static async open(
    place: SessionPlace,
    role: 'writer' | 'reader',
    onCrash: (what: Crash) => void,
    onChange: () => void,
    complain: Complain,
  ): Promise<SqlSurface> {
    const take = (request: FaultRequest): void => {
      if (request.fault.kind === 'crash') onCrash(request.fault.what)
      else opened.#ask(request)
    }
    const mailbox = await RequestMailbox.open(place.folder, engineAccount(), take, complain)
    let looks: NodeJS.Timeout | undefined
    if (role === 'writer') {
      // A look that the end of the engine cuts off is no news.
      const surface = new AuroraSurface(place, (what, error) => {
        if (!opened.#isClosed) complain(what, error)
      })
      looks = setInterval(() => void surface.look(), LOOK_MS)
      void surface.look()
    }
    const opened = new SqlSurface(mailbox, looks, onChange, complain)
    return opened
  }

  /** Those that nobody has taken yet. Whoever asked does not wait for ever. */
  get requests(): readonly FaultRequest[] {
    const nowMs = Date.now()
    return this.#requests.filter(({ untilMs }) => untilMs > nowMs)
  }

  #ask(request: FaultRequest): void {
    this.#requests = [...this.requests, request]
    this.#onChange()
  }

  /** @param problem why it cannot be; null: it is done */
  taken(id: string, problem: string | null): void {
    if (!this.#requests.some((request) => request.id === id)) return
    this.#requests = this.requests.filter((request) => request.id !== id)
    this.#mailbox.answer(id, problem).catch((error: unknown) => this.#complain('to answer a request of SQL', error))
    this.#onChange()
  }

  /** The engine ends, or has ended. */
  close(): void {
    this.#isClosed = true
    clearInterval(this.#looks)
    this.#mailbox.close()
  }
}
