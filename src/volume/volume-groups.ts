/** Protection groups of a volume: making them, and giving nodes their segments. */
import type { Ancestor } from '../protocol/calls.ts'
import { VolumeError } from '../protocol/errors.ts'
import { type GroupConfig, type Member, newGroup, writeQuorum } from '../protocol/group.ts'
import type { GroupIndex, VolumeId } from '../protocol/lsn.ts'
import { satisfied } from '../protocol/quorum.ts'
import { fleetNodes } from './fleet-nodes.ts'
import { gather } from './gather.ts'
import { ancestorOf, lineage } from './lineage.ts'
import { chooseMembers } from './placement.ts'
import { changeVolume, createGroup, readGroup, readVolume, type Versioned } from './registry-cells.ts'
import { activateGroup, addGroup, checkLive } from './volume-changes.ts'
import type { VolumeContext } from './volume-context.ts'
import { type VolumeRecord, volumeState } from './volume-record.ts'

/** The membership of a group, made now if nobody has yet. Branches find the one of the volume they come from. */
async function placeGroup(context: VolumeContext, placement: VolumeId, group: GroupIndex): Promise<GroupConfig> {
  const { registry } = context
  try {
    return (await readGroup(registry, placement, group)).record
  } catch (error) {
    if (!(error instanceof VolumeError) || error.code !== 'NotFound') throw error
  }
  const config = newGroup(group, chooseMembers(await fleetNodes(registry), placement, group))
  try {
    await createGroup(registry, placement, config)
    return config
  } catch (error) {
    // Another branch was first.
    if (!(error instanceof VolumeError) || error.code !== 'AlreadyExists') throw error
    return (await readGroup(registry, placement, group)).record
  }
}

/** Gives one node its segment, or tells it of a newer membership. */
export async function configureMember(
  context: VolumeContext,
  volume: Versioned<VolumeRecord>,
  config: GroupConfig,
  member: Member,
  below: Ancestor | null,
  create: boolean,
): Promise<void> {
  const state = volumeState(volume.record, volume.version)
  await context.client.call(member.address, 'configure', {
    state,
    config,
    incarnation: member.incarnation,
    create,
    below,
  })
}

/** As `configureMember`, for the node at an address, from what the registry says now. */
export async function configureAddress(
  context: VolumeContext,
  id: VolumeId,
  group: GroupIndex,
  address: string,
): Promise<void> {
  const volume = await readVolume(context.registry, id)
  checkLive(volume.record)
  const { record: config } = await readGroup(context.registry, volume.record.placement, group)
  const below = ancestorOf(await lineage(context.registry, volume.record), group)
  const members = config.members.filter((member) => member.address === address)
  for (const member of members) await configureMember(context, volume, config, member, below, false)
}

/**
 * Makes a protection group of a volume: noted in the record, segments on a write quorum of its members, then active.
 * May be called again after it failed half way.
 * @param epoch of the writer, or the volume's when nobody has opened it yet
 * @throws VolumeError `Fenced`, `NoQuorum`
 */
export async function createVolumeGroup(
  context: VolumeContext,
  id: VolumeId,
  epoch: number,
  group: GroupIndex,
): Promise<GroupConfig> {
  const { registry } = context
  const volume = await changeVolume(registry, id, (record) => addGroup(record, epoch, group))
  const config = await placeGroup(context, volume.record.placement, group)
  if (volume.record.groups.get(group) === 'active') return config
  const below = ancestorOf(await lineage(registry, volume.record), group)
  const quorum = writeQuorum(config)
  const indexes = config.members.map((_, index) => index)
  const { answers, errors } = await gather(
    indexes,
    (index) => configureMember(context, volume, config, config.members[index] as Member, below, true),
    // All six where they are up: the others would have to prove later that they missed nothing.
    (all) => all.size === indexes.length,
  )
  if (!satisfied(quorum, (member) => answers.has(member))) {
    throw new VolumeError('NoQuorum', `${answers.size} of ${indexes.length} nodes took a segment of group ${group}`, {
      cause: errors[0],
    })
  }
  await changeVolume(registry, id, (record) => activateGroup(record, epoch, group))
  // It may have changed since: then its members are told of it by the writer.
  return (await readGroup(registry, volume.record.placement, group)).record
}
