/**
 * A cluster without processes: instances that start, end, crash, hang, are cut off and fenced, and a control plane that
 * carries out what `planCluster` says, hears of it late, and may die at any moment. Commands, store and decisions are the
 * real ones; hosts and time are a model, and everything follows from a seed.
 */
import assert from 'node:assert/strict'
import type { Random } from '../sim/random.ts'
import { decided } from '../src/cluster/cluster-decisions.ts'
import { type ClusterView, type Decision, planCluster, primaryOf, type Step } from '../src/cluster/cluster-plan.ts'
import type { ClusterRecord, InstanceRecord } from '../src/cluster/cluster-records.ts'
import { ControlStore } from '../src/cluster/control-store.ts'
import { defaultClusterSettings, defaultInstanceSettings } from '../src/cluster/defaults.ts'
import type { HostAgent, SeenInstance } from '../src/cluster/host-agent.ts'
import { RegionControl } from '../src/cluster/region-control.ts'
import type { InstanceReport } from '../src/instance/instance-report.ts'
import type { VolumeId } from '../src/protocol/lsn.ts'
import { PORT, reportOf, VERSION } from './cluster-records.ts'
import { ModelInstance } from './model-instance.ts'

export const CLUSTER = 'demo'
const TICK_MS = 100
const HEARD_EVERY_MS = 500
/** An agent waits for so long until it kills one that is to stop and does not. */
const STOP_MS_MAX = 100_000
const STEADY_MS = 60_000
/** What one look may decide: what is decided is not decided again. */
const DECISIONS_MAX = 6

interface Work {
  readonly doneMs: number
  /** What happens on the host, also when nobody waits for it any more. */
  readonly onHost: () => void
  /** What the control plane does afterwards. */
  readonly afterwards?: () => void
}

type Deed = Exclude<Step, { readonly do: 'decide' }>

export class ClusterWorld {
  readonly store = ControlStore.open(':memory:')
  readonly processes = new Map<string, ModelInstance>()
  readonly decisions: Decision[] = []
  readonly #random: Random
  readonly #writerOfTerm = new Map<number, string>()
  readonly #roleOfRun = new Map<string, string>()
  readonly #seen = new Map<string, SeenInstance>()
  readonly #busy = new Map<string, Work>()
  readonly #failures = new Map<string, number>()
  /** Whose next start fails. */
  readonly #unable = new Set<string>()
  #control: RegionControl | undefined
  #nowMs = 0
  #epoch = 0
  #storageUpSinceMs: number | null = 0
  /** Until when the control plane stands still, and since when it has not. */
  #stillUntilMs = 0
  #isStill = false
  #lookingSinceMs = 0
  /** When it starts again. */
  #backMs = Number.POSITIVE_INFINITY
  #names = 0

  constructor(random: Random) {
    this.#random = random
    this.startControl()
  }

  get cluster(): ClusterRecord | undefined {
    return this.store.cluster(CLUSTER)
  }

  get instances(): InstanceRecord[] {
    return this.store.instancesOf(CLUSTER)
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Those who could acknowledge a commit now. */
  get acknowledging(): ModelInstance[] {
    return [...this.processes.values()].filter(({ epoch }) => epoch === this.#epoch)
  }

  // -------------------------------------------------------------- commands

  /** What a person asks for; that it cannot be is an answer as well. */
  ask(command: (control: RegionControl) => unknown): void {
    if (this.#control === undefined) return
    try {
      command(this.#control)
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'ControlPlaneError') throw error
    }
    this.#checkTerms()
  }

  createCluster(instances: number): void {
    this.ask((control) => {
      control.createFrom(
        {
          name: CLUSTER,
          engine: 'aurora-postgresql',
          engineVersion: VERSION,
          masterUser: 'postgres',
          masterPassword: 'secret',
          databaseName: null,
          zones: null,
          settings: defaultClusterSettings(VERSION, PORT),
          storageEncrypted: false,
        },
        null,
      )
      for (let i = 0; i < instances; i++) this.createInstance()
    })
  }

  createInstance(): void {
    const name = `${CLUSTER}-${++this.#names}`
    const settings = { ...defaultInstanceSettings(VERSION), promotionTier: this.#random.below(3) }
    this.ask((control) => control.createInstance({ name, cluster: CLUSTER, zone: null, settings }))
  }

  // -------------------------------------------------------------- faults

  crash(name: string): void {
    this.processes.delete(name)
  }

  failNextStart(name: string): void {
    this.#unable.add(name)
  }

  /** Somebody whom nobody knows opens the volume. */
  fence(): void {
    this.#epoch++
  }

  set storageIsUp(isUp: boolean) {
    this.#storageUpSinceMs = isUp ? (this.#storageUpSinceMs ?? this.#nowMs) : null
  }

  get #storageIsUp(): boolean {
    return this.#storageUpSinceMs !== null
  }

  /** As one that was stopped, and is told to go on. */
  stallControl(ms: number): void {
    this.#stillUntilMs = this.#nowMs + ms
  }

  /** With -9, and somebody starts it again: what was under way has been done on the hosts, or has not. */
  killControl(): void {
    if (this.#control === undefined) return
    this.#control = undefined
    for (const { onHost } of this.#busy.values()) if (this.#random.chance(0.5)) onHost()
    this.#busy.clear()
    this.#seen.clear()
    this.#failures.clear()
    this.#backMs = this.#nowMs + this.#random.between(0, 5000)
  }

  /** It knows what is in the store, and adopts what runs. */
  startControl(): void {
    if (this.#control !== undefined) return
    const agent = { seen: () => this.#seen, onChange: () => {}, tell: () => {} } as unknown as HostAgent
    const name = (each: string) => each
    this.#control = new RegionControl({
      store: this.store,
      agent,
      region: 'local-1',
      hash: 'hash',
      zones: ['a', 'b', 'c'],
      authorityCertificate: '',
      names: { writer: name, reader: name, custom: name, instance: name },
      newVolumeId: () => 1 as VolumeId,
      newPassword: () => 'secret',
      newAddress: (taken) => `127.20.0.${taken.size + this.#random.below(1000)}`,
      certificateUntilMs: () => null,
      // Its loops do not run: this world is the loop.
      makeVolume: () => Promise.reject(),
      removeVolume: () => Promise.reject(),
      order: () => Promise.reject(),
      storageAnswersSinceMs: () => this.#storageUpSinceMs,
      onDecision: () => {},
      onChange: () => {},
      complain: () => {},
    })
    for (const process of this.processes.values()) {
      const report = process.isSilent ? null : this.#reportOf(process)
      this.#see(process.name, { run: report?.run ?? null, phase: 'running', report, reason: null })
    }
  }

  /** Nothing happens any more; what hangs goes on hanging. */
  heal(): void {
    this.storageIsUp = true
    this.#unable.clear()
    for (const process of this.processes.values()) process.isCutOff = false
    this.startControl()
  }

  picture(): string {
    const { cluster, instances } = this
    const processes = [...this.processes.values()].map((each) => ({ ...each, state: each.state(this.#nowMs) }))
    return JSON.stringify({ cluster, instances, processes, seen: [...this.#seen.values()] }, undefined, 1)
  }

  // -------------------------------------------------------------- what is seen

  #reportOf(process: ModelInstance): InstanceReport {
    return reportOf(process.name, process.report(this.#nowMs, this.#storageIsUp))
  }

  #see(name: string, now: Pick<SeenInstance, 'run' | 'phase' | 'report' | 'reason'>): void {
    const before = this.#seen.get(name)
    const since = (was: number | null | undefined, holds: boolean): number | null =>
      holds ? ((before?.run === now.run ? was : null) ?? this.#nowMs) : null
    this.#seen.set(name, {
      name,
      ...now,
      heardMs: this.#nowMs,
      waitingSinceMs: since(before?.waitingSinceMs, now.report?.storage === 'waiting'),
      availableSinceMs: since(before?.availableSinceMs, now.phase === 'running' && now.report?.state === 'available'),
    })
  }

  /** Reports arrive late, and that a process has ended is found out late. */
  #hear(): void {
    for (const [name, before] of this.#seen) {
      if (before.phase === 'gone') continue
      const process = this.processes.get(name)
      if (process === undefined) {
        if (this.#random.chance(0.5))
          this.#see(name, { run: before.run, phase: 'gone', report: before.report, reason: 'it ended' })
        continue
      }
      const isDue = this.#nowMs - before.heardMs >= HEARD_EVERY_MS || this.#random.chance(0.3)
      if (!process.isSilent && isDue)
        this.#see(name, { run: process.run, phase: 'running', report: this.#reportOf(process), reason: null })
    }
  }

  // -------------------------------------------------------------- the loop

  #view(): ClusterView | undefined {
    const { cluster, instances } = this
    for (const name of this.#failures.keys()) {
      const sinceMs = this.#seen.get(name)?.availableSinceMs
      if (sinceMs != null && this.#nowMs - sinceMs > STEADY_MS) this.#failures.delete(name)
    }
    return (
      cluster && {
        cluster,
        instances,
        seen: this.#seen,
        failures: this.#failures,
        storageAnswersSinceMs: this.#storageUpSinceMs,
        lookingSinceMs: this.#lookingSinceMs,
      }
    )
  }

  #look(): void {
    for (let decisions = 0; ; decisions++) {
      const view = this.#view()
      if (view === undefined) return
      const steps = planCluster(view, this.#nowMs)
      const decision = steps.find((step) => step.do === 'decide')
      if (decision === undefined) {
        for (const step of steps) if (step.do !== 'decide') this.#begin(step, view)
        return
      }
      assert(decisions < DECISIONS_MAX, `it does not settle: ${JSON.stringify(decision)}`)
      this.#decide(decision.decision)
      // It dies with the decision taken and nothing of it done.
      if (this.#random.chance(0.01)) {
        this.killControl()
        return
      }
    }
  }

  #decide(decision: Decision): void {
    const { cluster, instances } = this
    assert(cluster !== undefined)
    const now = decided({ cluster, instances }, decision, this.#nowMs)
    this.store.transaction(() => {
      this.store.putCluster(now.cluster)
      for (const { name } of instances)
        if (!now.instances.some((each) => each.name === name)) this.store.removeInstance(name)
      for (const each of now.instances) this.store.putInstance(each)
    })
    this.decisions.push(decision)
    if (decision.kind === 'again')
      this.#failures.set(decision.instance, (this.#failures.get(decision.instance) ?? 0) + 1)
    this.#checkTerms()
  }

  #checkTerms(): void {
    const { cluster } = this
    if (cluster === undefined || cluster.writer === null) return
    const { term, writer } = cluster
    const known = this.#writerOfTerm.get(term) ?? writer
    assert.equal(writer, known, `term ${term} has two writers`)
    this.#writerOfTerm.set(term, writer)
  }

  #begin(step: Deed, view: ClusterView): void {
    const about = 'instance' in step ? step.instance : '#volume'
    if (!this.#busy.has(about)) this.#busy.set(about, this.#work(step, view))
  }

  #work(step: Deed, view: ClusterView): Work {
    const soonMs = this.#nowMs + this.#random.between(0, 400)
    const putCluster = (change: Partial<ClusterRecord>) => {
      if (this.cluster?.stage === 'creating') this.store.putCluster({ ...this.cluster, ...change })
    }
    switch (step.do) {
      case 'make-volume':
        return { doneMs: soonMs, onHost: () => {}, afterwards: () => putCluster({ stage: 'live' }) }
      case 'remove-volume':
        return { doneMs: soonMs, onHost: () => {}, afterwards: () => this.store.removeCluster(CLUSTER) }
      case 'end':
        return { doneMs: this.#endMs(step.instance, step.how), onHost: () => this.#ended(step.instance) }
      case 'remove':
        return {
          doneMs: this.#endMs(step.instance, 'stop'),
          onHost: () => this.#ended(step.instance),
          afterwards: () => {
            this.#seen.delete(step.instance)
            if (this.cluster !== undefined) this.#decide({ kind: 'removed', instance: step.instance })
          },
        }
      case 'follow':
        return { doneMs: soonMs, onHost: () => this.processes.get(step.instance)?.follow(step.primary) }
      case 'start':
        return { doneMs: soonMs, onHost: this.#startOf(step.instance, view) }
    }
  }

  #endMs(name: string, how: 'stop' | 'kill'): number {
    const process = this.processes.get(name)
    if (process === undefined || how === 'kill') return this.#nowMs + this.#random.between(50, 300)
    return this.#nowMs + (process.isSilent ? STOP_MS_MAX : this.#random.between(100, 3000))
  }

  #ended(name: string): void {
    this.processes.delete(name)
    const before = this.#seen.get(name)
    if (before !== undefined)
      this.#see(name, { run: before.run, phase: 'gone', report: before.report, reason: 'it was ended' })
  }

  /** It is told its role when the work is begun. */
  #startOf(name: string, { cluster, instances }: ClusterView): () => void {
    const instance = instances.find((each) => each.name === name)
    assert(instance !== undefined)
    const { run } = instance
    const role = cluster.writer === name ? 'writer' : 'reader'
    const primary = role === 'writer' ? null : primaryOf({ cluster, instances })
    const key = `${name} ${run}`
    assert.equal(role, this.#roleOfRun.get(key) ?? role, `run ${run} of ${name} has two roles`)
    this.#roleOfRun.set(key, role)
    return () => {
      assert(!this.processes.has(name), `${name} is started twice`)
      if (this.#unable.delete(name)) {
        this.#see(name, { run, phase: 'gone', report: null, reason: 'it could not be started' })
        return
      }
      const openMs = this.#nowMs + this.#random.between(50, 1500)
      const readyMs = openMs + this.#random.between(50, 1500)
      this.processes.set(name, new ModelInstance({ name, run, role, primary, openMs, readyMs }))
      this.#see(name, { run, phase: 'running', report: null, reason: null })
    }
  }

  // -------------------------------------------------------------- time

  tick(): void {
    this.#nowMs += TICK_MS
    for (const process of this.processes.values()) {
      if (process.opens(this.#nowMs, this.#storageIsUp)) process.epoch = ++this.#epoch
      const isFenced = process.epoch !== null && process.epoch < this.#epoch
      if (process.sees(isFenced, this.#nowMs) === 'ended') {
        if (this.#control !== undefined && this.#seen.has(process.name))
          this.#see(process.name, {
            run: process.run,
            phase: 'gone',
            report: this.#reportOf(process),
            reason: 'another has opened its volume',
          })
        this.processes.delete(process.name)
      }
    }
    if (this.#nowMs >= this.#backMs) {
      this.#backMs = Number.POSITIVE_INFINITY
      this.startControl()
    }
    if (this.#control === undefined) return
    if (this.#nowMs < this.#stillUntilMs) {
      this.#isStill = true
      return
    }
    if (this.#isStill) {
      // Its timers are due before it hears what was said meanwhile.
      this.#isStill = false
      this.#lookingSinceMs = this.#nowMs
      this.#look()
    }
    if (this.#control === undefined) return
    this.#hear()
    for (const [about, { doneMs, onHost, afterwards }] of [...this.#busy]) {
      if (doneMs > this.#nowMs) continue
      this.#busy.delete(about)
      onHost()
      afterwards?.()
    }
    this.#look()
  }

  pass(ms: number): void {
    for (const end = this.#nowMs + ms; this.#nowMs < end; ) this.tick()
  }

  /** @returns after how long it was so; undefined when it was not */
  passUntil(condition: () => boolean, msMax: number): number | undefined {
    const startMs = this.#nowMs
    while (this.#nowMs - startMs < msMax) {
      if (condition()) return this.#nowMs - startMs
      this.tick()
    }
    return undefined
  }
}
