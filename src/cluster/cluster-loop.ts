/**
 * Makes of one cluster what is wanted of it: looks, plans (`cluster-plan.ts`), does, and looks again, whenever something
 * has changed and several times a second anyway. Decisions are durable before anything follows from them; everything
 * else may be done twice, or be cut short, and is planned again.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { VolumeError } from '../protocol/errors.ts'
import { decided } from './cluster-decisions.ts'
import { type ClusterView, type Decision, planCluster, type Step } from './cluster-plan.ts'
import type { ClusterRecord, InstanceRecord } from './cluster-records.ts'
import type { ControlStore } from './control-store.ts'
import { type HostAgent, type InstanceOrder, PLACE_TAKEN } from './host-agent.ts'

export interface LoopWorld {
  readonly store: ControlStore
  readonly agent: HostAgent
  /** Makes the volume that was chosen for the cluster, unless it is there. */
  makeVolume(cluster: ClusterRecord): Promise<void>
  removeVolume(cluster: ClusterRecord): Promise<void>
  /** Everything that a run of an instance has to know. */
  order(cluster: ClusterRecord, instance: InstanceRecord): Promise<InstanceOrder>
  /** Another address for an instance, as somebody else listens on its own. */
  moved(instance: InstanceRecord): InstanceRecord
  /** Since when a write quorum of storage has answered us; null: it does not, or was not asked. */
  storageAnswersSinceMs(): number | null
  /** @param before the instances as they were */
  onDecision(cluster: ClusterRecord, decision: Decision, before: readonly InstanceRecord[]): void
  /** Something has been done: what is recorded may be another. */
  onChange(): void
  /** Something that was to be done could not be. */
  complain(what: string, error: unknown): void
}

const LOOK_MS = 200
/** Who has not looked for so long stood still, as a stopped process does. */
const LOOK_LATE_MS = 1000
/** A run that has lasted so long was no failure. */
const STEADY_MS = 60_000
/** Of steps that concern the cluster and no instance. */
const VOLUME = '#volume'
const FAILED_PAUSE_MS = 1000
/** A plan that changes its mind more often than there are instances goes round in circles. */
const DECISIONS_MAX = 100

export class ClusterLoop {
  /** Of the cluster: it may get another one. */
  name: string
  readonly #world: LoopWorld
  /** What is being done, by instance. */
  readonly #busy = new Map<string, Promise<void>>()
  readonly #failures = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #lookingSinceMs = performance.now()
  #lookedMs = this.#lookingSinceMs
  #isDue = false
  #isStopped = false

  constructor(name: string, world: LoopWorld) {
    this.name = name
    this.#world = world
  }

  start(): void {
    this.#timer = setInterval(() => this.wake(), LOOK_MS).unref()
    this.wake()
  }

  /** Looks soon; once, however often it is called. */
  wake(): void {
    if (this.#isDue || this.#isStopped) return
    this.#isDue = true
    setImmediate(() => {
      this.#isDue = false
      if (!this.#isStopped) this.#look()
    })
  }

  /** Whatever is being done comes to its end, and nothing more is begun. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearInterval(this.#timer)
    while (this.#busy.size > 0) await Promise.all(this.#busy.values())
  }

  #view(): ClusterView | undefined {
    const { store, agent } = this.#world
    const cluster = store.cluster(this.name)
    if (cluster === undefined) return undefined
    const seen = agent.seen()
    const nowMs = performance.now()
    for (const name of this.#failures.keys()) {
      const sinceMs = seen.get(name)?.availableSinceMs
      if (sinceMs != null && nowMs - sinceMs > STEADY_MS) this.#failures.delete(name)
    }
    return {
      cluster,
      instances: store.instancesOf(this.name),
      seen,
      failures: this.#failures,
      storageAnswersSinceMs: this.#world.storageAnswersSinceMs(),
      lookingSinceMs: this.#lookingSinceMs,
    }
  }

  #look(): void {
    const nowMs = performance.now()
    if (nowMs - this.#lookedMs > LOOK_LATE_MS) this.#lookingSinceMs = nowMs
    this.#lookedMs = nowMs
    for (let decisions = 0; ; decisions++) {
      const view = this.#view()
      if (view === undefined) return
      const steps = planCluster(view, performance.now())
      const decision = steps.find((step) => step.do === 'decide')
      if (decision === undefined) {
        for (const step of steps) if (step.do !== 'decide') this.#begin(step, view)
        return
      }
      if (decisions === DECISIONS_MAX)
        throw new Error(`cluster ${this.name} does not settle: ${JSON.stringify(decision)}`)
      this.#decide(decision.decision, view)
    }
  }

  #decide(decision: Decision, { cluster, instances }: ClusterView): void {
    const { store } = this.#world
    const now = decided({ cluster, instances }, decision, Date.now())
    store.transaction(() => {
      store.putCluster(now.cluster)
      const left = new Set(now.instances.map(({ name }) => name))
      for (const before of instances) if (!left.has(before.name)) store.removeInstance(before.name)
      for (const instance of now.instances) if (!instances.includes(instance)) store.putInstance(instance)
    })
    if (decision.kind === 'again' && decision.reason !== 'rebooted')
      this.#failures.set(decision.instance, (this.#failures.get(decision.instance) ?? 0) + 1)
    this.#world.onDecision(now.cluster, decision, instances)
  }

  /** One thing at a time for each instance. */
  #begin(step: Exclude<Step, { readonly do: 'decide' }>, view: ClusterView): void {
    const about = 'instance' in step ? step.instance : VOLUME
    if (this.#busy.has(about)) return
    const done = this.#do(step, view)
      .catch((error: unknown) => {
        this.#world.complain(`cluster ${this.name}: ${step.do} ${about}`, error)
        // It is planned again: what cannot be done now can hardly be done at once.
        return pause(FAILED_PAUSE_MS)
      })
      .finally(() => {
        this.#busy.delete(about)
        this.#world.onChange()
        this.wake()
      })
    this.#busy.set(about, done)
  }

  async #do(step: Exclude<Step, { readonly do: 'decide' }>, { cluster, instances }: ClusterView): Promise<void> {
    const { agent, store } = this.#world
    switch (step.do) {
      case 'make-volume':
        return this.#makeVolume(cluster)
      case 'remove-volume':
        await this.#world.removeVolume(cluster)
        return store.removeCluster(cluster.name)
      case 'end':
        return agent.end(step.instance, step.how)
      case 'remove': {
        await agent.remove(step.instance)
        const view = this.#view()
        if (view !== undefined) this.#decide({ kind: 'removed', instance: step.instance }, view)
        return
      }
      case 'follow':
        return agent.tell(step.instance, { do: 'follow', primary: step.primary })
      case 'start': {
        const instance = instances.find(({ name }) => name === step.instance)
        if (instance !== undefined) await this.#start(cluster, instance)
      }
    }
  }

  async #start(cluster: ClusterRecord, instance: InstanceRecord): Promise<void> {
    const { agent, store } = this.#world
    try {
      await agent.start(await this.#world.order(cluster, instance))
    } catch (error) {
      if (!(error instanceof Error) || error.name !== PLACE_TAKEN) throw error
      const now = store.instance(instance.name)
      if (now !== undefined) store.putInstance(this.#world.moved(now))
      throw error
    }
  }

  async #makeVolume(cluster: ClusterRecord): Promise<void> {
    try {
      await this.#world.makeVolume(cluster)
    } catch (error) {
      if (!(error instanceof VolumeError) || !error.retryable) throw error
      return pause(FAILED_PAUSE_MS)
    }
    const now = this.#world.store.cluster(cluster.name)
    if (now?.stage === 'creating') this.#world.store.putCluster({ ...now, stage: 'live' })
  }
}
