/** Settings of a volume's writer. */
export interface WriterOptions {
  /** Last versions that are kept to make deltas against. */
  readonly cacheBytes: number
  /** Log that may be sent and not yet durable: beyond, writing waits. */
  readonly unackedBytesMax: number
  /** A frame is sent at once when it holds this much. */
  readonly frameBytes: number
  /**
   * Changes of so many bytes and more are packed. Below, six copies save less than packing costs here: 2 to 3 us for
   * 1 KiB, 8 to 30 us for a block.
   */
  readonly packBytesMin: number
  /** Writing waits while a write quorum would take longer than this to apply its log. */
  readonly applyDelayMsMax: number
  /** A read that no full member could answer is tried again this often, 50 ms apart. */
  readonly readTriesMax: number
}

export const DEFAULT_WRITER_OPTIONS: WriterOptions = {
  cacheBytes: 64 * 1024 * 1024,
  unackedBytesMax: 32 * 1024 * 1024,
  // Large enough that the cost per frame is nothing beside that per byte, small enough that six nodes log in step.
  frameBytes: 256 * 1024,
  packBytesMin: 1024,
  applyDelayMsMax: 1000,
  readTriesMax: 100,
}
