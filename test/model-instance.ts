/** An instance of the model of a cluster: how it starts, what it says of itself, and what can happen to it. */
import type { InstanceReport } from '../src/instance/instance-report.ts'
import type { Address } from '../src/instance/settings-file.ts'

interface ModelInstanceOptions {
  readonly name: string
  readonly run: number
  readonly role: 'writer' | 'reader'
  readonly primary: Address | null
  /** When it opens the volume, and when it serves. */
  readonly openMs: number
  readonly readyMs: number
}

/** Of a writer that finds out that another has its volume. */
const FENCED_MS = 300

export class ModelInstance {
  readonly name: string
  readonly run: number
  readonly role: 'writer' | 'reader'
  /** Of a writer that has opened the volume. */
  epoch: number | null = null
  /** It stands still. */
  isSilent = false
  /** It does not reach the storage. */
  isCutOff = false
  /** Its engine does not answer any more. */
  hungSinceMs: number | null = null
  /** Its engine crashed and is being started again. */
  recoveringUntilMs = 0
  wantsRebuild = false
  #primary: Address | null
  #fencedMs: number | null = null
  readonly #openMs: number
  readonly #readyMs: number

  constructor({ name, run, role, primary, openMs, readyMs }: ModelInstanceOptions) {
    this.name = name
    this.run = run
    this.role = role
    this.#primary = primary
    this.#openMs = openMs
    this.#readyMs = readyMs
  }

  get primary(): Address | null {
    return this.#primary
  }

  follow(primary: Address | null): void {
    if (!this.isSilent && this.role === 'reader') this.#primary = primary
  }

  #reaches(storageIsUp: boolean): boolean {
    return storageIsUp && !this.isCutOff
  }

  /** Whether it takes the volume now. */
  opens(nowMs: number, storageIsUp: boolean): boolean {
    const isDue = this.role === 'writer' && this.epoch === null && nowMs >= this.#openMs
    return isDue && !this.isSilent && this.#reaches(storageIsUp)
  }

  /** A writer that was fenced learns of it, and ends. */
  sees(isFenced: boolean, nowMs: number): 'goes on' | 'ended' {
    if (!isFenced || this.isSilent || this.isCutOff) return 'goes on'
    this.#fencedMs ??= nowMs
    return nowMs - this.#fencedMs >= FENCED_MS ? 'ended' : 'goes on'
  }

  /** It serves, and nothing is wrong with it that would have to be noticed. */
  isWell(nowMs: number): boolean {
    return this.state(nowMs) === 'available' && !this.isSilent && this.hungSinceMs === null && !this.wantsRebuild
  }

  state(nowMs: number): InstanceReport['state'] {
    if (this.#fencedMs !== null) return 'fenced'
    if (this.role === 'writer' && this.epoch === null) return 'opening'
    if (nowMs < this.#readyMs) return 'starting'
    return nowMs < this.recoveringUntilMs ? 'recovering' : 'available'
  }

  report(nowMs: number, storageIsUp: boolean): Partial<InstanceReport> {
    const { run, role, primary } = this
    const state = this.state(nowMs)
    return {
      run,
      role,
      state,
      primary,
      storage: this.#reaches(storageIsUp) ? 'ok' : 'waiting',
      answeredMsAgo: state === 'available' ? nowMs - (this.hungSinceMs ?? nowMs) : null,
      walLsn: '0/1000',
      rebuild: this.wantsRebuild ? 'its overlay is full' : null,
    }
  }
}
