/** Time, as the driver is given it. */
export interface Clock {
  /** Monotonic, in milliseconds, from an arbitrary start. */
  now(): number
  /** Milliseconds since 1970. May jump. */
  wallClock(): number
}
