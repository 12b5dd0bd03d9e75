/** A point of a volume's past, as people name it: an LSN, or a time. */
import type { Ancestor } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type Lsn, lsn, type VolumeId } from '../protocol/lsn.ts'
import type { VolumeView } from '../volume/volume-view.ts'
import type { Volumes } from '../volume/volumes.ts'
import { PlainError, UsageError } from './plain-error.ts'

export type PastPoint = { readonly lsn: Lsn } | { readonly timeMs: number }

/** ISO 8601 with seconds or without, and a zone or UTC. `Date.parse` alone takes nearly anything for a time. */
const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?$/

/** @throws UsageError */
export function parsePoint(text: string): PastPoint {
  if (/^\d+$/.test(text)) {
    const value = Number(text)
    if (!Number.isSafeInteger(value)) throw new UsageError(`--at ${text}: no volume has an LSN as high as that`)
    return { lsn: lsn(value) }
  }
  const [, day, clock, zone = 'Z'] = TIME.exec(text) ?? []
  const timeMs = Date.parse(`${day}T${clock}${zone}`)
  if (Number.isNaN(timeMs))
    throw new UsageError(`--at ${text} is neither an LSN nor a time such as ${new Date().toISOString().slice(0, 19)}Z`)
  return { timeMs }
}

/** The volume whose own log has the LSN: the history of a branch from before it was made is its parent's. */
async function volumeWith(volumes: Volumes, id: VolumeId, at: Lsn): Promise<Ancestor> {
  const { base, parent } = await volumes.get(id)
  return parent === null || at >= base ? { volume: id, lsn: at } : volumeWith(volumes, parent.volume, at)
}

async function placeOf(volumes: Volumes, id: VolumeId, point: PastPoint | undefined): Promise<Ancestor> {
  if (point === undefined) return { volume: id, lsn: await volumes.head(id) }
  if ('lsn' in point) return volumeWith(volumes, id, point.lsn)
  if (point.timeMs > Date.now())
    throw new PlainError(`${timeText(point.timeMs)} is in the future: choose a time before`)
  return volumes.lsnAt(id, point.timeMs)
}

const timeText = (ms: number): string => new Date(ms).toISOString()

const pointText = (point: PastPoint): string => ('lsn' in point ? `LSN ${point.lsn}` : timeText(point.timeMs))

/**
 * A view of a cluster's volume at a point, or at its head. While it is open nobody collects what it shows.
 * @throws PlainError when there is nothing to be seen there, not yet or not any more
 */
export async function viewAt(
  volumes: Volumes,
  { name, volume }: { readonly name: string; readonly volume: VolumeId },
  point: PastPoint | undefined,
): Promise<VolumeView> {
  try {
    const place = await placeOf(volumes, volume, point)
    return await volumes.view(place.volume, place.lsn)
  } catch (error) {
    if (!(error instanceof VolumeError) || point === undefined) throw error
    if (error.code === 'ReadPointAhead')
      throw new PlainError(
        `${pointText(point)} is in the future of ${name}, which is at ${await volumes.head(volume)}`,
        {
          cause: error,
        },
      )
    if (error.code === 'ReadPointTooOld') {
      const { cutoff } = await volumes.get(volume)
      const kept = cutoff === 0 ? 'a later one' : `one from LSN ${cutoff} on`
      throw new PlainError(`${pointText(point)} is before what is kept of ${name}: choose ${kept}`, { cause: error })
    }
    throw error
  }
}
