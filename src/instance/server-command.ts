/** How a supervisor starts the server of its instance's files (`server-main.ts`), which may be of a later version. */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseVolumeName, type VolumeId } from '../protocol/lsn.ts'
import { walFolderOf } from './instance-folder.ts'
import { type InstanceSettingsFile, ROLES, type Role } from './settings-file.ts'

const SERVER = join(import.meta.dirname, 'server-main.ts')
/**
 * The collector marks all of a heap of 10 MiB for each few that were allocated unless it is told where to begin (MiB):
 * that was a fifth of the server's time in a bulk load.
 */
const SERVER_HEAP = '--initial-old-space-size=64'
const MIB = 1 << 20

/**
 * What the server of the files takes besides its cache of blocks: Node itself, log that is not durable yet (twice 32 MiB),
 * writes that wait (64 MiB), what the collector has not come to.
 */
const SERVER_REST_MIB = 256
const CACHE_MIB_MIN = 16

/** A larger cache saves reads of what was just written (vacuum, index builds), and full images where a delta would do. */
const cacheMib = (memoryMib: number): number => Math.max(memoryMib - SERVER_REST_MIB, CACHE_MIB_MIN)

export interface FileServerSettings {
  readonly role: Role
  readonly registryPath: string
  readonly volume: VolumeId
  /** Of blocks, to make deltas against. */
  readonly cacheBytes: number
  /** What the scratch file may take. */
  readonly scratchBytesMax: number
  /** Where a reader's engine finds log that was copied out of the volume. */
  readonly walFolder: string
}

export function serverCommand(
  { role, registry, volume, serverMemoryMib, folder }: InstanceSettingsFile,
  scratchBytesMax: number,
): [string, ...string[]] {
  const settings = {
    role,
    registry,
    volume,
    'cache-mib': cacheMib(serverMemoryMib),
    'scratch-bytes': scratchBytesMax,
    'wal-folder': walFolderOf(folder),
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`])
  // It does not outlive us, also where a thread of ours is held up in its files and keeps everything open.
  return ['setpriv', '--pdeathsig', 'TERM', '--', process.execPath, SERVER_HEAP, SERVER, ...args]
}

const OPTIONS = ['role', 'registry', 'volume', 'cache-mib', 'scratch-bytes', 'wal-folder']

/** @throws Error for a volume that is none */
export function parseServerArguments(args: readonly string[]): FileServerSettings {
  const { values } = parseArgs({
    args: [...args],
    options: Object.fromEntries(OPTIONS.map((name) => [name, { type: 'string' as const }])),
    // The supervisor may be of a later version, and know more.
    strict: false,
  })
  const text = (value: string | boolean | undefined): string => (typeof value === 'string' ? value : '')
  const volume = parseVolumeName(text(values.volume))
  if (volume === undefined) throw new Error(`${text(values.volume)} is no volume`)
  return {
    role: ROLES.find((role) => role === values.role) ?? 'writer',
    registryPath: text(values.registry),
    volume,
    cacheBytes: Number(text(values['cache-mib'])) * MIB,
    scratchBytesMax: Number(text(values['scratch-bytes'])),
    walFolder: text(values['wal-folder']),
  }
}
