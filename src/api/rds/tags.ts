/** Operations on tags. */
import type {
  AddTagsToResourceMessage,
  ListTagsForResourceMessage,
  RemoveTagsFromResourceMessage,
  TagListMessage,
} from '@aws-sdk/client-rds'
import { parseArn } from '../../cluster/arn.ts'
import { putTags, removeTags, tagsOf } from '../../cluster/tags.ts'
import { fault, invalidValue } from '../api-error.ts'
import { type Call, nameGiven, type Operation, tagsGiven, tagsShown } from './call.ts'
import { clusterNamed } from './clusters.ts'
import { subnetGroupFor } from './group-choice.ts'
import { instanceNamed } from './instances.ts'
import { groupNamed } from './parameter-groups.ts'

const TAGS_MAX = 50

/** Throws when what the ARN names is not there. By the type in the ARN. */
const CHECKS: Readonly<Record<string, (call: Call, name: string) => unknown>> = {
  cluster: clusterNamed,
  db: instanceNamed,
  'cluster-pg': (call, name) => groupNamed(call, 'cluster', name),
  pg: (call, name) => groupNamed(call, 'instance', name),
  subgrp: subnetGroupFor,
  'cluster-endpoint': (call, name) => {
    if (call.plane.customEndpoint(nameGiven(call, 'cluster-endpoint', name)) === undefined)
      throw fault('DBClusterEndpointNotFoundFault', `DBClusterEndpoint ${name} not found.`)
  },
}

/** @returns the ARN as tags are kept under it */
function resource(call: Call, given = ''): string {
  const parsed = parseArn(call.plane, given)
  const check = parsed === undefined || !Object.hasOwn(CHECKS, parsed.type) ? undefined : CHECKS[parsed.type]
  if (parsed === undefined || check === undefined)
    throw invalidValue(`Invalid resource name: ${given}. It is the ARN of a resource of this account and region.`)
  check(call, parsed.name)
  return given.slice(0, given.length - parsed.name.length) + parsed.name.toLowerCase()
}

export const addTagsToResource: Operation<AddTagsToResourceMessage, undefined> = (input, call) =>
  call.plane.transaction(() => {
    const arn = resource(call, input.ResourceName)
    const tags = tagsGiven(input.Tags)
    const { database } = call.plane
    const keys = new Set([...tagsOf(database, arn), ...tags].map(({ key }) => key))
    if (keys.size > TAGS_MAX) throw invalidValue(`A resource has ${TAGS_MAX} tags at most.`)
    putTags(database, arn, tags)
    return undefined
  })

export const removeTagsFromResource: Operation<RemoveTagsFromResourceMessage, undefined> = (input, call) =>
  call.plane.transaction(() => {
    removeTags(call.plane.database, resource(call, input.ResourceName), input.TagKeys ?? [])
    return undefined
  })

export const listTagsForResource: Operation<ListTagsForResourceMessage, TagListMessage> = (input, call) => ({
  TagList: tagsShown(tagsOf(call.plane.database, resource(call, input.ResourceName))),
})
