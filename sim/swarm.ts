/**
 * What one seed's run is like. Each choice is made anew for every seed, and many are extreme or off altogether: a
 * cluster in which everything goes wrong all the time never gets far enough to show the rarer bugs (swarm testing,
 * Groce et al. 2012).
 */
import { type DiskOptions, SSD_COSTS } from './disk.ts'
import type { NetworkOptions } from './network.ts'
import type { Random } from './random.ts'

/** What actors do, as shares of their steps. */
export const ACTIONS = [
  'writeDelta',
  'writeFull',
  'writeMany',
  'trim',
  'sync',
  'readHead',
  'readPast',
  'branch',
  'pin',
  'unpin',
  'detach',
  'deleteVolume',
  'advanceCutoff',
  'openReader',
  'followReader',
  'replaceMember',
  'restartWriter',
  'secondWriter',
] as const
export type Action = (typeof ACTIONS)[number]

/** What goes wrong, as shares of the faults. */
export const FAULTS = [
  'crashProcess',
  'cutPower',
  'crashAtEffect',
  'loseZone',
  'burnDisk',
  'rot',
  'rotCopies',
  'unreadable',
  'misdirect',
  'slowDisk',
  'fullDisk',
  'isolateNode',
  'oneWayCut',
  'isolateZone',
  'swizzle',
  'reset',
  'crashClient',
  'registryOutage',
  'clockJump',
] as const
export type Fault = (typeof FAULTS)[number]

export interface Swarm {
  readonly nodesPerZone: number
  readonly blockBytes: number
  readonly blocksPerGroup: number
  /** Blocks that the workload touches, from block 0 on. */
  readonly blocks: number
  /** Log page, log file, layer and memtable sizes small enough that all background work happens in every run. */
  readonly node: {
    readonly logFileBytes: number
    readonly logRetainBytes: number
    readonly logReplayBytes: number
    readonly flushBytes: number
    readonly memoryBytesMax: number
    readonly layerBytes: number
    readonly indexCacheBytes: number
    readonly scrubBytesPerSecond: number
    readonly gapMs: number
    readonly gossipMs: number
    readonly scrubEveryMs: number
  }
  readonly writer: {
    readonly cacheBlocks: number
    readonly unackedBytesMax: number
    readonly frameBytes: number
    readonly packBytesMin: number
    /** Share of mini-transactions that are waited for. */
    readonly syncChance: number
  }
  readonly disk: DiskOptions
  readonly network: NetworkOptions
  readonly registry: { readonly delayUsMax: number; readonly lostReplyChance: number }
  readonly actions: Readonly<Record<Action, number>>
  /** Mean time between two steps of an actor. */
  readonly stepUs: number
  /** Largest number of blocks in one mini-transaction. */
  readonly mtrBlocksMax: number
  readonly volumesMax: number
  readonly faults: Readonly<Record<Fault, number>>
  /** Mean time between faults; undefined for a run without any. */
  readonly faultEveryUs: number | undefined
  /** How long a fault lasts, at most. */
  readonly faultUsMax: number
  /** Members of a group that may be without a good copy at once. */
  readonly badCopiesMax: number
  /** A node that does not answer for so long is given up. */
  readonly lostAfterMs: number
  /** Steps of the workload before the faults stop. */
  readonly steps: number
  /** After the faults: all nodes, or only as many as a quorum needs. */
  readonly liveness: 'all' | 'core'
}

/** Most weights are zero in most runs. */
function weights<K extends string>(random: Random, names: readonly K[], presence: number): Record<K, number> {
  const chosen = {} as Record<K, number>
  for (const name of names) chosen[name] = random.chance(presence) ? random.magnitude(1, 20) : 0
  if (names.every((name) => chosen[name] === 0)) chosen[random.pick(names)] = 1
  return chosen
}

function chooseActions(random: Random): Record<Action, number> {
  const rare = weights(random, ACTIONS, 0.6)
  // The volume has to grow and be looked at in every run; what changes its shape is rare beside that.
  return {
    ...rare,
    writeDelta: random.magnitude(20, 200),
    writeFull: random.magnitude(1, 50),
    writeMany: random.magnitude(1, 60),
    sync: random.magnitude(5, 100),
    readHead: random.magnitude(5, 60),
    readPast: random.magnitude(5, 60),
  }
}

function chooseNetwork(random: Random): NetworkOptions {
  const rough = random.chance(0.5)
  const delayUsMin = random.magnitude(20, 300)
  return {
    delayUsMin,
    delayUsMax: delayUsMin * random.between(1, 5),
    tailChance: random.pick([0, 0.001, 0.02]),
    tailFactor: random.between(5, 50),
    lossChance: rough ? random.pick([0, 0.001, 0.01, 0.1, 0.3]) : 0,
    duplicateChance: rough ? random.pick([0, 0.01, 0.1, 0.5]) : 0,
    reorderChance: rough ? random.pick([0, 0.01, 0.2, 1]) : 0,
    keepAliveUs: random.magnitude(5_000, 100_000),
    reconnectUs: random.magnitude(1_000, 20_000),
  }
}

/** By the bytes of a block: then no change is packed, whole blocks, or most changes. */
const PACK_BYTES_MIN = new Map([
  [64, Number.MAX_SAFE_INTEGER],
  [128, 100],
  [256, 40],
])

export function chooseSwarm(random: Random): Swarm {
  const blockBytes = random.pick([64, 128, 256])
  const blocksPerGroup = random.pick([2, 4, 8, 64])
  const groups = random.between(1, 4)
  const flushBytes = random.magnitude(2_000, 30_000)
  const factor = random.pick([0.2, 1, 1, 3])
  return {
    nodesPerZone: random.pick([2, 3, 3, 4]),
    blockBytes,
    blocksPerGroup,
    blocks: Math.min(blocksPerGroup * groups, 48),
    node: {
      logFileBytes: 4_096 * random.pick([4, 8, 16, 64]),
      logRetainBytes: random.pick([0, 32_768, 262_144]),
      logReplayBytes: flushBytes * 4,
      flushBytes,
      memoryBytesMax: flushBytes * random.between(2, 12),
      layerBytes: random.magnitude(2_000, 60_000),
      indexCacheBytes: random.pick([0, 4_096, 1 << 20]),
      scrubBytesPerSecond: random.pick([100_000, 10_000_000]),
      gapMs: random.pick([2, 10, 50]),
      gossipMs: random.pick([20, 100, 1_000]),
      scrubEveryMs: random.pick([200, 2_000]),
    },
    writer: {
      cacheBlocks: random.pick([1, 8, 64]),
      unackedBytesMax: random.pick([2_000, 16_384, 65_536]),
      // A frame, with the mini-transaction that fills it, has to fit into a file of the hot log.
      frameBytes: random.pick([200, 1_000, 4_096]),
      packBytesMin: PACK_BYTES_MIN.get(blockBytes) ?? 0,
      syncChance: random.pick([0, 0.1, 0.5]),
    },
    disk: {
      // A full disk is a fault of its own: without it there is room for everything.
      capacityBytes: 64 << 20,
      costs: {
        readUs: SSD_COSTS.readUs * factor,
        writeUs: SSD_COSTS.writeUs * factor,
        syncUs: SSD_COSTS.syncUs * factor,
        nameUs: SSD_COSTS.nameUs * factor,
        perKibUs: SSD_COSTS.perKibUs * factor,
      },
      writeBackChance: random.pick([0, 0.01, 0.3]),
      atomicBytes: 4_096,
    },
    network: chooseNetwork(random),
    registry: { delayUsMax: random.magnitude(200, 20_000), lostReplyChance: random.pick([0, 0, 0.05, 0.3]) },
    actions: chooseActions(random),
    stepUs: random.magnitude(50, 3_000),
    mtrBlocksMax: random.pick([2, 4, 12]),
    volumesMax: random.between(1, 4),
    faults: weights(random, FAULTS, 0.4),
    // One run in ten has none: what fails there is no matter of faults.
    faultEveryUs: random.chance(0.1) ? undefined : random.magnitude(3_000, 200_000),
    faultUsMax: random.magnitude(5_000, 300_000),
    badCopiesMax: random.between(1, 3),
    lostAfterMs: random.pick([100, 1_000, 10_000]),
    steps: random.between(150, 600),
    liveness: random.pick(['all', 'all', 'core']),
  }
}
