/**
 * Keeps a run from the real world: whatever would differ between two runs of a seed throws instead. The rule that
 * cores have no clock and no randomness (`test/houses.test.ts`) reads the source; this one also sees what libraries do.
 */
import { performance } from 'node:perf_hooks'

/** Lets pending promises run, and nothing else. Taken before the room is sealed. */
const realSetImmediate = setImmediate
export const drainPromises = (): Promise<void> => new Promise((resolve) => realSetImmediate(resolve))

type Owner = Record<string, unknown>

const FORBIDDEN: readonly (readonly [Owner, string])[] = [
  [Math as unknown as Owner, 'random'],
  [Date as unknown as Owner, 'now'],
  [performance as unknown as Owner, 'now'],
  [globalThis as unknown as Owner, 'setTimeout'],
  [globalThis as unknown as Owner, 'setInterval'],
  [globalThis as unknown as Owner, 'setImmediate'],
  [crypto as unknown as Owner, 'randomUUID'],
  [crypto as unknown as Owner, 'getRandomValues'],
]

/** @returns what opens the room again */
export function forbidOutsideWorld(): () => void {
  const kept = FORBIDDEN.map(([owner, name]) => ({
    owner,
    name,
    descriptor: Object.getOwnPropertyDescriptor(owner, name),
  }))
  for (const [owner, name] of FORBIDDEN) {
    const value = (): never => {
      throw new Error(`${name} was called inside the simulation`)
    }
    Object.defineProperty(owner, name, { value, configurable: true, writable: true })
  }
  return () => {
    for (const { owner, name, descriptor } of kept) {
      if (descriptor === undefined) Reflect.deleteProperty(owner, name)
      else Object.defineProperty(owner, name, descriptor)
    }
  }
}
