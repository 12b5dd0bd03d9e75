/**
 * One process of the volume's users: a writer, a reader or the fleet's keeper, with network, registry and clock of its
 * own. It crashes at any effect; what still runs of it then has none.
 */
import { BlockReads } from '../src/volume/block-reads.ts'
import { Membership } from '../src/volume/membership.ts'
import { NodeClient } from '../src/volume/node-client.ts'
import type { VolumeContext } from '../src/volume/volume-context.ts'
import { Volumes } from '../src/volume/volumes.ts'
import { ProcessClock } from './clock.ts'
import { type CrashMoment, Effects, SimCrash } from './effects.ts'
import type { EventQueue } from './events.ts'
import type { Network } from './network.ts'
import type { Random } from './random.ts'
import { SimFabric } from './sim-fabric.ts'
import { type RegistryOptions, type RegistryStore, SimRegistry } from './sim-registry.ts'
import type { Trace } from './trace.ts'

/** How often a client looks at the clock. The real one does so every 2 ms; all it changes is how soon things happen. */
const TICK_US = 4_000
/** Until the program has done what it had to do in this turn. */
const DEFER_US = 3

export interface ClientOptions {
  readonly name: string
  readonly zone: string
  readonly events: EventQueue
  readonly network: Network
  readonly store: RegistryStore
  readonly registry: RegistryOptions
  readonly random: Random
  readonly trace: Trace
  readonly clockSkewMs: number
  /** Promises may have been settled. */
  readonly told: () => void
  /** Something of the client threw what is no crash. */
  readonly threw: (error: unknown) => void
}

export class SimClient {
  readonly name: string
  readonly zone: string
  readonly clock: ProcessClock
  readonly registry: SimRegistry
  readonly context: VolumeContext
  readonly volumes: Volumes
  readonly membership: Membership
  readonly #options: ClientOptions
  readonly #effects: Effects
  readonly #fabric: SimFabric
  readonly #ticked: (() => void)[] = []
  readonly #crashed: (() => void)[] = []
  #state: 'up' | 'down' = 'up'

  constructor(options: ClientOptions) {
    const { name, zone, events, network, store, random, trace, told } = options
    this.#options = options
    this.name = name
    this.zone = zone
    this.clock = new ProcessClock(events, options.clockSkewMs)
    this.#effects = new Effects()
    this.#fabric = new SimFabric({
      name,
      zone,
      events,
      network,
      effects: this.#effects,
      trace,
      died: () => this.crash(random.chance(0.5)),
      told: (error) => this.#told(error),
    })
    this.registry = new SimRegistry({ name, store, events, random, trace, options: options.registry, told })
    const clock = { now: () => this.clock.nowMs, wallClock: () => this.clock.wallClockMs }
    const client = new NodeClient(this.#fabric, clock)
    this.context = {
      registry: this.registry,
      client,
      reads: new BlockReads(client),
      clock,
      random: () => random.fraction(),
      defer: (callback) => this.after(DEFER_US, callback),
      pause: (ms) => new Promise((resolve) => this.after(ms * 1_000, resolve)),
    }
    this.volumes = new Volumes(this.context)
    this.membership = new Membership(this.context)
    this.#tickLater()
  }

  get state(): 'up' | 'down' {
    return this.#state
  }

  get effects(): number {
    return this.#effects.count
  }

  crashAt(effect: number, moment: CrashMoment): void {
    this.#effects.crashAt(effect, moment)
  }

  onTick(listener: () => void): void {
    this.#ticked.push(listener)
  }

  onCrash(listener: () => void): void {
    this.#crashed.push(listener)
  }

  /** @param silently with its machine, so that no node is told */
  crash(silently: boolean): void {
    if (this.#state === 'down') return
    this.#state = 'down'
    this.#options.trace.line(this.name, 'crashes')
    this.registry.crash()
    this.#fabric.crash(silently)
    for (const listener of this.#crashed) listener()
  }

  after(us: number, action: () => void): void {
    this.#options.events.after(us, () => {
      if (this.#state === 'down') return
      try {
        action()
      } catch (error) {
        this.#told(error)
        return
      }
      this.#told(undefined)
    })
  }

  #told(error: unknown): void {
    if (error !== undefined && !(error instanceof SimCrash)) this.#options.threw(error)
    this.#options.told()
  }

  #tickLater(): void {
    this.after(TICK_US, () => {
      this.#tickLater()
      try {
        this.volumes.tick()
      } finally {
        for (const listener of this.#ticked) listener()
      }
    })
  }
}
