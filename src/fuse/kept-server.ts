/**
 * A server whose descriptor somebody else keeps (`descriptor-keeper.ts`), from its own side.
 *
 *     ready -> (its turn) -> serving -> left, status 75      for its successor
 *                                    -> status 0             it has unmounted
 *
 * It talks with its keeper over Node's channel between parent and child. That the channel ends says that the keeper is
 * gone, however it went. The descriptor is its number 3; others that it was given follow.
 */
import type { HandedDescriptor } from './fuse-mount.ts'

/** Status of a server that leaves in order, everything durable, and wants a successor: EX_TEMPFAIL. */
export const STATUS_REPLACE_ME = 75

export const FUSE_FD = 3

/** What the last server left for the next one: JSON, its own business. */
export type Left = unknown

export interface Turn {
  readonly path: string
  /** 0 for the first server of a mount. */
  readonly generation: number
  /** undefined for the first one. */
  readonly left: Left
}

/** `leave`: for a successor. `stop`: unmount and end. */
export type Asked = 'leave' | 'stop'

export type FromKeeper =
  | { readonly turn: Turn }
  | { readonly asked: Asked }
  /** Anything else, from whoever has the keeper. */
  | { readonly told: unknown }

export type FromServer =
  /** Its code is loaded, it waits for its turn. */
  | { readonly is: 'ready' }
  /** Sent before the first answer. */
  | { readonly is: 'serving' }
  /** Sent when everything is durable, before its end. */
  | { readonly is: 'left'; readonly left: Left }
  /** Anything else, for whoever has the keeper. */
  | { readonly is: 'told'; readonly told: unknown }

export class KeptServer {
  /** Kept when it is this server's turn. */
  readonly turn: Promise<HandedDescriptor & Pick<Turn, 'left'>>
  /** Kept when the keeper is gone, however it went. */
  readonly keeperGone: Promise<void>
  readonly #listeners: ((asked: Asked) => void)[] = []
  #asked: Asked | undefined
  #onTold: (told: unknown) => void = () => {}

  private constructor() {
    const { promise, resolve } = Promise.withResolvers<HandedDescriptor & Pick<Turn, 'left'>>()
    this.turn = promise
    process.on('message', (message: FromKeeper) => {
      if ('turn' in message) resolve({ fd: FUSE_FD, ...message.turn })
      else if ('asked' in message) this.#ask(message.asked)
      else this.#onTold(message.told)
    })
    this.keeperGone = new Promise((gone) => process.once('disconnect', gone))
    // Ctrl-C in a terminal is for the keeper, who tells us what to do.
    process.on('SIGINT', () => {})
    void this.#send({ is: 'ready' })
  }

  /** undefined when no keeper started this process. To be called when everything else is there: the turn may come at once. */
  static fromKeeper(): KeptServer | undefined {
    return process.connected === true ? new KeptServer() : undefined
  }

  #ask(asked: Asked): void {
    // Who is leaving may still be told to stop, and then is leaving still.
    if (this.#asked !== undefined) return
    this.#asked = asked
    for (const listener of this.#listeners) listener(asked)
  }

  /** Calls `listener` once, at once when it was asked before. */
  onAsked(listener: (asked: Asked) => void): void {
    if (this.#asked === undefined) this.#listeners.push(listener)
    else listener(this.#asked)
  }

  /** Calls `listener` with each thing that whoever has the keeper tells the server. */
  onTold(listener: (told: unknown) => void): void {
    this.#onTold = listener
  }

  /** Resolves when the keeper can know of it, whatever becomes of us. */
  #send(message: FromServer): Promise<void> {
    return new Promise((resolve) => {
      if (process.connected !== true) return resolve()
      // That the keeper is gone is said by `keeperGone`.
      process.send?.(message, () => resolve())
    })
  }

  /** To be awaited before anything is served: a server that dies before it has served has lost nothing. */
  serving(): Promise<void> {
    return this.#send({ is: 'serving' })
  }

  /** Everything is durable; to be awaited before the process ends with `STATUS_REPLACE_ME`. */
  left(left: Left): Promise<void> {
    return this.#send({ is: 'left', left })
  }

  /** Something for whoever has the keeper. */
  tell(told: unknown): Promise<void> {
    return this.#send({ is: 'told', told })
  }
}
