/** The membership of a protection group as it is kept in the registry, in JSON. Format 1. */
import { COPIES, type GroupConfig, type Member } from '../protocol/group.ts'
import { groupIndex, nodeId } from '../protocol/lsn.ts'
import { corrupt, fields, integer, list, oneOf, parseDocument, text } from './json-fields.ts'

const FORMAT = 1
const GROUP_MAX = 0xffff_ffff

/** @throws VolumeError `Corrupt`, `UnsupportedFormat` */
export function parseGroupRecord(json: string): GroupConfig {
  const raw = fields(parseDocument(json, 'group', FORMAT), 'group', ['format', 'group', 'epoch', 'members', 'sets'])
  const members = list(raw.members, 'group.members', parseMember)
  const sets = list(raw.sets, 'group.sets', (set, path) => parseSet(set, path, members.length))
  if (sets.length === 0) corrupt('group.sets', 'a list of at least one set')
  return {
    group: groupIndex(integer(raw.group, 'group.group', 0, GROUP_MAX)),
    epoch: integer(raw.epoch, 'group.epoch', 1),
    members,
    sets,
  }
}

function parseMember(value: unknown, path: string): Member {
  const raw = fields(value, path, ['node', 'incarnation', 'zone', 'kind', 'address'])
  return {
    node: nodeId(text(raw.node, `${path}.node`)),
    incarnation: text(raw.incarnation, `${path}.incarnation`),
    zone: text(raw.zone, `${path}.zone`),
    kind: oneOf(raw.kind, `${path}.kind`, ['full', 'tail']),
    address: text(raw.address, `${path}.address`),
  }
}

function parseSet(value: unknown, path: string, members: number): number[] {
  const set = list(value, path, (index, at) => integer(index, at, 0, members - 1))
  if (set.length !== COPIES || new Set(set).size !== COPIES) corrupt(path, `a list of ${COPIES} different members`)
  return set
}

export function formatGroupRecord({ group, epoch, members, sets }: GroupConfig): string {
  const plain = members.map(({ node, incarnation, zone, kind, address }) => ({
    node,
    incarnation,
    zone,
    kind,
    address,
  }))
  return JSON.stringify({ format: FORMAT, group, epoch, members: plain, sets })
}
