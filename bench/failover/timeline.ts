/** What happens while a writer is replaced, seen from outside: the region's status, many times a second. */
import { isAlive, type ProcessIdentity } from '../../src/cluster/host/process-identity.ts'
import { instanceProcesses } from '../../test/instance-processes.ts'
import type { RegionHome } from '../../test/region-home.ts'
import { pause } from '../../test/waiting.ts'

/** In this order, each from the one before. */
export const PHASES = ['decided', 'old ended', 'started', 'opening', 'starting', 'available', 'written'] as const
export type Phase = (typeof PHASES)[number]

/** Seldom enough that the region has better things to do. */
const LOOK_MS = 20

/** When each was first seen, in ms since the beginning. */
export type Timeline = Partial<Record<Phase, number>>

export class FailoverWatch {
  readonly #home: RegionHome
  readonly #cluster: string
  readonly #seen: Timeline = {}
  readonly #startedMs = performance.now()
  readonly #running: Promise<void>
  #isStopped = false

  /** @param old the writer until now */
  constructor(home: RegionHome, cluster: string, old: Parameters<typeof instanceProcesses>[0]) {
    this.#home = home
    this.#cluster = cluster
    this.#running = this.#watch(old.name, instanceProcesses(old))
  }

  #note(phase: Phase): void {
    this.#seen[phase] ??= performance.now() - this.#startedMs
  }

  async #watch(old: string, processes: readonly ProcessIdentity[]): Promise<void> {
    const before = new Map((await this.#home.status()).instances.map(({ name, pid }) => [name, pid]))
    while (!this.#isStopped) {
      const status = await this.#home.status().catch(() => undefined)
      const writer = status?.instances.find(({ cluster, role }) => cluster === this.#cluster && role === 'writer')
      if (writer !== undefined && writer.name !== old) {
        this.#note('decided')
        const isNew = writer.pid !== null && writer.pid !== before.get(writer.name)
        if (isNew) {
          this.#note('started')
          if (writer.state === 'opening' || writer.state === 'starting' || writer.state === 'available')
            this.#note(writer.state)
        }
      }
      if (this.#seen['old ended'] === undefined && !processes.some(isAlive)) this.#note('old ended')
      await pause(LOOK_MS)
    }
  }

  /** @param writtenMs when somebody could write again */
  async end(writtenMs: number): Promise<Timeline> {
    this.#isStopped = true
    await this.#running
    return { ...this.#seen, written: writtenMs }
  }
}
