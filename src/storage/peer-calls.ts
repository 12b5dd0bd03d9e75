/** Calls that a storage node makes to its peers: numbered, answered by callback, given up after a time. */

import { checkAnswer } from '../protocol/call-values.ts'
import type { Calls, Method } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { encodeCall, type Result, readResult } from '../protocol/message.ts'

export type PeerAnswer<M extends Method> =
  | { readonly value: Calls[M]['value']; readonly attachment: Uint8Array }
  | { readonly error: VolumeError }

interface Waiting {
  readonly method: Method
  readonly deadlineMs: number
  readonly done: (answer: PeerAnswer<Method>) => void
}

/** Long enough for a peer that is writing a layer, short enough to try another. */
const ANSWER_MS_MAX = 500

/** An answer of the wrong form is as good as an error. */
function answerOf(method: Method, { outcome, attachment }: Result): PeerAnswer<Method> {
  if ('error' in outcome) return outcome
  try {
    return { value: checkAnswer(method, outcome.value), attachment }
  } catch (error) {
    if (error instanceof VolumeError) return { error }
    throw error
  }
}

export class PeerCalls {
  readonly #waiting = new Map<number, Waiting>()
  readonly #send: (address: string, message: Uint8Array[]) => void
  readonly #now: () => number
  #next = 1

  constructor(send: (address: string, message: Uint8Array[]) => void, now: () => number) {
    this.#send = send
    this.#now = now
  }

  /** `done` is called once: with the answer, the peer's error, or `TimedOut`. An attachment is only valid inside. */
  call<M extends Method>(
    address: string,
    method: M,
    argument: Calls[M]['argument'],
    done: (answer: PeerAnswer<M>) => void,
  ): void {
    const request = this.#next
    this.#next = (this.#next % 0xffff_fffe) + 1
    this.#waiting.set(request, { method, deadlineMs: this.#now() + ANSWER_MS_MAX, done: done as Waiting['done'] })
    this.#send(address, encodeCall(request, method, argument))
  }

  /** Takes the body of a RESULT. */
  answered(body: Uint8Array): void {
    const result = readResult(body)
    const waiting = this.#waiting.get(result.request)
    if (waiting === undefined) return
    this.#waiting.delete(result.request)
    waiting.done(answerOf(waiting.method, result))
  }

  expire(): void {
    const now = this.#now()
    for (const [request, waiting] of this.#waiting) {
      if (waiting.deadlineMs > now) continue
      this.#waiting.delete(request)
      waiting.done({ error: new VolumeError('TimedOut', 'a peer did not answer in time') })
    }
  }
}
