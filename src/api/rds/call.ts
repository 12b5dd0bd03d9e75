/** What an operation of the RDS API is, and what it is given. */
import type { Tag as AwsTag, Filter } from '@aws-sdk/client-rds'
import { type ArnType, arnOf, parseArn } from '../../cluster/arn.ts'
import type { ControlPlane } from '../../cluster/control-plane.ts'
import type { ParameterDefinitions } from '../../cluster/parameter-definitions.ts'
import type { Tag } from '../../cluster/tags.ts'
import { invalidCombination, invalidValue } from '../api-error.ts'

export interface Call {
  readonly plane: ControlPlane
  readonly nowMs: number
  /** Of a family such as `aurora-postgresql17`; asks the engine when nobody has before. */
  readonly parameterDefinitions: (family: string) => Promise<ParameterDefinitions>
}

/**
 * Changes are made in one turn of the event loop, within `plane.transaction`; what has to be waited for is fetched before.
 */
export type Operation<Input, Output> = (input: Input, call: Call) => Output | Promise<Output>

export interface Paged {
  readonly Marker?: string | undefined
  readonly MaxRecords?: number | undefined
  readonly Filters?: readonly Filter[] | undefined
}

export const arn = ({ plane }: Call, type: ArnType, name: string): string => arnOf(plane, type, name)

/** Identifiers may be given as the ARNs of what they name, and in any case of letters. */
export function nameGiven({ plane }: Call, type: ArnType, identifier: string): string {
  const parsed = parseArn(plane, identifier)
  return (parsed?.type === type ? parsed.name : identifier).toLowerCase()
}

const TAGS_MAX = 50
const TAG_KEY_CHARS_MAX = 128
const TAG_VALUE_CHARS_MAX = 256

/** @throws ApiError for tags that AWS would refuse */
export function tagsGiven(tags: readonly AwsTag[] | undefined): Tag[] {
  const given = (tags ?? []).map(({ Key: key = '', Value: value = '' }) => ({ key, value }))
  if (given.length > TAGS_MAX) throw invalidValue(`A resource has ${TAGS_MAX} tags at most.`)
  for (const { key, value } of given) {
    if (key === '' || key.length > TAG_KEY_CHARS_MAX)
      throw invalidValue(`Tag keys must have 1 to ${TAG_KEY_CHARS_MAX} characters.`)
    if (/^(aws|rds):/i.test(key)) throw invalidValue(`Tag keys must not start with aws: or rds:, as ${key} does.`)
    if (value.length > TAG_VALUE_CHARS_MAX)
      throw invalidValue(`Tag values have ${TAG_VALUE_CHARS_MAX} characters at most.`)
  }
  const keys = new Set(given.map(({ key }) => key))
  if (keys.size < given.length) throw invalidValue('Tag keys must be unique.')
  return given
}

export const tagsShown = (tags: readonly Tag[] = []): AwsTag[] =>
  tags.map(({ key, value }) => ({ Key: key, Value: value }))

/**
 * Refuses what a request asks for and this region does not do, rather than to pass it over.
 * @param wanted by the member's name, whether the request asks for it
 */
export function refuse(wanted: Readonly<Record<string, unknown>>): void {
  const name = Object.keys(wanted).find((each) => wanted[each])
  if (name !== undefined) throw invalidCombination(`${name} is not supported for aurora-postgresql in this region.`)
}
