/** A file system where programs find it: opened, mounted, served, and taken away again. */
import type { FileOperations } from '../filesystem/file-operations.ts'
import { type DeviceOptions, type EndReason, FuseDevice } from './real-device.ts'
import { openAndMount, placeOf, unmount } from './real-mount.ts'
import type { FuseServer } from './server.ts'

/** How long open files may hold back the end of an unmounted file system before it is cut off. */
const RELEASE_MS_MAX = 5000

export interface MountOptions extends Omit<DeviceOptions, 'files' | 'generation' | 'inherited'> {
  /** Another device node for FUSE than /dev/fuse. */
  readonly device?: string
}

export class FuseMount {
  readonly path: string
  readonly #device: FuseDevice

  constructor(path: string, device: FuseDevice) {
    this.path = path
    this.#device = device
  }

  get server(): FuseServer {
    return this.#device.server
  }

  /** Kept when nobody can use it any more, for whatever reason. */
  get ended(): Promise<EndReason> {
    return this.#device.ended
  }

  /** Waits until the last open file is closed; after `releaseMsMax` who still has one gets ENOTCONN. */
  async unmount({ releaseMsMax = RELEASE_MS_MAX } = {}): Promise<void> {
    const cut = setTimeout(() => this.#device.close(), releaseMsMax)
    try {
      await unmount(this.path)
      await this.#device.ended
    } finally {
      clearTimeout(cut)
      this.#device.close()
    }
  }

  /** For a successor on the same descriptor: answers what it was asked, makes everything durable, leaves the mount. */
  leave(): Promise<void> {
    return this.#device.leave()
  }

  /** At once: every request, and who waits for one, gets ENOTCONN. The dead mount stays in its place. */
  abort(): void {
    this.#device.close()
  }
}

/** @throws MountError */
export async function mountFiles(
  path: string,
  files: FileOperations,
  { device, ...options }: MountOptions = {},
): Promise<FuseMount> {
  const fd = await openAndMount(path, device)
  return new FuseMount(placeOf(path), new FuseDevice(fd, { ...options, files }))
}

/** What a keeper hands to a server (`descriptor-keeper.ts`). */
export interface HandedDescriptor {
  readonly fd: number
  readonly path: string
  /** 0 for the first server. */
  readonly generation: number
}

/** Serves a descriptor that somebody else opened and mounted, and keeps. */
export const serveFiles = (
  { fd, path, generation }: HandedDescriptor,
  files: FileOperations,
  options: Omit<DeviceOptions, 'files' | 'generation'> = {},
): FuseMount => new FuseMount(path, new FuseDevice(fd, { ...options, files, generation }))
