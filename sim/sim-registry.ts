/**
 * The registry as a distant service: calls take time, replies get lost after the change was made, and it is away now
 * and then. One store of cells for the whole run, one client for each process.
 */
import { VolumeError } from '../src/protocol/errors.ts'
import type { Cell, Registry } from '../src/volume/registry.ts'
import type { EventQueue } from './events.ts'
import type { Random } from './random.ts'
import type { Trace } from './trace.ts'

export interface RegistryOptions {
  readonly delayUsMax: number
  /** Share of calls whose reply is lost, whether they changed something or not. */
  readonly lostReplyChance: number
  /** A caller gives up after this. */
  readonly timeoutUs: number
}

/** A registry in which nothing goes wrong. */
export const CALM_REGISTRY: RegistryOptions = { delayUsMax: 500, lostReplyChance: 0, timeoutUs: 200_000 }

/** The cells. Every change is told at the moment when it is made, before anybody has a reply. */
export class RegistryStore {
  readonly #cells = new Map<string, Cell>()
  readonly #changed: (key: string, value: string | null) => void
  #version = 0
  /** While it is away calls do not arrive, and replies to those that arrived are lost. */
  state: 'here' | 'away' = 'here'

  constructor(changed: (key: string, value: string | null) => void) {
    this.#changed = changed
  }

  get(key: string): Cell | undefined {
    return this.#cells.get(key)
  }

  cas(key: string, expected: number, value: string | null): boolean {
    if ((this.#cells.get(key)?.version ?? 0) !== expected) return false
    if (value === null) this.#cells.delete(key)
    else this.#cells.set(key, { value, version: ++this.#version })
    this.#changed(key, value)
    return true
  }

  list(prefix: string): string[] {
    return [...this.#cells.keys()].filter((key) => key.startsWith(prefix)).sort()
  }
}

export interface RegistryClientOptions {
  readonly name: string
  readonly store: RegistryStore
  readonly events: EventQueue
  readonly random: Random
  readonly trace: Trace
  readonly options: RegistryOptions
  /** After a promise was settled: let what waits for it run. */
  readonly told: () => void
}

export class SimRegistry implements Registry {
  readonly #client: RegistryClientOptions
  #options: RegistryOptions
  #state: 'open' | 'crashed' = 'open'

  constructor(client: RegistryClientOptions) {
    this.#client = client
    this.#options = client.options
  }

  /** From now on: for the end of all faults. */
  set options(options: RegistryOptions) {
    this.#options = options
  }

  /** Its process is gone: nobody hears the replies. What was asked may still be done. */
  crash(): void {
    this.#state = 'crashed'
  }

  get(key: string): Promise<Cell | undefined> {
    return this.#call(`get ${key}`, (store) => store.get(key))
  }

  cas(key: string, expected: number, value: string | null): Promise<boolean> {
    return this.#call(`cas ${key} ${expected}`, (store) => store.cas(key, expected, value))
  }

  list(prefix: string): Promise<string[]> {
    return this.#call(`list ${prefix}`, (store) => store.list(prefix))
  }

  #call<T>(what: string, action: (store: RegistryStore) => T): Promise<T> {
    const { name, store, events, random, trace, told } = this.#client
    const { delayUsMax, lostReplyChance, timeoutUs } = this.#options
    // What is left of a dead process asks for nothing.
    if (this.#state === 'crashed') return new Promise(() => {})
    return new Promise((resolve, reject) => {
      let settled = false
      const settle = (how: string, action: () => void): void => {
        if (settled || this.#state === 'crashed') return
        settled = true
        trace.line(name, `registry ${what}: ${how}`)
        action()
        told()
      }
      events.after(random.below(delayUsMax) + 1, () => {
        if (store.state === 'away') return
        const result = action(store)
        if (random.chance(lostReplyChance)) return
        events.after(random.below(delayUsMax) + 1, () => {
          if (store.state === 'here') settle(shown(result), () => resolve(result))
        })
      })
      events.after(timeoutUs, () => {
        settle('timed out', () => reject(new VolumeError('TimedOut', `the registry did not answer ${what}`)))
      })
    })
  }
}

function shown(result: unknown): string {
  const text = JSON.stringify(result) ?? 'nothing'
  return text.length <= 100 ? text : `${text.slice(0, 100)}...`
}
