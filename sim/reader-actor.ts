/** A program that reads a volume through a view, at a point of the past or following the head. */

import { VolumeError } from '../src/protocol/errors.ts'
import { blockNumber, type Lsn, type VolumeId, volumeName } from '../src/protocol/lsn.ts'
import type { VolumeView } from '../src/volume/volume-view.ts'
import { checkRead } from './checks.ts'
import type { SimClient } from './client.ts'
import { Violation } from './oracle.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

export class ReaderActor {
  readonly client: SimClient
  readonly volume: VolumeId
  readonly #world: World
  readonly #random: Random
  #view: VolumeView | undefined

  constructor(world: World, client: SimClient, volume: VolumeId) {
    this.#world = world
    this.client = client
    this.volume = volume
    this.#random = world.random.fork(client.name)
  }

  get isOpen(): boolean {
    return this.client.state === 'up' && this.#view?.state === 'open'
  }

  async open(at?: Lsn): Promise<void> {
    const view = await this.client.volumes.view(this.volume, at)
    if (this.client.state === 'down') return
    this.#view = view
    this.#checkPoint(view.readPoint)
    this.#world.count(at === undefined ? 'view opened' : 'view of the past opened')
  }

  #checkPoint(at: Lsn): void {
    const { acknowledged } = this.#world.oracle.volume(this.volume)
    if (at > acknowledged) {
      throw new Violation(
        'views show what is durable',
        `${volumeName(this.volume)} at ${at}, durable to ${acknowledged}`,
      )
    }
  }

  async follow(): Promise<void> {
    const view = this.#view
    if (view === undefined) return
    const before = view.readPoint
    const at = await view.follow()
    if (at < before) throw new Violation('views go forward', `${before} to ${at}`)
    this.#checkPoint(at)
    this.#world.count('view followed')
    await this.read()
  }

  async read(): Promise<void> {
    const view = this.#view
    if (view === undefined) return
    const block = this.#random.below(this.#world.swarm.blocks)
    const at = view.readPoint
    try {
      const data = await view.read(blockNumber(block))
      if (this.client.state === 'down') return
      // It may have followed in between; then the point that was read is not known.
      if (view.readPoint !== at) return
      checkRead({ model: this.#world.oracle.volume(this.volume), block, at, who: this.client.name }, { data })
      this.#world.count('read by a view')
    } catch (error) {
      const isLive = this.#world.watch.records.get(this.volume)?.stage === 'live'
      const isTooOld = error instanceof VolumeError && error.code === 'ReadPointTooOld'
      if (isTooOld && isLive && !this.#world.clocksJumped) {
        throw new Violation('what a lease covers is kept', `${volumeName(this.volume)} at ${at}: ${error.message}`)
      }
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#view?.close()
  }
}
