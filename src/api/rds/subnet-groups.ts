/** Operations on subnet groups. */
import type {
  CreateDBSubnetGroupMessage,
  CreateDBSubnetGroupResult,
  DBSubnetGroup,
  DBSubnetGroupMessage,
  DeleteDBSubnetGroupMessage,
  DescribeDBSubnetGroupsMessage,
  ModifyDBSubnetGroupMessage,
  ModifyDBSubnetGroupResult,
} from '@aws-sdk/client-rds'
import {
  DEFAULT_SUBNET_GROUP,
  deleteSubnetGroup,
  putSubnetGroup,
  type SubnetGroup,
  subnetGroup,
  subnetGroups,
  zonesOfSubnets,
} from '../../cluster/subnet-groups.ts'
import { replaceTags } from '../../cluster/tags.ts'
import { fault, invalidValue } from '../api-error.ts'
import { arn, type Call, nameGiven, type Operation, tagsGiven } from './call.ts'
import { groupName } from './identifiers.ts'
import { filtered, page } from './pages.ts'

/** As many as AWS allows an account. */
const GROUPS_MAX = 50
const ZONES_MIN = 2
const VPC = 'vpc-default'

function groupNamed(call: Call, given: string | undefined): SubnetGroup {
  const name = nameGiven(call, 'subgrp', given ?? '')
  const group = subnetGroup(call.plane.database, name, call.plane.zones)
  if (group === undefined) throw fault('DBSubnetGroupNotFoundFault', `DB subnet group '${name}' does not exist.`)
  return group
}

/** By name. */
export const showSubnetGroups = (call: Call): ReadonlyMap<string, DBSubnetGroup> =>
  new Map(subnetGroups(call.plane.database, call.plane.zones).map((group) => [group.name, show(call, group)]))

function show(call: Call, { name, description, subnets }: SubnetGroup): DBSubnetGroup {
  const zones = zonesOfSubnets(subnets, call.plane.zones)
  return {
    DBSubnetGroupName: name,
    DBSubnetGroupDescription: description,
    VpcId: VPC,
    SubnetGroupStatus: 'Complete',
    Subnets: subnets.map((subnet, index) => ({
      SubnetIdentifier: subnet,
      SubnetAvailabilityZone: { Name: zones[index] },
      SubnetOutpost: {},
      SubnetStatus: 'Active',
    })),
    DBSubnetGroupArn: arn(call, 'subgrp', name),
    SupportedNetworkTypes: ['IPV4'],
  }
}

function subnetsGiven({ plane }: Call, given: readonly string[] | undefined): readonly string[] {
  const subnets = [...new Set(given)]
  const wrong = subnets.find((subnet) => !/^subnet-[\w-]+$/.test(subnet))
  if (wrong !== undefined) throw fault('InvalidSubnet', `The subnet ID '${wrong}' does not exist`)
  const zones = new Set(zonesOfSubnets(subnets, plane.zones))
  if (zones.size < ZONES_MIN)
    throw fault(
      'DBSubnetGroupDoesNotCoverEnoughAZs',
      `The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: ${[...zones].join(', ')}. Add subnets to cover at least ${ZONES_MIN} AZs.`,
    )
  return subnets
}

export const createDBSubnetGroup: Operation<CreateDBSubnetGroupMessage, CreateDBSubnetGroupResult> = (input, call) => {
  const name = groupName('DBSubnetGroupName', input.DBSubnetGroupName ?? '')
  const group = {
    name,
    description: input.DBSubnetGroupDescription ?? '',
    subnets: subnetsGiven(call, input.SubnetIds),
  }
  const tags = tagsGiven(input.Tags)
  const { database, zones } = call.plane
  return call.plane.transaction(() => {
    if (subnetGroup(database, name, zones) !== undefined)
      throw fault('DBSubnetGroupAlreadyExistsFault', `The DB subnet group '${name}' already exists.`)
    if (subnetGroups(database, zones).length > GROUPS_MAX)
      throw fault('DBSubnetGroupQuotaExceededFault', `There are ${GROUPS_MAX} DB subnet groups, which is the quota.`)
    putSubnetGroup(database, group)
    replaceTags(database, arn(call, 'subgrp', name), tags)
    return { DBSubnetGroup: show(call, group) }
  })
}

export const describeDBSubnetGroups: Operation<DescribeDBSubnetGroupsMessage, DBSubnetGroupMessage> = (input, call) => {
  const { DBSubnetGroupName: named } = input
  const groups = named === undefined ? subnetGroups(call.plane.database, call.plane.zones) : [groupNamed(call, named)]
  const { items, marker } = page(filtered(groups, input, {}), input, ({ name }) => name)
  return { Marker: marker, DBSubnetGroups: items.map((group) => show(call, group)) }
}

export const modifyDBSubnetGroup: Operation<ModifyDBSubnetGroupMessage, ModifyDBSubnetGroupResult> = (input, call) => {
  const subnets = subnetsGiven(call, input.SubnetIds)
  return call.plane.transaction(() => {
    const group = groupNamed(call, input.DBSubnetGroupName)
    if (group.name === DEFAULT_SUBNET_GROUP) throw invalidValue('The default DB subnet group cannot be modified.')
    const changed = { ...group, subnets, description: input.DBSubnetGroupDescription ?? group.description }
    putSubnetGroup(call.plane.database, changed)
    return { DBSubnetGroup: show(call, changed) }
  })
}

export const deleteDBSubnetGroup: Operation<DeleteDBSubnetGroupMessage, undefined> = (input, call) =>
  call.plane.transaction(() => {
    const { name } = groupNamed(call, input.DBSubnetGroupName)
    const user = call.plane.clusters().find(({ settings }) => settings.subnetGroup === name)
    if (name === DEFAULT_SUBNET_GROUP || user !== undefined)
      throw fault(
        'InvalidDBSubnetGroupStateFault',
        user === undefined
          ? 'The default DB subnet group cannot be deleted.'
          : `Cannot delete the subnet group '${name}' because at least one database instance: ${user.name} is still using it.`,
      )
    deleteSubnetGroup(call.plane.database, name)
    return undefined
  })
