/**
 * What control plane and host agents say to each other over TCP: lines of JSON. The control plane asks, with a number;
 * the agent answers with it, and tells by itself what it sees. Clocks of two machines are never compared: moments travel as
 * how long ago they were.
 */
import type { SeenInstance } from '../host-agent.ts'

/** The methods of `HostAgent` that are asked for and answered. */
export type Asked = 'start' | 'end' | 'remove' | 'logFiles' | 'readLogFile'

export interface Request {
  readonly id: number
  readonly do: Asked
  readonly arguments: readonly unknown[]
}

/** Answered by nothing. */
export interface Tell {
  readonly do: 'tell'
  readonly arguments: readonly unknown[]
}

export type Answer =
  | { readonly id: number; readonly result: unknown }
  /** `name`: of the error's class, where that means something to who asked. */
  | { readonly id: number; readonly error: { readonly name: string; readonly message: string } }

/** An instance as it is seen, with ages in place of moments. */
export interface SeenAged extends Omit<SeenInstance, 'heardMs' | 'waitingSinceMs' | 'availableSinceMs'> {
  readonly heardAgoMs: number
  readonly waitingForMs: number | null
  readonly availableForMs: number | null
}

export type AgentMessage = Answer | { readonly seen: readonly SeenAged[] }

const ago = (moment: number | null, nowMs: number): number | null => (moment === null ? null : nowMs - moment)

export function aged(seen: SeenInstance, nowMs: number): SeenAged {
  const { heardMs, waitingSinceMs, availableSinceMs, ...rest } = seen
  return {
    ...rest,
    heardAgoMs: nowMs - heardMs,
    waitingForMs: ago(waitingSinceMs, nowMs),
    availableForMs: ago(availableSinceMs, nowMs),
  }
}

export function unaged(seen: SeenAged, nowMs: number): SeenInstance {
  const { heardAgoMs, waitingForMs, availableForMs, ...rest } = seen
  return {
    ...rest,
    heardMs: nowMs - heardAgoMs,
    waitingSinceMs: ago(waitingForMs, nowMs),
    availableSinceMs: ago(availableForMs, nowMs),
  }
}
