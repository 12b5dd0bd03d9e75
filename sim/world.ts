/**
 * The world of one seed: a fleet of real storage nodes, real writers, readers and a fleet keeper, in virtual time.
 *
 * First everything works while faults strike (safety), then faults end and everything has to come together (liveness,
 * `convergence.ts`). What is true is decided by the model.
 */
import { VolumeError } from '../src/protocol/errors.ts'
import type { GroupConfig } from '../src/protocol/group.ts'
import { type GroupIndex, groupIndex, type Lsn, lsn, type VolumeId, volumeName } from '../src/protocol/lsn.ts'
import { isAnnulled } from '../src/protocol/truncation.ts'
import type { GroupPlace } from '../src/volume/membership.ts'
import { Progress, WriterLedger } from './checks.ts'
import { SimClient } from './client.ts'
import { converge } from './convergence.ts'
import { SimCrash } from './effects.ts'
import type { EventQueue } from './events.ts'
import { FaultActor } from './fault-actor.ts'
import { FaultAtlas } from './fault-atlas.ts'
import { SimFleet, ZONES } from './fleet.ts'
import { FleetActor } from './fleet-actor.ts'
import { calm, Network } from './network.ts'
import { Oracle, Violation } from './oracle.ts'
import type { Random } from './random.ts'
import { atlasName, RegistryWatch } from './registry-watch.ts'
import { traceSegments } from './report.ts'
import { type RunSeed, type Stage, seeded } from './scenario.ts'
import { drainPromises } from './sealed-room.ts'
import { CALM_REGISTRY, type RegistryOptions, RegistryStore } from './sim-registry.ts'
import { chooseSwarm, type Swarm } from './swarm.ts'
import { Workload } from './workload.ts'

/** A run has some ten thousand events; one that has this many is in a loop. */
const EVENTS_MAX = 3_000_000
const BOOT_US_MAX = 5_000_000

/** The end of a group's log when some mini-transaction was the last of the volume. */
interface GroupEnd {
  readonly cpl: Lsn
  readonly last: Lsn
}

export class World {
  readonly stage: Stage
  readonly swarm: Swarm
  readonly events: EventQueue
  readonly random: Random
  readonly network: Network
  readonly store: RegistryStore
  readonly oracle = new Oracle()
  readonly watch: RegistryWatch
  readonly atlas: FaultAtlas
  readonly ledger = new WriterLedger()
  readonly progress = new Progress()
  readonly fleet: SimFleet
  readonly clients = new Set<SimClient>()
  readonly workload: Workload
  readonly faults: FaultActor
  keeper: FleetActor
  /** Leases may have run out before their time. */
  clocksJumped = false
  #registryOptions: RegistryOptions
  #told = false
  #failure: { readonly error: unknown } | undefined
  #clientCount = 0
  #events = 0
  readonly #groupEnds = new Map<string, GroupEnd[]>()

  constructor(stage: Stage, adjust: (swarm: Swarm) => Swarm) {
    this.stage = stage
    const { events, random } = stage
    this.events = events
    this.random = random
    this.swarm = adjust(chooseSwarm(random.fork('swarm')))
    const { swarm } = this
    this.#registryOptions = CALM_REGISTRY
    this.network = new Network(events, random.fork('network'), calm(swarm.network))
    this.watch = new RegistryWatch(this.oracle, {
      joined: (volume, config, nodes) => this.#joined(volume, config, nodes),
    })
    this.store = new RegistryStore((key, value) => {
      try {
        this.watch.changed(key, value)
      } catch (error) {
        this.fail(error)
      }
    })
    this.atlas = new FaultAtlas(
      () => this.watch.groups(),
      swarm.badCopiesMax,
      ({ segment }, copy) => this.fleet.blocksLost(segment, copy),
      ({ segment }, copy, tails) => this.fleet.canCatchUp(segment, copy, tails),
    )
    this.fleet = new SimFleet({
      stage,
      swarm,
      network: this.network,
      watch: this.watch,
      atlas: () => this.atlas,
      groupEnd: (volume, group) => this.groupEnd(volume, group),
      threw: (error) => this.fail(error),
    })
    this.workload = new Workload(this)
    this.faults = new FaultActor(this)
    this.keeper = this.newKeeper()
  }

  count(what: string): void {
    this.stage.count(what)
  }

  fail(error: unknown): void {
    this.#failure ??= { error }
  }

  // -------------------------------------------------------------- processes

  newClient(kind: string): SimClient {
    const name = `${kind}${++this.#clientCount}`
    const random = this.random.fork(name)
    const client = new SimClient({
      name,
      zone: random.pick(ZONES),
      events: this.events,
      network: this.network,
      store: this.store,
      registry: this.#registryOptions,
      random,
      trace: this.stage.trace,
      clockSkewMs: random.between(-5_000, 5_000),
      told: () => {
        this.#told = true
      },
      threw: (error) => this.fail(error),
    })
    this.clients.add(client)
    client.onCrash(() => this.clients.delete(client))
    return client
  }

  newKeeper(): FleetActor {
    this.keeper = new FleetActor(this, this.newClient('keeper'))
    return this.keeper
  }

  /** From now on, for all clients. */
  set registryOptions(options: RegistryOptions) {
    this.#registryOptions = options
    for (const client of this.clients) client.registry.options = options
  }

  /** Runs an operation of a client. What the volume refuses is no failure; a broken rule is. */
  perform(client: SimClient, what: string, action: () => Promise<void>, ended: () => void = () => {}): void {
    if (client.state === 'down') return
    const operation = this.progress.began(`${client.name} ${what}`, this.events.nowUs / 1_000)
    let open = true
    const end = (): void => {
      if (!open) return
      open = false
      this.progress.ended(operation)
      ended()
    }
    client.onCrash(end)
    this.stage.trace.line(client.name, `begins ${what}`)
    this.#told = true
    action().then(end, (error: unknown) => {
      end()
      this.#refused(client, what, error)
    })
  }

  #refused(client: SimClient, what: string, error: unknown): void {
    if (error instanceof SimCrash) return
    if (error instanceof VolumeError && error.family !== 'invariant') {
      this.stage.trace.line(client.name, `${what} failed: ${error.code} ${error.message}`)
      if (client.state === 'up') this.count(`refused: ${what.replace(/ (of )?vol-.*/, '')} ${error.code}`)
    } else if (client.state === 'up' || !(error instanceof VolumeError)) this.fail(error)
  }

  // -------------------------------------------------------------- what is known

  groupConfig({ placement, group }: GroupPlace): GroupConfig | undefined {
    const record = [...this.watch.records.values()].find((each) => each.placement === placement)
    return record === undefined ? undefined : this.watch.configOf(record, group)
  }

  /** Fresh members may hold nothing yet: they are no good copies until they were seen to be. */
  #joined(volume: VolumeId, config: GroupConfig, nodes: readonly string[]): void {
    for (const member of config.members) {
      if (nodes.includes(member.node)) this.atlas.joined(atlasName(volume, config.group), member)
    }
    this.fleet.noteHealed()
  }

  /** When the volume's log ended at `cpl`, its part in a group ended at `last`. */
  noteGroupEnd(volume: VolumeId, group: GroupIndex, cpl: Lsn, last: Lsn, epoch: number): void {
    const key = `${atlasName(volume, group)} ${epoch}`
    const ends = this.#groupEnds.get(key)
    if (ends === undefined) this.#groupEnds.set(key, [{ cpl, last }])
    else ends.push({ cpl, last })
  }

  /** The last record of a group that was acknowledged. */
  groupEnd(volume: VolumeId, group: number): Lsn {
    const model = this.oracle.volume(volume)
    const truncations = this.watch.records.get(volume)?.truncations ?? []
    let end = lsn(0)
    for (const { epoch } of model.timelines) {
      for (const { cpl, last } of this.#groupEnds.get(`${atlasName(volume, groupIndex(group))} ${epoch}`) ?? []) {
        if (cpl <= model.acknowledged && last > end && !isAnnulled(truncations, cpl)) end = last
      }
    }
    return end
  }

  // -------------------------------------------------------------- time

  /** Lets time pass until a condition holds. @returns false when it did not within `usMax` */
  async drive(condition: () => boolean, usMax: number): Promise<boolean> {
    const limitUs = this.events.nowUs + usMax
    await this.#settle()
    while (!condition()) {
      if (this.events.nowUs > limitUs) return false
      if (++this.#events > EVENTS_MAX) throw new Violation('a run comes to an end', `${EVENTS_MAX} events`)
      if (!this.events.step()) return false
      if (this.#told) await this.#settle()
      else this.#throwFailure()
    }
    return true
  }

  async #settle(): Promise<void> {
    this.#told = false
    await drainPromises()
    this.#throwFailure()
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** @throws Violation when the condition did not come about */
  async require(rule: string, condition: () => boolean, usMax: number, why: () => string): Promise<void> {
    if (await this.drive(condition, usMax)) return
    throw new Violation(rule, why())
  }

  async run(): Promise<void> {
    await this.#boot()
    this.network.options = this.swarm.network
    this.registryOptions = {
      ...this.swarm.registry,
      timeoutUs: 20_000 + 10 * this.swarm.registry.delayUsMax,
    }
    this.workload.start()
    this.faults.start()
    await this.require(
      'the workload goes on',
      () => this.workload.isOver,
      60_000_000,
      () => 'its steps did not end',
    )
    await converge(this)
  }

  async #boot(): Promise<void> {
    this.fleet.start()
    const maker = this.newClient('maker')
    const { blockBytes, blocksPerGroup } = this.swarm
    const made: VolumeId[] = []
    this.perform(maker, 'making the first volume', async () => {
      await this.keeper.register()
      made.push(await maker.volumes.create({ blockBytes, blocksPerGroup }))
    })
    await this.require(
      'a volume can be made',
      () => made.length > 0,
      BOOT_US_MAX,
      () => 'the first volume was not made',
    )
    maker.crash(false)
    this.stage.trace.line('world', `made ${made.map(volumeName)}`)
  }
}

/** A run that differs from what its seed chose. */
const runAdjusted = (adjust: (swarm: Swarm) => Swarm): RunSeed =>
  seeded(async (stage) => {
    const world = new World(stage, adjust)
    try {
      await world.run()
    } catch (error) {
      traceSegments(world)
      throw error
    }
  })

export const runSeed = runAdjusted((swarm) => swarm)
