/**
 * What a file system stands on: blocks that change by mini-transactions. A volume's writer, a read-only view of a
 * volume, a view with a local overlay and a scratch file are all seen as this.
 */
import type { BlockNumber, Lsn } from '../protocol/lsn.ts'
import type { Change } from '../volume/change.ts'

export type { Change }

/** The answer, or a promise of it when it has to be waited for. */
export type Eventual<T> = T | Promise<T>

export interface BlockDevice {
  /** Bytes of a block: a power of two. */
  readonly blockBytes: number
  /** Nothing may be appended. */
  readonly readOnly: boolean
  /** The newest content, durable or not; zeros where nothing was written. The caller owns the answer. */
  read(block: BlockNumber): Eventual<Uint8Array>
  /** What has to be waited for before `changes` can be appended; undefined, nearly always, when nothing. */
  prepare(changes: readonly Change[]): Promise<void> | undefined
  /**
   * Appends one mini-transaction at once: all of it becomes visible, or, when it throws, none. No block is in it twice,
   * trims come first. The bytes are copied before it returns.
   */
  append(changes: readonly Change[]): Lsn
  /** Resolves when everything appended so far is durable. */
  sync(): Promise<Lsn>
}
