/**
 * What a machine does for the control plane: it runs instances. The loops see no process and no path, only what an agent
 * says; so that the machine may be another one.
 */
import type { InstanceCommand } from '../instance/instance-command.ts'
import type { InstanceReport } from '../instance/instance-report.ts'
import type { InstanceSettingsFile } from '../instance/settings-file.ts'
import type { Ending } from './cluster-records.ts'

/** Everything that an instance has to know for one run of it, but for what lies where on its host. */
export interface InstanceOrder
  extends Omit<InstanceSettingsFile, 'folder' | 'home' | 'registry' | 'memoryMib' | 'serverMemoryMib' | 'control'> {
  /** What its engine may use; null: as the host sees fit. */
  readonly memoryMib: number | null
}

/** The name of the error of a start where another program listens at the instance's address. */
export const PLACE_TAKEN = 'PlaceTaken'

export interface HostLogFile {
  readonly name: string
  readonly bytes: number
  readonly writtenMs: number
}

/** What is known of an instance that runs, or of the run that ended last. */
export interface SeenInstance {
  readonly name: string
  /** null: it was adopted and has not said yet which it is. */
  readonly run: number | null
  /** `gone`: nothing of it is left. */
  readonly phase: 'running' | 'gone'
  /** What it said last. */
  readonly report: InstanceReport | null
  /** When it last said anything, or was started, or was found gone. */
  readonly heardMs: number
  /** Since when its storage quorum has not answered. */
  readonly waitingSinceMs: number | null
  /** Since when it has been available in this run. */
  readonly availableSinceMs: number | null
  /** Why it is gone. */
  readonly reason: string | null
}

export interface HostAgent {
  /** By name. */
  seen(): ReadonlyMap<string, SeenInstance>
  /** Called whenever something about an instance has changed but for its figures. */
  onChange(listener: (name: string) => void): void
  /** Resolves when its process runs. @throws Error when it cannot be started; it is `gone` then */
  start(order: InstanceOrder): Promise<void>
  /** Resolves when nothing of it is left, which can take minutes for `stop` of one that has much to write. */
  end(name: string, how: Ending): Promise<void>
  /** Ended, and its folder removed. */
  remove(name: string): Promise<void>
  tell(name: string, command: InstanceCommand): void
  logFiles(
    name: string,
  ): Promise<readonly { readonly name: string; readonly bytes: number; readonly writtenMs: number }[]>
  readLogFile(name: string, file: string, offset: number, length: number): Promise<Uint8Array | undefined>
}
