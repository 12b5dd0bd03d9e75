/**
 * Everything that can go wrong in the volume, as one closed set of codes.
 *
 * Three families: `caller` (the request was wrong), `operation` (it could not be done now), `invariant` (a rule that
 * must hold does not: the process or the segment stops).
 */
export type ErrorFamily = 'caller' | 'operation' | 'invariant'

interface CodeTraits {
  readonly family: ErrorFamily
  /** The same request may succeed later, or at another node. */
  readonly retryable: boolean
}

const CODES = {
  /** The request's own values are out of range or of the wrong form. */
  BadRequest: { family: 'caller', retryable: false },
  NotFound: { family: 'caller', retryable: false },
  AlreadyExists: { family: 'caller', retryable: false },
  /** The read point is below the cutoff and not pinned: that version may be collected. */
  ReadPointTooOld: { family: 'caller', retryable: false },
  /** The read point is above what this node knows to be complete. Another node may have it. */
  ReadPointAhead: { family: 'operation', retryable: true },
  /** Someone opened the volume with a higher epoch: this writer must stop. */
  Fenced: { family: 'operation', retryable: false },
  StaleVolumeEpoch: { family: 'operation', retryable: false },
  /** The node has not been told of this volume epoch yet: seal it there, then try again. */
  UnknownEpoch: { family: 'operation', retryable: true },
  StaleMembership: { family: 'operation', retryable: true },
  UnknownSegment: { family: 'operation', retryable: true },
  /** The segment may have lost what it acknowledged; it heals from its peers. */
  SuspectSegment: { family: 'operation', retryable: true },
  WrongIncarnation: { family: 'operation', retryable: false },
  /** A peer no longer has the log that was asked for; copy its layers. */
  LogCollected: { family: 'operation', retryable: false },
  /** The node has more unapplied log than it may hold; slow down. */
  Overloaded: { family: 'operation', retryable: true },
  DiskFull: { family: 'operation', retryable: true },
  /** Two changed the same registry cell; read it again. */
  Conflict: { family: 'operation', retryable: true },
  Unreachable: { family: 'operation', retryable: true },
  TimedOut: { family: 'operation', retryable: true },
  NoQuorum: { family: 'operation', retryable: true },
  Closed: { family: 'operation', retryable: false },
  LeaseExpired: { family: 'operation', retryable: false },
  /** Bytes that do not match their checksum, or are not what should be there. */
  Corrupt: { family: 'operation', retryable: true },
  UnsupportedFormat: { family: 'operation', retryable: false },
  /** A rule of docs/spec/volume.md does not hold. */
  Invariant: { family: 'invariant', retryable: false },
} as const satisfies Record<string, CodeTraits>

export type ErrorCode = keyof typeof CODES

export class VolumeError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'VolumeError'
    this.code = code
  }
  get family(): ErrorFamily {
    return CODES[this.code].family
  }
  get retryable(): boolean {
    return CODES[this.code].retryable
  }
}

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(CODES, text)

/** Stops loudly when a rule that must always hold does not. Kept in production. */
export function invariant(holds: boolean, message: string | (() => string)): asserts holds {
  if (!holds) throw new VolumeError('Invariant', typeof message === 'string' ? message : message())
}
