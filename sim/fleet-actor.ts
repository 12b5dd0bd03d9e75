/**
 * What keeps a fleet whole: it registers nodes that came with a new disk, replaces members that are gone, and finishes
 * changes that somebody began. One process, which dies now and then and is started again.
 */
import { isJoint } from '../src/protocol/group.ts'
import { parseVolumeName, type VolumeId } from '../src/protocol/lsn.ts'
import { FleetHealth } from '../src/volume/fleet-health.ts'
import { registerNode } from '../src/volume/fleet-nodes.ts'
import type { GroupPlace } from '../src/volume/membership.ts'
import { nodeKey } from '../src/volume/registry.ts'
import type { SimClient } from './client.ts'
import type { World } from './world.ts'

const LOOK_US = 30_000
/** Of virtual time; a change that takes longer is gone on with at the next look. */
const CHANGE_MS = 300

export class FleetActor {
  readonly client: SimClient
  readonly #world: World
  readonly #health: FleetHealth
  #busy = false
  #state: 'working' | 'finishing' = 'working'

  constructor(world: World, client: SimClient) {
    this.#world = world
    this.client = client
    this.#health = new FleetHealth(client.context, client.membership, {
      lostAfterMs: world.swarm.lostAfterMs,
      changeMsMax: CHANGE_MS,
    })
    this.#lookLater()
  }

  /** From now on it only registers nodes. */
  beginNothing(): void {
    this.#state = 'finishing'
  }

  #lookLater(): void {
    this.client.after(LOOK_US, () => {
      this.#lookLater()
      if (this.#busy) return
      this.#busy = true
      this.#world.perform(
        this.client,
        'keeping the fleet',
        () => this.look(),
        () => {
          this.#busy = false
        },
      )
    })
  }

  async look(): Promise<void> {
    await this.register()
    if (this.#state === 'finishing') return
    const { failures, healed } = await this.#health.heal()
    for (const { error } of failures) this.#world.count(`refused: mending a group ${error.code}`)
    for (let i = 0; i < healed; i++) this.#world.count('group mended')
  }

  async register(): Promise<void> {
    for (const node of this.#world.fleet.present()) {
      const known = this.#world.store.get(nodeKey(node.node))?.value
      if (known === undefined || !known.includes(node.incarnation)) await registerNode(this.client.registry, node)
    }
  }

  #places(): GroupPlace[] {
    return this.#world.store.list('group/').map((key) => {
      const [, placement, group] = key.split('/')
      return {
        placement: parseVolumeName(placement as string) as VolumeId,
        group: Number(group) as GroupPlace['group'],
      }
    })
  }

  /** Replaces a healthy member, for no reason that the volume knows. */
  async replaceMember(): Promise<void> {
    const { random } = this.#world
    const places = this.#places()
    if (places.length === 0) return
    const place = random.pick(places)
    const config = this.#world.groupConfig(place)
    if (config === undefined) return
    if (isJoint(config)) {
      if (random.chance(0.3)) await this.client.membership.turnBack(place)
      return
    }
    const count = random.chance(0.8) ? 1 : 2
    const lost = random.shuffled(config.members).slice(0, count)
    await this.client.membership.begin(place, new Map(lost.map(({ node }) => [node, undefined])))
    this.#world.count('change of membership begun')
    if (random.chance(0.5)) await this.client.membership.complete(place, CHANGE_MS)
  }
}
