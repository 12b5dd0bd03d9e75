/** The storage nodes of a run: disks that outlive processes, processes that are started again, and new disks. */
import { VolumeError } from '../src/protocol/errors.ts'
import { type Lsn, nodeId, type VolumeId } from '../src/protocol/lsn.ts'
import type { BlockRanges } from '../src/storage/layers/block-ranges.ts'
import type { SegmentIdentity } from '../src/storage/layers/layer-file.ts'
import { DEFAULT_NODE_OPTIONS } from '../src/storage/node-options.ts'
import type { Segment } from '../src/storage/segment.ts'
import { createStorageNode, StorageNode } from '../src/storage/storage-node.ts'
import type { FleetNode } from '../src/volume/placement.ts'
import { SimDisk } from './disk.ts'
import { blocksLost, flushedOnDisk, isLayerFile } from './disk-observer.ts'
import { SimCrash } from './effects.ts'
import type { Copy, FaultAtlas } from './fault-atlas.ts'
import type { Network } from './network.ts'
import { NodeHost } from './node-host.ts'
import type { Random } from './random.ts'
import { atlasName, type RegistryWatch } from './registry-watch.ts'
import type { Stage } from './scenario.ts'
import type { Swarm } from './swarm.ts'

export const ZONES = ['a', 'b', 'c'] as const

/** A node that stopped by itself is started again after this time at most, as a supervisor does. */
const RESTART_US_MAX = 100_000
/** What is free before appends are refused. */
const RESERVE_BYTES = 1 << 20

export interface FleetOptions {
  readonly stage: Stage
  readonly swarm: Swarm
  readonly network: Network
  readonly watch: RegistryWatch
  readonly atlas: () => FaultAtlas
  /** The last record of a group that has to survive. */
  readonly groupEnd: (volume: VolumeId, group: number) => Lsn
  readonly threw: (error: unknown) => void
}

export class SimFleet {
  readonly hosts: NodeHost[] = []
  readonly #options: FleetOptions
  readonly #random: Random
  /** Nodes whose disk was damaged at any time since it was formatted: they may say that they are lost. */
  readonly #spoiled = new Set<NodeHost>()
  /** How many nodes have to stay down, for the phase in which just enough are left. */
  readonly #keptDown = new Set<NodeHost>()

  constructor(options: FleetOptions) {
    this.#options = options
    const { stage, swarm, network } = options
    this.#random = stage.random.fork('fleet')
    for (const zone of ZONES) {
      for (let i = 1; i <= swarm.nodesPerZone; i++) {
        const name = `${zone}${i}`
        const random = this.#random.fork(name)
        this.hosts.push(
          new NodeHost({
            config: { node: nodeId(name), zone, address: name },
            create: (env, disk, config) =>
              createStorageNode(env, disk, config, {
                ...DEFAULT_NODE_OPTIONS,
                ...swarm.node,
                reserveBytes: RESERVE_BYTES,
              }),
            disk: new SimDisk(random.fork('disk'), swarm.disk),
            events: stage.events,
            network,
            random,
            trace: stage.trace,
            clockSkewMs: random.between(-5_000, 5_000),
            stopped: (host, reason) => this.#stopped(host, reason),
          }),
        )
      }
    }
  }

  start(): void {
    for (const host of this.hosts) host.start()
  }

  hostOf(node: string): NodeHost {
    const host = this.hosts.find(({ name }) => name === node)
    if (host === undefined) throw new RangeError(`no node ${node}`)
    return host
  }

  /** The node inside a host that is up. */
  nodeOf(host: NodeHost): StorageNode | undefined {
    return host.node instanceof StorageNode ? host.node : undefined
  }

  /** What the registry should say of the nodes that are up. */
  present(): FleetNode[] {
    return this.hosts.flatMap((host) => {
      const node = this.nodeOf(host)
      if (node === undefined) return []
      const { config } = host.options
      return [
        {
          node: config.node,
          incarnation: node.incarnation,
          zone: config.zone,
          address: config.address,
          state: 'ready' as const,
        },
      ]
    })
  }

  #stopped(host: NodeHost, reason: unknown): void {
    const { stage } = this.#options
    if (reason instanceof SimCrash) stage.count('node crashed at an effect')
    else if (reason instanceof VolumeError && reason.code === 'Corrupt' && this.#spoiled.has(host)) {
      stage.count('node lost its promises')
      this.replaceDisk(host)
    } else if (reason instanceof VolumeError && reason.code === 'DiskFull' && host.options.disk.ballastBytes > 0) {
      stage.count('node stopped for want of room')
    } else {
      this.#options.threw(reason)
      return
    }
    this.startLater(host, this.#random.below(RESTART_US_MAX))
  }

  startLater(host: NodeHost, us: number): void {
    this.#options.stage.events.after(us, () => {
      if (host.state === 'down' && !this.#keptDown.has(host)) host.start()
    })
  }

  /** Something was done to a node's disk, or is about to happen to its next write. */
  damaged(host: NodeHost): void {
    this.#spoiled.add(host)
    this.#options.atlas().damaged(host.options.config.node)
  }

  /** An empty disk in the place of the old one, in a node that is down. */
  replaceDisk(host: NodeHost): void {
    this.damaged(host)
    this.#spoiled.delete(host)
    host.options.disk.erase()
    host.options.disk.losePower()
  }

  keepDown(hosts: readonly NodeHost[]): void {
    for (const host of hosts) {
      host.crash('power')
      this.#keptDown.add(host)
    }
  }

  isKeptDown(host: NodeHost): boolean {
    return this.#keptDown.has(host)
  }

  /** The blocks of a copy that cannot be read, whether its node is up or not. */
  blocksLost(segment: SegmentIdentity, copy: Copy): BlockRanges {
    return blocksLost(this.hostOf(copy.node).options.disk, segment)
  }

  /**
   * Whether a full copy has all that was acknowledged, or can get what it lacks from one of these tails. Full copies that
   * are ahead of it do not count: they may let go of their log as soon as they have it in layers.
   */
  canCatchUp(segment: SegmentIdentity, copy: Copy, tails: readonly Copy[]): boolean {
    const end = this.#options.groupEnd(segment.volume, segment.group)
    // Of one that is down only layers are seen.
    const at = this.#segmentOf(segment, copy)?.scl ?? flushedOnDisk(this.hostOf(copy.node).options.disk, segment)
    if (at >= end) return true
    return tails.some((tail) => {
      const held = this.#segmentOf(segment, tail)
      return held !== undefined && held.log.from <= at && held.scl >= end
    })
  }

  /** A copy, while its node is up. */
  #segmentOf({ volume, group }: SegmentIdentity, { node, incarnation }: Copy): Segment | undefined {
    const found = this.nodeOf(this.hostOf(node))
    return found?.incarnation === incarnation ? found.table.get(volume, group) : undefined
  }

  /** Whether a node's disk is sound, or will be: damage of layers is no matter of the node, but of blocks. */
  isSound({ options: { disk } }: NodeHost): boolean {
    return !disk.isMisdirecting && disk.damage((path) => !isLayerFile(path)).length === 0
  }

  /** Takes note of copies that are whole again. */
  noteHealed(): void {
    const { watch } = this.#options
    const atlas = this.#options.atlas()
    for (const record of watch.records.values()) {
      for (const group of record.groups.keys()) {
        const config = watch.configOf(record, group)
        if (config === undefined) continue
        const name = atlasName(record.id, group)
        for (const member of config.members) {
          if (atlas.isGood(name, member)) continue
          const host = this.hostOf(member.node)
          const node = this.nodeOf(host)
          if (node === undefined || node.incarnation !== member.incarnation) continue
          const segment = node.table.get(record.id, group)
          if (segment?.state !== 'active' || !this.isSound(host)) continue
          if (segment.scl >= this.#options.groupEnd(record.id, group)) atlas.healed(name, member)
        }
      }
    }
  }
}
