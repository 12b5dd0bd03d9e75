/** Going on with what may be there already: without a promise, and so without a turn of the event loop, when it is. */
import type { Eventual } from './block-device.ts'

export function andThen<T, U>(value: Eventual<T>, next: (value: T) => Eventual<U>): Eventual<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

/** Takes steps until one says that it was the last. */
export function untilDone(step: () => Eventual<boolean>): Eventual<void> {
  for (;;) {
    const answer = step()
    if (answer instanceof Promise) return answer.then((isLast) => (isLast ? undefined : untilDone(step)))
    if (answer === true) return undefined
  }
}
