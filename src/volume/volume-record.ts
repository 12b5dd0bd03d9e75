/**
 * What a fleet has agreed on about a volume: one cell of the registry, in JSON, format 1. How it may change is in
 * `volume-changes.ts` (opening, groups, life) and `volume-retention.ts` (cutoff and pins).
 */
import type { Ancestor, VolumeState } from '../protocol/calls.ts'
import { type GroupIndex, groupIndex, type Lsn, type VolumeId, volumeName, ZERO_LSN } from '../protocol/lsn.ts'
import type { Truncation } from '../protocol/truncation.ts'
import {
  corrupt,
  fields,
  integer,
  list,
  lsnField,
  oneOf,
  parseDocument,
  record,
  text,
  volumeField,
} from './json-fields.ts'

const FORMAT = 1
const U32_MAX = 0xffff_ffff

/** `creating`: nodes may not have its segments yet, so nothing is written to it. */
export type GroupStage = 'creating' | 'active'

/** `pin` is a person's or a backup's, `branch` a child's, `lease` an open reader's. */
export type PinKind = 'pin' | 'branch' | 'lease'

/** What is visible at `lsn` is kept. */
export interface Pin {
  /** Unique in the volume; of a branch its name. */
  readonly id: string
  readonly kind: PinKind
  readonly lsn: Lsn
  /** Of a lease, and only of a lease: milliseconds since 1970. */
  readonly expiresAtMs?: number
}

export interface VolumeRecord {
  readonly id: VolumeId
  /** The volume whose groups' places this one shares: itself, or the root of its branches. */
  readonly placement: VolumeId
  /** `deleting`: no longer opened, pinned or branched; its segments are being removed. */
  readonly stage: 'live' | 'deleting'
  readonly blockBytes: number
  readonly blocksPerGroup: number
  readonly parent: Ancestor | null
  /** Where the volume's own log begins: 0, or the LSN it was branched at. */
  readonly base: Lsn
  /** How often it was opened for writing; 0 is never. */
  readonly epoch: number
  /** Rises whenever a group becomes active. */
  readonly geometryEpoch: number
  readonly groups: ReadonlyMap<GroupIndex, GroupStage>
  /** In the order of their epochs. */
  readonly truncations: readonly Truncation[]
  /** All truncations of this and higher epochs are listed; older ones may have been dropped. */
  readonly truncationsFromEpoch: number
  readonly cutoff: Lsn
  readonly pins: readonly Pin[]
}

/** A volume of zeros. */
export function newVolume(id: VolumeId, blockBytes: number, blocksPerGroup: number): VolumeRecord {
  return {
    id,
    placement: id,
    stage: 'live',
    blockBytes,
    blocksPerGroup,
    parent: null,
    base: ZERO_LSN,
    epoch: 0,
    geometryEpoch: 0,
    groups: new Map(),
    truncations: [],
    truncationsFromEpoch: 1,
    cutoff: ZERO_LSN,
    pins: [],
  }
}

/** A volume that shows `parent` at `at`, which has to be pinned there first, under the branch's name. */
export function newBranch(id: VolumeId, parent: VolumeRecord, at: Lsn): VolumeRecord {
  return {
    ...newVolume(id, parent.blockBytes, parent.blocksPerGroup),
    placement: parent.placement,
    parent: { volume: parent.id, lsn: at },
    base: at,
    cutoff: at,
  }
}

/**
 * The volume epoch in force. One that was claimed is not yet: until its truncation is recorded nobody may adopt it, or
 * the truncation would never be carried out there.
 */
const epochInForce = (volume: VolumeRecord): number => volume.truncations.at(-1)?.epoch ?? 0

/** What nodes are told. @param version the registry's, of the cell that `volume` was read from */
export function volumeState(volume: VolumeRecord, version: number): VolumeState {
  return {
    volume: volume.id,
    blockBytes: volume.blockBytes,
    blocksPerGroup: volume.blocksPerGroup,
    epoch: epochInForce(volume),
    truncations: volume.truncations,
    truncationsFromEpoch: volume.truncationsFromEpoch,
    parent: volume.parent,
    base: volume.base,
    cutoff: volume.cutoff,
    pins: [...new Set(volume.pins.map((pin) => pin.lsn))].sort((a, b) => a - b),
    grantVersion: version,
  }
}

const FIELDS = [
  'format',
  'id',
  'placement',
  'stage',
  'blockBytes',
  'blocksPerGroup',
  'parent',
  'base',
  'epoch',
  'geometryEpoch',
  'groups',
  'truncations',
  'truncationsFromEpoch',
  'cutoff',
  'pins',
] as const

/** @throws VolumeError `Corrupt`, `UnsupportedFormat` */
export function parseVolumeRecord(json: string): VolumeRecord {
  const raw = fields(parseDocument(json, 'volume', FORMAT), 'volume', FIELDS)
  const base = lsnField(raw.base, 'volume.base')
  const cutoff = lsnField(raw.cutoff, 'volume.cutoff')
  if (cutoff < base) corrupt('volume.cutoff', `at least the base, ${base}`)
  const pins = list(raw.pins, 'volume.pins', parsePin)
  if (new Set(pins.map(({ id }) => id)).size !== pins.length) corrupt('volume.pins', 'a list of different ids')
  return {
    id: volumeField(raw.id, 'volume.id'),
    placement: volumeField(raw.placement, 'volume.placement'),
    stage: oneOf(raw.stage, 'volume.stage', ['live', 'deleting']),
    blockBytes: integer(raw.blockBytes, 'volume.blockBytes', 1, U32_MAX),
    blocksPerGroup: integer(raw.blocksPerGroup, 'volume.blocksPerGroup', 1, U32_MAX),
    parent: raw.parent === null ? null : parseParent(raw.parent, 'volume.parent'),
    base,
    epoch: integer(raw.epoch, 'volume.epoch', 0, U32_MAX),
    geometryEpoch: integer(raw.geometryEpoch, 'volume.geometryEpoch'),
    groups: parseGroups(raw.groups, 'volume.groups'),
    truncations: parseTruncations(raw.truncations, 'volume.truncations'),
    truncationsFromEpoch: integer(raw.truncationsFromEpoch, 'volume.truncationsFromEpoch', 1),
    cutoff,
    pins,
  }
}

function parseParent(value: unknown, path: string): Ancestor {
  const raw = fields(value, path, ['volume', 'lsn'])
  return { volume: volumeField(raw.volume, `${path}.volume`), lsn: lsnField(raw.lsn, `${path}.lsn`) }
}

function parseGroups(value: unknown, path: string): Map<GroupIndex, GroupStage> {
  const entries = Object.entries(record(value, path)).map(([key, stage]): [GroupIndex, GroupStage] => {
    const group = integer(/^(0|[1-9]\d*)$/.test(key) ? Number(key) : undefined, `${path}.${key}`, 0, U32_MAX)
    return [groupIndex(group), oneOf(stage, `${path}.${key}`, ['creating', 'active'])]
  })
  return new Map(entries)
}

function parseTruncations(value: unknown, path: string): Truncation[] {
  const truncations = list(value, path, (each, at): Truncation => {
    // In plain quotes, `from` and what follows would be an import to the house rules.
    const raw = fields(each, at, ['epoch', `from`, 'to'])
    const from = lsnField(raw.from, `${at}.from`)
    const to = lsnField(raw.to, `${at}.to`)
    if (to < from) corrupt(`${at}.to`, `at least ${from}`)
    return { epoch: integer(raw.epoch, `${at}.epoch`, 1, U32_MAX), from, to }
  })
  const disordered = truncations.some(({ epoch }, i) => i > 0 && epoch <= (truncations[i - 1] as Truncation).epoch)
  return disordered ? corrupt(path, 'in the order of epochs') : truncations
}

function parsePin(value: unknown, path: string): Pin {
  const raw = fields(value, path, ['id', 'kind', 'lsn'], ['expiresAtMs'])
  const kind = oneOf(raw.kind, `${path}.kind`, ['pin', 'branch', 'lease'])
  const pin = { id: text(raw.id, `${path}.id`), kind, lsn: lsnField(raw.lsn, `${path}.lsn`) }
  if (kind === 'lease') return { ...pin, expiresAtMs: integer(raw.expiresAtMs, `${path}.expiresAtMs`) }
  return raw.expiresAtMs === undefined ? pin : corrupt(`${path}.expiresAtMs`, 'a field of a lease alone')
}

export function formatVolumeRecord(volume: VolumeRecord): string {
  const { parent } = volume
  return JSON.stringify({
    format: FORMAT,
    id: volumeName(volume.id),
    placement: volumeName(volume.placement),
    stage: volume.stage,
    blockBytes: volume.blockBytes,
    blocksPerGroup: volume.blocksPerGroup,
    parent: parent === null ? null : { volume: volumeName(parent.volume), lsn: parent.lsn },
    base: volume.base,
    epoch: volume.epoch,
    geometryEpoch: volume.geometryEpoch,
    groups: Object.fromEntries(volume.groups),
    truncations: volume.truncations.map(({ epoch, from, to }) => ({ epoch, from, to })),
    truncationsFromEpoch: volume.truncationsFromEpoch,
    cutoff: volume.cutoff,
    pins: volume.pins,
  })
}
