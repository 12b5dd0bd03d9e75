/**
 * Everything that can go wrong with a database engine, as one closed set of codes. Families as in
 * `protocol/errors.ts`: `caller` (the request was wrong) and `operation` (it could not be done now).
 */
export type EngineErrorFamily = 'caller' | 'operation'

interface CodeTraits {
  readonly family: EngineErrorFamily
  /** The same request may succeed later. */
  readonly retryable: boolean
}

const CODES = {
  /** There is no such engine version, or not for this machine. */
  UnknownVersion: { family: 'caller', retryable: false },
  /** A parameter, name or path that the engine cannot have or that would break what the storage promises. */
  BadParameter: { family: 'caller', retryable: false },
  /** The folder holds no data of this engine, or not all of it. */
  NotADataDirectory: { family: 'caller', retryable: false },
  /** The data is of another major version than the binaries. */
  WrongVersion: { family: 'caller', retryable: false },
  /** The folder for a new database is not empty. */
  AlreadyExists: { family: 'caller', retryable: false },
  /** Not in this state of the engine. */
  WrongState: { family: 'caller', retryable: false },
  /** A live process works in this data directory. */
  InUse: { family: 'operation', retryable: true },
  /** The engine's programs could not be brought here. */
  NotInstalled: { family: 'operation', retryable: true },
  /** The machine lacks something the engine needs. */
  MachineNotReady: { family: 'operation', retryable: false },
  /** The engine ended before it accepted connections. */
  StartFailed: { family: 'operation', retryable: true },
  /** The engine said no to what it was asked to do, or ended meanwhile. */
  OperationFailed: { family: 'operation', retryable: true },
  TimedOut: { family: 'operation', retryable: true },
} as const satisfies Record<string, CodeTraits>

export type EngineErrorCode = keyof typeof CODES

export class EngineError extends Error {
  readonly code: EngineErrorCode
  constructor(code: EngineErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EngineError'
    this.code = code
  }
  get family(): EngineErrorFamily {
    return CODES[this.code].family
  }
  get retryable(): boolean {
    return CODES[this.code].retryable
  }
}
