/** What the server of an instance's files tells its supervisor, which may be of another version. */
import type { StorageState } from './instance-state.ts'

/** Of the volume. */
export interface VolumeFigures {
  readonly epoch: number
  /** The durable point of a writer; the point that a reader's view was opened at. */
  readonly vdl: number
  /** What the files take in the volume, once. */
  readonly bytesUsed: number
}

export interface ServerReport {
  readonly storage: StorageState
  /** null until the volume is open. */
  readonly figures: VolumeFigures | null
  /** Of a reader: what it has written for itself. */
  readonly overlayBytes: number | null
  /** Of a reader: why it cannot go on for long. */
  readonly rebuild: string | null
  /** While it copies the engine's log: the oldest file of it that the volume has. */
  readonly oldestWal: string | null
}

export const OPENING: ServerReport = {
  storage: 'ok',
  figures: null,
  overlayBytes: null,
  rebuild: null,
  oldestWal: null,
}

export type ServerTold =
  | { readonly report: ServerReport }
  /** Another has opened the volume: nothing is answered any more. The process ends by `STATUS_FENCED`. */
  | { readonly fenced: true }
  /** It ends. */
  | { readonly failed: string }

/** What a supervisor tells the server of a reader's files. */
export interface ServerAsked {
  /** Copy the engine's log to the instance's folder, from this file on; null: no more. */
  readonly walFrom: string | null
}

/** As an instance's own. */
export const STATUS_FENCED = 3
