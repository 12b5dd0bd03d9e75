/** Asking several nodes at once and going on as soon as enough of them have answered. */
import { VolumeError } from '../protocol/errors.ts'

/**
 * Starts `ask` for every key and resolves when `enough` says so, or when all have ended. What comes later is dropped.
 * @param enough is called after each answer with all answers so far
 */
export function gather<K, V>(
  keys: readonly K[],
  ask: (key: K) => Promise<V>,
  enough: (answers: ReadonlyMap<K, V>) => boolean,
): Promise<{ readonly answers: ReadonlyMap<K, V>; readonly errors: readonly VolumeError[] }> {
  return new Promise((resolve, reject) => {
    const answers = new Map<K, V>()
    const errors: VolumeError[] = []
    let left = keys.length
    const conclude = (): void => {
      if (left === 0 || enough(answers)) resolve({ answers: new Map(answers), errors: [...errors] })
    }
    if (keys.length === 0) conclude()
    for (const key of keys) {
      ask(key).then(
        (value) => {
          left--
          answers.set(key, value)
          conclude()
        },
        (error: unknown) => {
          left--
          if (error instanceof VolumeError) errors.push(error)
          else reject(error instanceof Error ? error : new Error(String(error)))
          conclude()
        },
      )
    }
  })
}
