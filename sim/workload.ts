/** Who uses the volumes: at each step one action, of a writer, a reader, or the keeper of the volumes. */

import { VolumeError } from '../src/protocol/errors.ts'
import { type Lsn, lsn, type VolumeId, volumeName } from '../src/protocol/lsn.ts'
import { checkCollected, checkRead, type ReadOutcome } from './checks.ts'
import type { SimClient } from './client.ts'
import { Violation, type VolumeModel } from './oracle.ts'
import type { Random } from './random.ts'
import { ReaderActor } from './reader-actor.ts'
import type { Action } from './swarm.ts'
import type { World } from './world.ts'
import { WriterActor } from './writer-actor.ts'

const READERS_MAX = 4
const WRITERS_OF_VOLUME_MAX = 2
const PINS_MAX = 4

export class Workload {
  readonly #world: World
  readonly #random: Random
  #stepsLeft: number
  readonly writers: WriterActor[] = []
  readonly readers: ReaderActor[] = []
  /** For operations on volumes as a whole. */
  #caretaker: SimClient | undefined
  #pins = 0

  constructor(world: World) {
    this.#world = world
    this.#random = world.random.fork('workload')
    this.#stepsLeft = world.swarm.steps
  }

  get isOver(): boolean {
    return this.#stepsLeft === 0
  }

  start(): void {
    for (const volume of this.#world.watch.records.keys()) this.openWriter(volume)
    this.#stepLater()
  }

  #stepLater(): void {
    const delayUs = this.#random.between(0, 2 * this.#world.swarm.stepUs)
    this.#world.events.after(delayUs, () => {
      if (this.#stepsLeft === 0) return
      this.#step(this.#random.weighted(this.#world.swarm.actions))
      this.#stepsLeft--
      this.#stepLater()
    })
  }

  get caretaker(): SimClient {
    if (this.#caretaker?.state !== 'up') this.#caretaker = this.#world.newClient('caretaker')
    return this.#caretaker
  }

  #volumes(): VolumeId[] {
    return [...this.#world.watch.records.values()].filter(({ stage }) => stage === 'live').map(({ id }) => id)
  }

  openWriter(volume: VolumeId): WriterActor {
    const actor = new WriterActor(this.#world, this.#world.newClient('writer'), volume)
    this.writers.push(actor)
    actor.perform('opening', async () => {
      try {
        await actor.open()
      } catch (error) {
        // It gives up; a later step tries anew, as another process.
        if (error instanceof VolumeError) actor.client.crash(false)
        throw error
      }
    })
    return actor
  }

  /** Forgets processes that are over and sees to it that every volume has a writer in the end. */
  #sweep(): void {
    for (const actor of this.writers.filter(({ isOver }) => isOver)) {
      this.writers.splice(this.writers.indexOf(actor), 1)
      actor.client.crash(false)
    }
    for (const actor of this.readers.filter(({ client }) => client.state === 'down')) {
      this.readers.splice(this.readers.indexOf(actor), 1)
    }
    for (const volume of this.#volumes()) {
      if (!this.writers.some((actor) => actor.volume === volume) && this.#random.chance(0.1)) this.openWriter(volume)
    }
  }

  #step(action: Action): void {
    this.#sweep()
    const volumes = this.#volumes()
    if (volumes.length === 0) return
    const volume = this.#random.pick(volumes)
    switch (action) {
      case 'writeDelta':
      case 'writeFull':
      case 'writeMany':
      case 'trim':
      case 'sync':
      case 'readHead':
        this.#ofWriter(volume, action)
        return
      case 'readPast':
        this.#readPast(volume)
        return
      case 'openReader':
      case 'followReader':
        this.#ofReader(volume, action)
        return
      case 'replaceMember':
        this.#world.perform(this.#world.keeper.client, 'replacing a member', () => this.#world.keeper.replaceMember())
        return
      case 'restartWriter':
        this.#restartWriter(volume)
        return
      case 'secondWriter':
        if (this.writers.filter((actor) => actor.volume === volume).length < WRITERS_OF_VOLUME_MAX)
          this.openWriter(volume)
        return
      default:
        this.#ofVolume(volume, action)
    }
  }

  #ofWriter(volume: VolumeId, action: 'writeDelta' | 'writeFull' | 'writeMany' | 'trim' | 'sync' | 'readHead'): void {
    const open = this.writers.filter((actor) => actor.isOpen && actor.isIdle)
    const own = open.filter((actor) => actor.volume === volume)
    const some = own.length > 0 ? own : open
    if (some.length === 0) return
    const actor = this.#random.pick(some)
    actor.perform(action, () => actor[action]())
  }

  #restartWriter(volume: VolumeId): void {
    const actor = this.writers.find((each) => each.volume === volume)
    if (actor !== undefined) {
      if (this.#random.chance(0.5)) actor.writer?.close()
      actor.client.crash(this.#random.chance(0.3))
      this.#world.count('writer restarted')
    }
    this.openWriter(volume)
  }

  #ofReader(volume: VolumeId, action: 'openReader' | 'followReader'): void {
    if (action === 'openReader' && this.readers.length < READERS_MAX) {
      const reader = new ReaderActor(this.#world, this.#world.newClient('reader'), volume)
      this.readers.push(reader)
      const at = this.#random.chance(0.5) ? undefined : this.#point(this.#world.oracle.volume(volume))
      this.#world.perform(reader.client, `viewing ${volumeName(volume)}`, async () => {
        await reader.open(at)
        await reader.read()
      })
      return
    }
    const open = this.readers.filter(({ isOpen }) => isOpen)
    if (open.length === 0) return
    const reader = this.#random.pick(open)
    if (this.#random.chance(0.1)) {
      this.#world.perform(reader.client, 'closing a view', async () => {
        await reader.close()
        reader.client.crash(false)
      })
    } else
      this.#world.perform(reader.client, 'following', () =>
        this.#random.chance(0.5) ? reader.follow() : reader.read(),
      )
  }

  /** An LSN of a volume: mostly a consistency point, mostly one that is kept. */
  #point(model: VolumeModel): Lsn {
    const points = model.consistencyPoints()
    const point = points.length === 0 || this.#random.chance(0.1) ? model.current.start : this.#random.pick(points)
    const at = this.#random.chance(0.2) ? lsn(Math.max(0, point - this.#random.below(200))) : point
    return at
  }

  /** Asks one node by itself, at an LSN that it may or may not know. */
  #readPast(volume: VolumeId): void {
    const { fleet, swarm, oracle } = this.#world
    const model = oracle.volume(volume)
    const block = this.#random.below(swarm.blocks)
    const group = Math.floor(block / swarm.blocksPerGroup)
    const nodes = fleet.hosts.flatMap((host) => {
      const node = fleet.nodeOf(host)
      const segment = node?.table.of(volume).find((each) => each.group === group)
      return segment?.kind === 'full' ? [{ host, segment }] : []
    })
    if (nodes.length === 0) return
    const { host, segment } = this.#random.pick(nodes)
    const ahead = this.#random.chance(0.2) ? this.#random.magnitude(1, 2_000) : 0
    const at = lsn(this.#point(model) + ahead)
    let outcome: ReadOutcome
    try {
      outcome = { data: segment.read(block % swarm.blocksPerGroup, at, null).bytes ?? new Uint8Array(0) }
    } catch (error) {
      if (!(error instanceof VolumeError) || error.family === 'invariant') throw error
      outcome = { refused: error.code }
    }
    this.#world.count('refused' in outcome ? `node refused: ${outcome.refused}` : 'read of a node')
    if ('refused' in outcome) return
    if (at > model.acknowledged) {
      throw new Violation(
        'no future LSN is answered with data',
        `${host.name} answered ${at}, durable to ${model.acknowledged}`,
      )
    }
    checkCollected(segment.volume.state, at, outcome, host.name)
    checkRead({ model, block, at, who: host.name }, outcome)
  }

  #ofVolume(volume: VolumeId, action: 'branch' | 'pin' | 'unpin' | 'detach' | 'advanceCutoff' | 'deleteVolume'): void {
    const client = this.caretaker
    const { volumes } = client
    const world = this.#world
    const model = world.oracle.volume(volume)
    const record = world.watch.records.get(volume)
    if (record === undefined) return
    const at = this.#random.chance(0.5) ? undefined : this.#point(model)
    const perform = (what: string, run: () => Promise<unknown>): void =>
      world.perform(client, `${what} of ${volumeName(volume)}`, async () => {
        await run()
        world.count(what)
      })
    if (action === 'branch' && world.watch.records.size < world.swarm.volumesMax)
      perform('branch', () => volumes.branch(volume, at))
    else if (action === 'pin' && record.pins.length < PINS_MAX)
      perform('pin', () => volumes.pin(volume, `pin${++this.#pins}`, at))
    else if (action === 'unpin') {
      const pins = record.pins.filter(({ kind }) => kind === 'pin')
      if (pins.length > 0) perform('unpin', () => volumes.unpin(volume, this.#random.pick(pins).id))
    } else if (action === 'detach' && record.parent !== null) perform('detach', () => volumes.detach(volume))
    else if (action === 'advanceCutoff') perform('collect', () => volumes.collect(volume, this.#point(model)))
    else if (action === 'deleteVolume' && record.parent !== null) perform('delete', () => volumes.delete(volume))
  }
}
