/** What goes wrong: at each step one fault, within what the protocol promises to survive, and its end a while later. */
import { segmentFolder } from '../src/storage/segment-manifest.ts'
import type { DamageReport } from './disk.ts'
import { isLayerFile } from './disk-observer.ts'
import { CRASH_MOMENTS } from './effects.ts'
import { ZONES } from './fleet.ts'
import type { NodeHost } from './node-host.ts'
import type { Random } from './random.ts'
import type { Fault } from './swarm.ts'
import type { World } from './world.ts'

/** Crashes are placed within so many effects from now: a start has some thirty, an append one. */
const EFFECTS_MAX = 120

export class FaultActor {
  readonly #world: World
  readonly #random: Random
  #state: 'waiting' | 'striking' | 'over' = 'waiting'

  constructor(world: World) {
    this.#world = world
    this.#random = world.random.fork('faults')
  }

  start(): void {
    this.#state = 'striking'
    this.#strikeLater()
  }

  /** No more faults; those under way are undone. */
  end(): void {
    this.#state = 'over'
    const { fleet, network, store } = this.#world
    network.healAll()
    store.state = 'here'
    for (const host of fleet.hosts) {
      const { disk } = host.options
      disk.slowdown = 1
      disk.ballastBytes = 0
      disk.settle()
      host.crashAt(Number.POSITIVE_INFINITY, 'before')
      fleet.startLater(host, 0)
    }
    for (const client of this.#world.clients) client.crashAt(Number.POSITIVE_INFINITY, 'before')
  }

  #strikeLater(): void {
    const { faultEveryUs, faults } = this.#world.swarm
    if (faultEveryUs === undefined) return
    this.#world.events.after(this.#random.between(0, 2 * faultEveryUs), () => {
      if (this.#state !== 'striking') return
      const fault = this.#random.weighted(faults)
      if (this.#strike(fault)) {
        this.#world.count(`fault: ${fault}`)
        this.#world.stage.trace.line('fault', fault)
      }
      this.#strikeLater()
    })
  }

  #for(end: () => void): void {
    this.#world.events.after(this.#random.between(1, this.#world.swarm.faultUsMax), () => {
      if (this.#state === 'striking') end()
    })
  }

  #restart(host: NodeHost): void {
    this.#world.fleet.startLater(host, this.#random.between(1, this.#world.swarm.faultUsMax))
  }

  /** @returns false when the fault could not strike now */
  #strike(fault: Fault): boolean {
    const { fleet, network, store } = this.#world
    const host = this.#random.pick(fleet.hosts)
    const { disk } = host.options
    switch (fault) {
      case 'crashProcess':
      case 'cutPower':
        if (host.state === 'down') return false
        host.crash(fault === 'cutPower' ? 'power' : 'process')
        this.#restart(host)
        return true
      case 'crashAtEffect':
        host.crashAt(host.effects + this.#random.magnitude(1, EFFECTS_MAX), this.#random.pick(CRASH_MOMENTS))
        return true
      case 'loseZone':
        return this.#loseZone()
      case 'burnDisk':
        return this.#burn([host])
      case 'rot':
      case 'unreadable':
      case 'misdirect':
        return this.#damage(fault, host)
      case 'rotCopies':
        return this.#rotCopies()
      case 'slowDisk':
        disk.slowdown = this.#random.magnitude(2, 100)
        this.#for(() => {
          disk.slowdown = 1
        })
        return true
      case 'fullDisk':
        disk.ballastBytes = Math.max(0, disk.freeBytes() - this.#random.pick([0, 4_096, 65_536, 1 << 20]))
        this.#for(() => {
          disk.ballastBytes = 0
        })
        return true
      case 'registryOutage':
        store.state = 'away'
        this.#for(() => {
          store.state = 'here'
        })
        return true
      case 'crashClient':
        return this.#crashClient()
      case 'clockJump': {
        if (this.#world.clients.size === 0) return false
        const client = this.#random.pick([...this.#world.clients])
        client.clock.jump(this.#random.pick([-100_000, -1_000, 1_000, 30_000, 100_000]))
        this.#world.clocksJumped = true
        return true
      }
      case 'reset': {
        const open = network.openConnections
        if (open.length === 0) return false
        network.reset(this.#random.pick(open))
        return true
      }
      default:
        return this.#cut(fault, host.name)
    }
  }

  #loseZone(): boolean {
    const { fleet } = this.#world
    const zone = this.#random.pick(ZONES)
    const hosts = fleet.hosts.filter(({ options }) => options.config.zone === zone)
    if (this.#random.chance(0.2) && this.#burn(hosts)) return true
    for (const host of hosts) {
      host.crash('power')
      this.#restart(host)
    }
    return true
  }

  /** Disks are lost with all that is on them. */
  #burn(hosts: readonly NodeHost[]): boolean {
    const { fleet, atlas } = this.#world
    fleet.noteHealed()
    if (!atlas.mayDamageAll(hosts.map(({ options }) => options.config.node))) return false
    for (const host of hosts) {
      host.crash('power')
      fleet.replaceDisk(host)
      this.#restart(host)
    }
    return true
  }

  #damage(fault: 'rot' | 'unreadable' | 'misdirect', host: NodeHost): boolean {
    const { fleet, atlas } = this.#world
    const { disk } = host.options
    fleet.noteHealed()
    if (fault === 'misdirect') {
      if (!atlas.mayDamage(host.options.config.node)) return false
      disk.misdirectNext()
      fleet.damaged(host)
      return true
    }
    // Where it matters as often as where it does not.
    const kind = this.#random.pick(['log/', 'segments/', 'segments/', ''])
    const chooses = (path: string): boolean => path.startsWith(kind)
    return this.#spoiled(host, fault === 'rot' ? disk.rot(chooses) : disk.spoil(chooses))
  }

  /** A layer of each full copy of a group rots, each where it does. */
  #rotCopies(): boolean {
    const { fleet, watch } = this.#world
    const groups = watch.groups()
    if (groups.length === 0) return false
    const { config, segment } = this.#random.pick(groups)
    const folder = segmentFolder(segment.volume, segment.group)
    fleet.noteHealed()
    let struck = 0
    for (const { node, kind } of config.members) {
      if (kind !== 'full') continue
      const host = fleet.hostOf(node)
      const report = host.options.disk.rot((path) => path.startsWith(`${folder}/`) && isLayerFile(path))
      if (this.#spoiled(host, report)) struck++
    }
    if (struck > 1) this.#world.count(`${struck} copies rotted at once`)
    return struck > 0
  }

  /** Takes damage back that goes too far: of layers what would be the end of a block, elsewhere that of a copy too many. */
  #spoiled(host: NodeHost, report: DamageReport | undefined): boolean {
    if (report === undefined) return false
    const { fleet, atlas, stage } = this.#world
    const isLayer = isLayerFile(report.path)
    if (isLayer ? !atlas.keepsBlocks : !atlas.mayDamage(host.options.config.node)) {
      report.takeBack()
      return false
    }
    stage.trace.line(host.name, `${report.kind} in ${report.path} at ${report.from}`)
    if (!isLayer) fleet.damaged(host)
    return true
  }

  #crashClient(): boolean {
    if (this.#world.clients.size === 0) return false
    const client = this.#random.pick([...this.#world.clients])
    if (this.#random.chance(0.5)) {
      client.crashAt(client.effects + this.#random.magnitude(1, EFFECTS_MAX), this.#random.pick(CRASH_MOMENTS))
    } else client.crash(this.#random.chance(0.5))
    return true
  }

  #cut(fault: 'isolateNode' | 'oneWayCut' | 'isolateZone' | 'swizzle', node: string): boolean {
    const { network, swarm } = this.#world
    const others = network.addresses.filter((address) => address !== node)
    if (fault === 'isolateNode') network.partition([node], others)
    else if (fault === 'oneWayCut') {
      const some = this.#random.subset(others)
      if (this.#random.chance(0.5)) network.partition([node], some, 'oneWay')
      else network.partition(some, [node], 'oneWay')
    } else if (fault === 'isolateZone') network.isolateZone(this.#random.pick(ZONES))
    else {
      network.swizzle(this.#random.subset(network.addresses, 0.3), Math.ceil(swarm.faultUsMax / 100))
      return true
    }
    this.#for(() => network.healAll())
    return true
  }
}
