import type { FileOperations } from '../filesystem/file-operations.ts'

/** The answer, or a promise of it when it has to be waited for. */
export type Eventual<T> = T | Promise<T>

/** What comes after: at once, when the answer is there at once. */
export const after = <T, U>(eventual: Eventual<T>, next: (value: T) => Eventual<U>): Eventual<U> =>
  eventual instanceof Promise ? eventual.then(next) : next(eventual)

/** The same for a failure; also one of the work itself. */
export function otherwise<T>(work: () => Eventual<T>, next: (error: unknown) => Eventual<T>): Eventual<T> {
  try {
    const eventual = work()
    return eventual instanceof Promise ? eventual.catch(next) : eventual
  } catch (error) {
    return next(error)
  }
}

/** When an operation that changes something is answered. */
export type AnswerWhen =
  /** When it is done, as a disk does that has a cache: durable with the next fsync. */
  | 'done'
  /** When it is durable, so that no answer is lost with the server. */
  | 'durable'

export const settled = <T>(files: FileOperations, when: AnswerWhen, eventual: Eventual<T>): Eventual<T> =>
  when === 'done' ? eventual : after(eventual, (value) => after(files.fsync(), () => value))
