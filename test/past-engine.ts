/** PostgreSQL on a volume as it was at an LSN: what it writes stays in a local overlay and goes with it. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type pg from 'pg'
import { type FuseMount, mountFiles } from '../src/fuse/fuse-mount.ts'
import { unmountHere } from '../src/fuse/real-mount.ts'
import { attachPast } from '../src/instance/past-files.ts'
import { RelationFiles } from '../src/instance/relation-files.ts'
import type { Lsn, VolumeId } from '../src/protocol/lsn.ts'
import { RealDisk } from '../src/storage/real-disk.ts'
import type { Fleet } from '../src/volume/tcp-fleet.ts'
import type { VolumeView } from '../src/volume/volume-view.ts'
import { whenWeEnd } from './child-processes.ts'
import { PostgresInstance } from './postgres-instance.ts'

const OVERLAY_BYTES_MAX = 1 << 30

export class PastEngine implements AsyncDisposable {
  readonly #instance: PostgresInstance
  readonly #view: VolumeView
  readonly #mount: FuseMount
  readonly #disk: RealDisk
  readonly #forget: () => void
  /** How long PostgreSQL took to recover and accept connections. */
  readonly recoveryMs: number

  private constructor(
    instance: PostgresInstance,
    parts: { view: VolumeView; mount: FuseMount; disk: RealDisk; forget: () => void; recoveryMs: number },
  ) {
    this.#instance = instance
    this.#view = parts.view
    this.#mount = parts.mount
    this.#disk = parts.disk
    this.#forget = parts.forget
    this.recoveryMs = parts.recoveryMs
  }

  static async start({ volumes }: Fleet, volume: VolumeId, at: Lsn): Promise<PastEngine> {
    const instance = await PostgresInstance.empty('past', undefined, 'mount/data')
    const view = await volumes.view(volume, at)
    const disk = RealDisk.open(join(instance.folder, 'scratch'))
    const files = new RelationFiles(
      await attachPast(view, { file: disk.create('blocks'), bytesMax: OVERLAY_BYTES_MAX }),
    )
    const place = join(instance.folder, 'mount')
    await mkdir(place)
    const mount = await mountFiles(place, files, { pageBytesOf: (inode) => files.pageBytesOf(inode) })
    const forget = whenWeEnd(() => unmountHere(place))
    const startedMs = performance.now()
    try {
      await instance.engine.start(instance.configuration)
    } catch (error) {
      await mount.unmount()
      throw error
    }
    return new PastEngine(instance, { view, mount, disk, forget, recoveryMs: performance.now() - startedMs })
  }

  superuser(): Promise<pg.Client> {
    return this.#instance.superuser()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#instance.engine.kill()
    await this.#mount.unmount()
    this.#forget()
    this.#disk.close()
    await this.#view.close()
    await rm(this.#instance.folder, { recursive: true, force: true })
  }
}
