/** What a server serves to an engine: a writer's files (`writer-files.ts`) or a reader's (`reader-files.ts`). */
import type { VolumeId } from '../protocol/lsn.ts'
import type { Fleet } from '../volume/tcp-fleet.ts'
import type { RelationFiles } from './relation-files.ts'
import type { VolumeFigures } from './server-report.ts'
import type { Durability } from './storage-watch.ts'
import type { FilesLeft, ScratchPlace } from './volume-files.ts'

export interface ServedFiles {
  readonly files: RelationFiles
  /** Whether what was written waits for the storage. */
  readonly durability: Durability
  readonly figures: VolumeFigures
  /** Of a reader. */
  readonly overlayBytes: number | null
  /** Why a reader cannot go on for long. */
  readonly rebuild: string | null
  /** Resolves when what was written is as durable as it is to be. */
  sync(): Promise<unknown>
  /** Lets go of what others keep for it. Nobody uses it any more. */
  close(): Promise<void>
  /** To be called last: nothing may be written any more. */
  leave(): FilesLeft
}

export interface ServedVolume {
  readonly fleet: Fleet
  readonly volume: VolumeId
  /** Of blocks, to make deltas against. */
  readonly cacheBytes: number
  readonly scratch: ScratchPlace
  /** What the server before has left, to programs that have the files open. */
  readonly left: FilesLeft | undefined
  readonly isWanted: () => boolean
  readonly onFenced: () => void
}
