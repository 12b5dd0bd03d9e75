/** `borealis volume mount`: the files of a cluster at a point of its past, in a folder, until Ctrl-C. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Home } from '../cluster/host/home.ts'
import { type PastPoint, viewAt } from '../cluster/past-point.ts'
import { PlainError } from '../cluster/plain-error.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { type FuseMount, mountFiles } from '../fuse/fuse-mount.ts'
import { MountError, mountsAt, placeOf, removeDeadMounts } from '../fuse/real-mount.ts'
import { attachPast } from '../instance/past-files.ts'
import type { ScratchPlace } from '../instance/volume-files.ts'
import { RealDisk } from '../storage/real-disk.ts'
import { SqliteRegistry } from '../volume/sqlite-registry.ts'
import { openFleet } from '../volume/tcp-fleet.ts'
import type { VolumeView } from '../volume/volume-view.ts'
import { ask } from './control-socket.ts'
import { findVolume } from './find-volume.ts'

export interface MountCommand {
  /** Of a cluster, or the id of a volume. */
  readonly name: string
  readonly folder: string
  /** The head of the volume, when it is not given. */
  readonly at: PastPoint | undefined
  /** Changes are taken, seen here only, and gone with the mount. */
  readonly overlay: boolean
}

/** Of the free disk, what changes may take. */
const SCRATCH_SHARE = 0.5
const LOOK_MS = 500

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

/** @throws PlainError unless it is an empty folder that nobody has mounted anything on */
async function checkFolder(folder: string): Promise<void> {
  try {
    const place = placeOf(folder)
    await removeDeadMounts(place)
    if (mountsAt(place) === 0 && readdirSync(place).length === 0) return
  } catch (cause) {
    if (cause instanceof MountError && cause.code === 'InUse') throw new PlainError(cause.message, { cause })
    throw new PlainError(`${folder} is no folder to mount on: make it first`, { cause })
  }
  throw new PlainError(`${folder} is not empty: choose another folder`)
}

/** Without a name from the beginning: it goes with this process, however that ends. */
function scratchPlace(home: Home): ScratchPlace {
  const folder = mkdtempSync(join(home.region, 'overlay-'))
  const disk = RealDisk.open(folder)
  try {
    return { file: disk.create('blocks'), bytesMax: Math.floor(disk.freeBytes() * SCRATCH_SHARE) }
  } finally {
    disk.close()
    rmSync(folder, { recursive: true })
  }
}

/** Resolves with why nobody should use it any more; undefined: we were asked to end. */
function ended(mount: FuseMount, view: VolumeView): Promise<string | undefined> {
  const asked = new Promise<undefined>((answer) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => answer(undefined))
  })
  const expired = async (): Promise<string> => {
    while (view.state === 'open') await pause(LOOK_MS, undefined, { ref: false })
    return 'the storage could not be told for a minute that its past is still looked at: mount it again'
  }
  const unmounted = mount.ended.then(() => `${mount.path} was unmounted by somebody else`)
  return Promise.race([asked, expired(), unmounted])
}

/** Serves the files until it is told to end. @throws PlainError, with nothing mounted */
export async function mountVolume(home: Home, { name, folder, at, overlay }: MountCommand): Promise<void> {
  // Asked first, for its clear word when nothing runs.
  await ask(home, 'status', {})
  const place = resolve(folder)
  await checkFolder(place)
  const registry = SqliteRegistry.open(home.registry)
  const fleet = openFleet(registry)
  try {
    const view = await viewAt(fleet.volumes, { name, volume: findVolume(home, name) }, at)
    try {
      await serve(view, place, { name, scratch: overlay ? scratchPlace(home) : undefined })
    } finally {
      await view.close()
    }
  } finally {
    fleet.close()
    registry.close()
  }
}

interface Served {
  readonly name: string
  readonly scratch: ScratchPlace | undefined
}

async function serve(view: VolumeView, place: string, { name, scratch }: Served): Promise<void> {
  const files = await attachPast(view, scratch).catch((cause: unknown) => {
    if (!(cause instanceof FsError) || cause.code !== 'EINVAL') throw cause
    throw new PlainError(`${name} has no files yet at LSN ${view.readPoint}: choose a later one`, { cause })
  })
  const mount = await mountFiles(place, files)
  const how = scratch === undefined ? 'read-only' : 'what is changed here is gone with it'
  print(`${name} at LSN ${view.readPoint} is at ${place}, ${how}; Ctrl-C takes it away`)
  const why = await ended(mount, view)
  await mount.unmount()
  if (why !== undefined) throw new PlainError(why)
}
