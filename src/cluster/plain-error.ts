/** What a command could not do: one line for people, which says what to do. */
export class PlainError extends Error {
  /** Of the process. */
  readonly status: number
  constructor(message: string, options: ErrorOptions & { readonly status?: number } = {}) {
    super(message, options)
    this.name = 'PlainError'
    this.status = options.status ?? 1
  }
}

export class UsageError extends PlainError {
  constructor(message: string) {
    super(message, { status: 2 })
    this.name = 'UsageError'
  }
}

/** The first line of any error. */
export const messageOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
