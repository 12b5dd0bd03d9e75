/**
 * The end of a run: faults stop, everything or just enough comes back, and all has to come together: operations end,
 * every volume can be opened, written and read, all copies are whole and the same, and what was kept can be read.
 */
import { isJoint, readQuorum, writeQuorum } from '../src/protocol/group.ts'
import { blockNumber, type Lsn, volumeName } from '../src/protocol/lsn.ts'
import { satisfied } from '../src/protocol/quorum.ts'
import type { Segment } from '../src/storage/segment.ts'
import type { VolumeRecord } from '../src/volume/volume-record.ts'
import { checkCopies, checkRead, checkSameScl, type FullCopy } from './checks.ts'
import { blocksLost } from './disk-observer.ts'
import { calm } from './network.ts'
import type { NodeHost } from './node-host.ts'
import { Violation, type VolumeModel } from './oracle.ts'
import { atlasName } from './registry-watch.ts'
import { CALM_REGISTRY } from './sim-registry.ts'
import type { World } from './world.ts'

/** Of virtual time. An opening gives up after 30 s; nothing takes longer than that once it can go on. */
const OPERATIONS_US_MAX = 60_000_000
const CONVERGE_US_MAX = 60_000_000
const LOOK_US = 20_000
/** Points of the past at which all copies are read. */
const POINTS_MAX = 10

export async function converge(world: World): Promise<void> {
  world.stage.trace.line('world', 'faults end')
  world.faults.end()
  world.network.options = calm(world.swarm.network)
  world.registryOptions = CALM_REGISTRY
  if (world.keeper.client.state === 'down') world.newKeeper()
  await endOperations(world)
  if (world.swarm.liveness === 'core') {
    world.keeper.beginNothing()
    await endOperations(world)
    leaveOut(world)
    world.newKeeper()
  }
  if (world.random.chance(0.5)) await restartNodes(world)
  await writeAll(world)
  await becomeWhole(world)
  await readAll(world)
  // Writers note the time once a second: what is on its way has to arrive.
  await becomeWhole(world)
  checkAll(world)
  await endOperations(world)
}

async function endOperations(world: World): Promise<void> {
  const { progress } = world
  if (await world.drive(() => progress.open === 0, OPERATIONS_US_MAX)) return
  progress.requireNoneOpen(world.events.nowUs / 1_000)
}

/** As many nodes go for good as every group can do without. */
function leaveOut(world: World): void {
  world.fleet.noteHealed()
  const out: NodeHost[] = []
  for (const host of world.random.shuffled(world.fleet.hosts)) {
    const names = new Set([...out, host].map(({ name }) => name))
    const isBearable = world.watch.groups().every((group) => {
      const { name, config } = group
      return config.sets.every((set) => {
        const alone = { ...config, sets: [set] }
        const isIn = (member: number): boolean => !names.has(config.members[member]?.node ?? '')
        const isGood = (member: number): boolean => {
          const copy = config.members[member]
          return isIn(member) && copy !== undefined && world.atlas.isGood(name, copy)
        }
        const isThere = (member: number): boolean => {
          const copy = config.members[member]
          if (copy === undefined || !isIn(member)) return false
          const host = world.fleet.hostOf(copy.node)
          // One with damage may yet find out that it is lost.
          return world.fleet.nodeOf(host)?.incarnation === copy.incarnation && world.fleet.isSound(host)
        }
        const isLeft = (member: number): boolean => isGood(member) && isThere(member)
        return (
          satisfied(readQuorum(alone), isLeft) &&
          satisfied(writeQuorum(alone), isThere) &&
          world.atlas.keepsBlocksOf({ ...group, config: alone }, isLeft)
        )
      })
    })
    if (isBearable) out.push(host)
  }
  world.fleet.keepDown(out)
  for (const host of out) world.stage.trace.line(host.name, 'is left out')
}

/** What is durable must be enough. */
async function restartNodes(world: World): Promise<void> {
  const how = world.random.pick(['process', 'power'] as const)
  for (const host of world.fleet.hosts) {
    if (world.fleet.isKeptDown(host)) continue
    host.crash(how)
    world.fleet.startLater(host, 1_000)
  }
  await world.drive(
    () => world.fleet.hosts.every((host) => host.state === 'up' || world.fleet.isKeptDown(host)),
    1_000_000,
  )
}

const liveVolumes = (world: World): VolumeRecord[] =>
  [...world.watch.records.values()].filter(({ stage }) => stage === 'live')

/** Every volume can be opened and written. */
async function writeAll(world: World): Promise<void> {
  for (const actor of world.workload.writers) actor.client.crash(false)
  for (const { id } of liveVolumes(world)) {
    const actor = world.workload.openWriter(id)
    if (!(await world.drive(() => actor.isOpen || actor.client.state === 'down', OPERATIONS_US_MAX)) || !actor.isOpen) {
      throw new Violation('every volume can be opened in the end', volumeName(id))
    }
    actor.perform('the last write', async () => {
      await actor.writeMany()
      await actor.sync()
    })
  }
  await endOperations(world)
}

interface Member {
  readonly host: NodeHost
  readonly segment: Segment | undefined
}

function membersOf(world: World, record: VolumeRecord): { name: string; members: Member[]; joint: boolean }[] {
  return [...record.groups.keys()].flatMap((group) => {
    const config = world.watch.configOf(record, group)
    if (config === undefined || record.groups.get(group) !== 'active') return []
    const members = config.members.map(({ node, incarnation }) => {
      const host = world.fleet.hostOf(node)
      const found = world.fleet.nodeOf(host)
      return { host, segment: found?.incarnation === incarnation ? found.table.get(record.id, group) : undefined }
    })
    return [{ name: atlasName(record.id, group), members, joint: isJoint(config) }]
  })
}

/** What is not whole yet; undefined when all is. */
function unfinished(world: World): string | undefined {
  world.fleet.noteHealed()
  for (const record of liveVolumes(world)) {
    const durable = world.oracle.volume(record.id).acknowledged
    for (const { name, members, joint } of membersOf(world, record)) {
      if (joint && world.swarm.liveness === 'all') return `${name} is being changed`
      const present = members.filter(({ host }) => !world.fleet.isKeptDown(host))
      for (const { host, segment } of present) {
        if (segment === undefined) {
          if (joint) continue
          return `${host.name} has no segment of ${name}`
        }
        if (segment.state !== 'active') return `${name} on ${host.name} is ${segment.state}`
        if (segment.kind !== 'full') continue
        if (segment.completeTo < durable) {
          return `${name} on ${host.name} is complete to ${segment.completeTo} of ${durable}`
        }
        // What nobody has read yet is found by the next scrub, and every block is good on some copy.
        const identity = { volume: record.id, group: segment.group, blockBytes: record.blockBytes }
        if (!segment.damage.isEmpty || !blocksLost(host.options.disk, identity, segment.layers.toManifest()).isEmpty) {
          return `${name} on ${host.name} has damaged blocks`
        }
      }
      const scls = new Set(present.map(({ segment }) => segment?.scl))
      if (scls.size > 1) return `${name} has SCLs ${present.map(({ host, segment }) => `${host.name} ${segment?.scl}`)}`
    }
  }
  return undefined
}

async function becomeWhole(world: World): Promise<void> {
  const limitUs = world.events.nowUs + CONVERGE_US_MAX
  for (let why = unfinished(world); why !== undefined; why = unfinished(world)) {
    if (world.events.nowUs > limitUs) {
      throw new Violation('all copies become whole once faults stop', why)
    }
    await world.drive(() => false, LOOK_US)
  }
}

/** Points that are kept: the oldest, the newest, pins, and some between. */
function retainedPoints(world: World, model: VolumeModel): Lsn[] {
  const { cutoff, pins } = model.retention
  const points = model.consistencyPoints().filter((at) => at >= cutoff && at <= model.acknowledged)
  const some = world.random.shuffled(points).slice(0, POINTS_MAX)
  return [...new Set([cutoff, model.acknowledged, ...pins, ...some])]
}

/** Every volume can be viewed, and shows what it should. */
async function readAll(world: World): Promise<void> {
  const client = world.newClient('checker')
  for (const record of liveVolumes(world)) {
    const model = world.oracle.volume(record.id)
    world.perform(client, `reading all of ${volumeName(record.id)}`, async () => {
      const view = await client.volumes.view(record.id)
      if (view.readPoint < model.acknowledged) {
        throw new Violation('a view opens at the durable head', `${view.readPoint} of ${model.acknowledged}`)
      }
      for (let block = 0; block < world.swarm.blocks; block++) {
        const data = await view.read(blockNumber(block))
        checkRead({ model, block, at: view.readPoint, who: client.name }, { data })
      }
      await view.close()
      world.count('volume read in the end')
    })
  }
  await endOperations(world)
}

/** Every full copy has everything that is kept, as the model has it. */
function checkAll(world: World): void {
  for (const record of liveVolumes(world)) {
    const model = world.oracle.volume(record.id)
    const points = retainedPoints(world, model)
    for (const group of record.groups.keys()) {
      const name = atlasName(record.id, group)
      const members = membersOf(world, record).find((each) => each.name === name)?.members ?? []
      const present = members.filter(({ host, segment }) => segment !== undefined && !world.fleet.isKeptDown(host))
      const active = present.filter(({ segment }) => segment?.state === 'active')
      checkSameScl(name, new Map(active.map(({ host, segment }) => [host.name, (segment as Segment).scl])))
      const first = group * world.swarm.blocksPerGroup
      const blocks: number[] = []
      for (let block = first; block < Math.min(first + world.swarm.blocksPerGroup, world.swarm.blocks); block++)
        blocks.push(block)
      const copies = active.flatMap(({ host, segment }): FullCopy[] => {
        if (segment?.kind !== 'full') return []
        const read = (block: number, at: Lsn) => ({
          data: segment.read(block - first, at, null).bytes ?? new Uint8Array(0),
        })
        return [{ name: host.name, read }]
      })
      checkCopies({ model, group, blocks, points, copies })
    }
    world.count('volume checked in the end')
  }
}
