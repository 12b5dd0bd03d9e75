/**
 * Runs one storage node in virtual time, as `worker-loop.ts` does in real time: batches of messages, a commit after
 * each, background work while nothing comes in, ticks. The node's process dies and starts again; its disk stays.
 */
import type { CreateNode, NodeConfig, NodePort } from '../src/storage/node-port.ts'
import { ProcessClock } from './clock.ts'
import type { SimDisk } from './disk.ts'
import { type CrashMoment, Effects, SimCrash } from './effects.ts'
import type { EventQueue } from './events.ts'
import type { Endpoint, Network } from './network.ts'
import type { Random } from './random.ts'
import type { Trace } from './trace.ts'

/** What the processor takes, in microseconds. Only that it takes something matters: time has to pass. */
const MESSAGE_US = 3
const SLICE_US = 20
const TICK_US = 10_000
/** As many messages as the real loop takes before it commits. */
const BATCH_MESSAGES_MAX = 64
/** Receive buffers are used again: whoever kept a view of one sees this. */
const USED_BUFFER = 0xdb

type Incoming =
  | { readonly kind: 'message'; readonly connection: number; readonly message: Uint8Array }
  | { readonly kind: 'closed'; readonly connection: number }

export interface HostOptions {
  readonly config: NodeConfig
  readonly create: CreateNode
  readonly disk: SimDisk
  readonly events: EventQueue
  readonly network: Network
  readonly random: Random
  readonly trace: Trace
  readonly clockSkewMs: number
  /** The process is gone by itself: it reached the effect it was to crash at, or threw. */
  readonly stopped: (host: NodeHost, reason: unknown) => void
}

/** One life of the process. */
interface Run {
  readonly effects: Effects
  readonly clock: ProcessClock
  readonly inbox: Incoming[]
  node: NodePort | undefined
  /** Whether a step is in the event queue. */
  scheduled: boolean
  tickIsDue: boolean
}

export class NodeHost implements Endpoint {
  readonly options: HostOptions
  #run: Run | undefined
  #effectsBefore = 0
  #crashAt: { effect: number; moment: CrashMoment } | undefined

  constructor(options: HostOptions) {
    this.options = options
  }

  get name(): string {
    return this.options.config.node
  }

  get state(): 'up' | 'down' {
    return this.#run === undefined ? 'down' : 'up'
  }

  /** The node of the present life; undefined while it is down. For checks that look inside. */
  get node(): NodePort | undefined {
    return this.#run?.node
  }

  get effects(): number {
    return this.#run?.effects.count ?? this.#effectsBefore
  }

  /** Lets the process crash at an effect to come, in this life or in one after it. */
  crashAt(effect: number, moment: CrashMoment): void {
    this.#crashAt = { effect, moment }
    this.#run?.effects.crashAt(effect, moment)
  }

  start(): void {
    if (this.#run !== undefined) throw new Error(`${this.name} runs already`)
    const { options } = this
    const effects = new Effects(
      (effect, what) => options.trace.line(this.name, `#${effect} ${what}`),
      this.#effectsBefore,
    )
    if (this.#crashAt !== undefined) effects.crashAt(this.#crashAt.effect, this.#crashAt.moment)
    const clock = new ProcessClock(options.events, options.clockSkewMs)
    const run: Run = { effects, clock, inbox: [], node: undefined, scheduled: false, tickIsDue: false }
    this.#run = run
    options.trace.line(this.name, 'starts')
    options.network.attach(options.config.address, options.config.zone, this)
    this.#guarded(run, () => {
      const disk = options.disk.mount(effects, (us) => clock.spend(us))
      run.node = options.create(this.#env(run), disk, options.config)
    })
    this.#tickLater(run)
    this.#stepLater(run, clock.nowUs)
  }

  #env(run: Run) {
    const { network, random, config } = this.options
    const nothing = (): void => {}
    return {
      now: () => run.clock.nowMs,
      wallClock: () => run.clock.wallClockMs,
      random: () => random.fraction(),
      reply: (connection: number, message: readonly Uint8Array[]) =>
        run.effects.run(
          `reply ${connection} type ${message[0]?.[0]}`,
          () => void network.send(connection, config.address, message, run.clock.nowUs),
          nothing,
        ),
      sendTo: (address: string, message: readonly Uint8Array[]) =>
        run.effects.run(
          `send ${address} type ${message[0]?.[0]}`,
          () => void network.sendTo(config.address, address, message, run.clock.nowUs),
          nothing,
        ),
    }
  }

  /**
   * Ends the process from outside.
   * @param how `process`: it is killed, its disk's cache and its machine live on; `power`: the machine goes down
   */
  crash(how: 'process' | 'power'): void {
    const run = this.#run
    if (run === undefined) return
    this.options.trace.line(this.name, how === 'power' ? 'loses power' : 'is killed')
    this.#end(run)
    this.options.network.detach(this.options.config.address, how === 'power')
    if (how === 'power') this.options.disk.losePower()
  }

  /** Stops in order. */
  stop(): void {
    const run = this.#run
    if (run === undefined) return
    this.options.trace.line(this.name, 'stops')
    this.#guarded(run, () => run.node?.close())
    if (this.#run !== run) return
    this.#end(run)
    this.options.network.detach(this.options.config.address, false)
  }

  #end(run: Run): void {
    this.#effectsBefore = run.effects.count
    run.effects.kill()
    this.#run = undefined
  }

  /** Runs code of the node. A crash inside is a crash of its machine or of the process alone, as chance has it. */
  #guarded(run: Run, action: () => void): void {
    let reason: unknown
    try {
      action()
      // The node may have caught the crash as if it were an error: it is dead all the same.
      if (run.effects.alive) return
      reason = new SimCrash('noticed after the fact')
    } catch (error) {
      reason = error
    }
    if (this.#run !== run) return
    if (!run.effects.alive) this.#crashAt = undefined
    this.options.trace.line(this.name, `stopped: ${reason instanceof Error ? reason.message : String(reason)}`)
    this.crash(this.options.random.chance(0.5) ? 'power' : 'process')
    this.options.stopped(this, reason)
  }

  message(connection: number, message: Uint8Array): void {
    this.#incoming({ kind: 'message', connection, message })
  }

  connectionUp(): void {}

  connectionDown(connection: number): void {
    this.#incoming({ kind: 'closed', connection })
  }

  #incoming(incoming: Incoming): void {
    const run = this.#run
    if (run === undefined) return
    run.inbox.push(incoming)
    this.#stepLater(run, run.clock.nowUs)
  }

  #stepLater(run: Run, atUs: number): void {
    if (run.scheduled || this.#run !== run) return
    run.scheduled = true
    this.options.events.at(atUs, () => {
      run.scheduled = false
      if (this.#run === run) this.#step(run)
    })
  }

  #step(run: Run): void {
    const { node } = run
    if (node === undefined) return
    let more = false
    this.#guarded(run, () => {
      if (run.tickIsDue) {
        run.tickIsDue = false
        node.tick()
        more = true
      } else if (run.inbox.length > 0) this.#receive(run, node)
      else {
        run.clock.spend(SLICE_US)
        more = node.background()
      }
    })
    if (more || run.inbox.length > 0) this.#stepLater(run, run.clock.nowUs)
  }

  #receive(run: Run, node: NodePort): void {
    for (const incoming of run.inbox.splice(0, BATCH_MESSAGES_MAX)) {
      run.clock.spend(MESSAGE_US)
      if (incoming.kind === 'closed') {
        node.connectionClosed(incoming.connection)
        continue
      }
      const { connection, message } = incoming
      this.options.trace.line(this.name, `receives type ${message[0]}, ${message.length} bytes on ${connection}`)
      node.receive(connection, message[0] as number, message.subarray(1))
      message.fill(USED_BUFFER)
    }
    node.commit()
    // There may be background work to do now.
    this.#stepLater(run, run.clock.nowUs)
  }

  #tickLater(run: Run): void {
    this.options.events.after(TICK_US, () => {
      if (this.#run !== run) return
      run.tickIsDue = true
      this.#stepLater(run, run.clock.nowUs)
      this.#tickLater(run)
    })
  }
}
