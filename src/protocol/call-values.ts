/** Checks of the larger values that calls carry: what a node stores must be what it seems to be. */
import type { Ancestor, Calls, Grant, Method, VolumeState } from './calls.ts'
import { VolumeError } from './errors.ts'
import type { GroupConfig } from './group.ts'

type Fields = Readonly<Record<string, unknown>>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
const isText = (value: unknown): boolean => typeof value === 'string' && value.length > 0
const hasCounts = (value: unknown, ...names: string[]): boolean =>
  isFields(value) && names.every((name) => isCount(value[name]))
const isList = (value: unknown, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(isItem)

function need(holds: boolean, what: string): void {
  if (!holds) throw new VolumeError('BadRequest', `${what} is missing or malformed`)
}

/** @throws VolumeError `BadRequest` naming what is wrong */
export function checkVolumeState(value: VolumeState): VolumeState {
  const state: unknown = value
  need(isFields(state), 'state')
  const numbers = [
    'volume',
    'blockBytes',
    'blocksPerGroup',
    'epoch',
    'truncationsFromEpoch',
    'base',
    'cutoff',
    'grantVersion',
  ]
  for (const name of numbers) need(hasCounts(state, name), `state.${name}`)
  need(value.blockBytes >= 16 && value.blockBytes % 16 === 0, 'state.blockBytes')
  need(value.blocksPerGroup >= 1, 'state.blocksPerGroup')
  need(
    isList(value.truncations, (cut) => hasCounts(cut, 'epoch', 'from', 'to')),
    'state.truncations',
  )
  need(isList(value.pins, isCount), 'state.pins')
  need(value.parent === null || hasCounts(value.parent, 'volume', 'lsn'), 'state.parent')
  return value
}

const isMember = (value: unknown): boolean =>
  isFields(value) &&
  ['node', 'incarnation', 'zone', 'address'].every((name) => isText(value[name])) &&
  (value.kind === 'full' || value.kind === 'tail')

/** @throws VolumeError `BadRequest` naming what is wrong */
export function checkGroupConfig(value: GroupConfig): GroupConfig {
  const config: unknown = value
  need(isFields(config) && hasCounts(config, 'group', 'epoch'), 'config')
  need(isList(value.members, isMember) && value.members.length > 0, 'config.members')
  const isIndex = (index: unknown): boolean => isCount(index) && (index as number) < value.members.length
  const isSet = (set: unknown): boolean => isList(set, isIndex) && (set as unknown[]).length > 0
  need(isList(value.sets, isSet) && value.sets.length > 0, 'config.sets')
  return value
}

const isAncestor = (value: unknown): boolean => value === null || hasCounts(value, 'volume', 'lsn')

/** @throws VolumeError `BadRequest` naming what is wrong */
export function checkBelow(value: Ancestor | null): Ancestor | null {
  need(isAncestor(value), 'below')
  return value
}

const isGrant = (value: unknown): boolean =>
  isFields(value) && hasCounts(value, 'cutoff', 'grantVersion') && isList(value.pins, isCount)

/** @throws VolumeError `BadRequest` */
export function checkGrant(value: Grant): Grant {
  need(isGrant(value), 'the grant')
  return value
}

const isReport = (value: unknown): boolean =>
  isFields(value) &&
  hasCounts(value, 'group', 'scl', 'membershipEpoch', 'flushed', 'damagedBlocks') &&
  isText(value.incarnation) &&
  (value.kind === 'full' || value.kind === 'tail') &&
  typeof value.suspect === 'boolean'

/** What nodes ask each other; everything else is answered to programs. */
const ANSWERS: { readonly [M in Method]?: (value: Fields) => boolean } = {
  pull: (value) => isReport(value.report) && hasCounts(value, 'vdl', 'logFrom'),
  layers: (value) => hasCounts(value, 'flushed', 'completeTo') && isGrant(value.grant) && isAncestor(value.below),
  layerBytes: (value) => hasCounts(value, 'bytes'),
  history: (value) =>
    hasCounts(value, 'collectedTo', 'next', 'after', 'crc') &&
    isGrant(value.grant) &&
    isAncestor(value.below) &&
    typeof value.damaged === 'boolean' &&
    typeof value.basis === 'string',
}

/** What a peer answered: whoever can connect can send answers, too. @throws VolumeError `BadRequest` */
export function checkAnswer<M extends Method>(method: M, value: unknown): Calls[M]['value'] {
  need(isFields(value) && ANSWERS[method]?.(value) !== false, `the answer to ${method}`)
  return value as Calls[M]['value']
}
