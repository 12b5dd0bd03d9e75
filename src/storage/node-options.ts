/** Settings of a storage node, with the reasons for their defaults. Sizes in bytes, times in milliseconds. */
import { VolumeError } from '../protocol/errors.ts'

export interface NodeOptions {
  /** One file of the hot log. Large enough that making the next (zero-filled, 20 ms) is rare. */
  readonly logFileBytes: number
  readonly logPageBytes: number
  /** Log that is flushed already stays this long for peers that fell behind; less is copied as layers. */
  readonly logRetainBytes: number
  /** A start replays log from where it is not in layers: memtables are flushed when that is more than this. */
  readonly logReplayBytes: number
  /** A segment's memtable is written as a layer at this size. */
  readonly flushBytes: number
  /** All memtables of the node together; the largest is flushed above, appends are refused at twice that. */
  readonly memoryBytesMax: number
  /** Target size of a layer file. */
  readonly layerBytes: number
  /** Layer indexes held in memory. */
  readonly indexCacheBytes: number
  /** Appends are refused when less is free, so that background work can still make room. */
  readonly reserveBytes: number
  /** Bytes of layers verified each second when the node has nothing else to do: 10 GiB in three hours. */
  readonly scrubBytesPerSecond: number
  /** Between the beginnings of two such passes over all layers. */
  readonly scrubEveryMs: number
  /** A segment with a gap asks its peers after this time: longer than frames of one writer overtake each other. */
  readonly gapMs: number
  /** An idle segment compares itself with its peers this often. */
  readonly gossipMs: number
}

const MiB = 1024 * 1024

export const DEFAULT_NODE_OPTIONS: NodeOptions = {
  logFileBytes: 64 * MiB,
  logPageBytes: 4096,
  logRetainBytes: 256 * MiB,
  logReplayBytes: 128 * MiB,
  flushBytes: 32 * MiB,
  memoryBytesMax: 192 * MiB,
  layerBytes: 64 * MiB,
  indexCacheBytes: 64 * MiB,
  reserveBytes: 256 * MiB,
  scrubBytesPerSecond: MiB,
  scrubEveryMs: 60 * 60 * 1000,
  gapMs: 10,
  gossipMs: 5000,
}

const isOption = (name: string): name is keyof NodeOptions => Object.hasOwn(DEFAULT_NODE_OPTIONS, name)

/**
 * The defaults with some settings replaced, each given as `NAME=NUMBER`.
 * @throws VolumeError `BadRequest` for a name that there is not, and for what is not a positive whole number
 */
export function nodeOptionsFrom(settings: readonly string[]): NodeOptions {
  const options: Record<keyof NodeOptions, number> = { ...DEFAULT_NODE_OPTIONS }
  for (const setting of settings) {
    const [name = '', digits = ''] = setting.split('=', 2)
    if (!isOption(name)) {
      const names = Object.keys(DEFAULT_NODE_OPTIONS).join(', ')
      throw new VolumeError('BadRequest', `"${setting}" sets none of ${names}`)
    }
    const value = /^\d+$/.test(digits) ? Number(digits) : 0
    if (!Number.isSafeInteger(value) || value === 0) {
      throw new VolumeError('BadRequest', `"${setting}": ${name} is a positive whole number`)
    }
    options[name] = value
  }
  return options
}
