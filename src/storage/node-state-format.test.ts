import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { MemoryDisk } from '../../test/memory-disk.ts'
import { stateOf } from '../../test/segment-host.ts'
import { memberOf, sixMembers } from '../../test/six-members.ts'
import { joint } from '../protocol/group.ts'
import { groupIndex, lsn, nodeId, volumeId } from '../protocol/lsn.ts'
import { writeState } from './durable-state.ts'
import type { LayerRef } from './layers/layer-ref.ts'
import { loadIdentity, type NodeIdentity } from './node-identity.ts'
import type { NodeEnv } from './node-port.ts'
import { NodeVolume } from './node-volume.ts'
import {
  groupsOnDisk,
  makeSegmentFolder,
  readManifest,
  type SegmentManifest,
  segmentFolder,
  writeManifest,
} from './segment-manifest.ts'

const FOLDER = fileURLToPath(new URL('../../test/fixtures/node-state-v1/', import.meta.url))

const IDENTITY: NodeIdentity = { node: nodeId('a'), zone: 'z0', incarnation: '0123456789abcdef0123456789abcdef' }
const VOLUME = volumeId(0x0a1b_2c3d)
const STATE = stateOf(VOLUME, {
  epoch: 3,
  truncations: [
    { epoch: 2, from: lsn(1_000), to: lsn(268_436_456) },
    { epoch: 3, from: lsn(268_440_000), to: lsn(536_875_456) },
  ],
  truncationsFromEpoch: 2,
  parent: { volume: volumeId(1), lsn: lsn(900) },
  base: lsn(900),
  cutoff: lsn(950),
  pins: [lsn(900), lsn(920)],
  grantVersion: 17,
})
const LAYER: LayerRef = {
  id: 3,
  file: 'layer-3',
  kind: 'delta',
  level: 0,
  lo: 900,
  hi: 1_000,
  fromBlock: 0,
  toBlock: 4_294_967_296,
  bytes: 4_000,
  fileBytes: 8_192,
  indexCrc: 3_735_928_559,
  trims: 1,
  zeros: 2,
  wallMs: [1_700_000_000_000, 1_700_000_001_000],
  collectedTo: 0,
  liveBytes: 0,
  pinned: [[920, 256]],
}
const MANIFEST: SegmentManifest = {
  format: 1,
  kind: 'full',
  config: joint(sixMembers(5), new Map([[nodeId('b'), memberOf('g', 0, 'tail')]])),
  below: { volume: volumeId(1), lsn: lsn(900) },
  suspect: false,
  flushed: lsn(1_000),
  completeTo: lsn(1_200),
  ignoredLog: { file: 2, offset: 4_096, length: 300 },
  layers: { version: 1, nextId: 4, flushedTo: 1_000, collectedTo: 950, refs: [LAYER] },
}

/** What today's code writes. */
function written(): MemoryDisk {
  const disk = new MemoryDisk()
  for (const folder of ['node', 'volumes', 'segments']) disk.makeFolder(folder)
  writeState(disk, 'node', 'identity', IDENTITY)
  NodeVolume.create(disk, STATE).fence(5)
  const folder = segmentFolder(VOLUME, groupIndex(5))
  makeSegmentFolder(disk, folder)
  writeManifest(disk, folder, MANIFEST)
  return disk
}

/** A disk with the committed files. */
function committed(): MemoryDisk {
  const disk = new MemoryDisk()
  for (const file of globSync('**/*.{a,b}', { cwd: FOLDER })) disk.plant(file, readFileSync(`${FOLDER}${file}`))
  return disk
}

describe('the state of a node in format 1', () => {
  it('is what is written', () => {
    const [now, then] = [written(), committed()]
    assert.deepEqual(now.paths(), then.paths())
    for (const path of now.paths()) assert.deepEqual(now.bytesOf(path), then.bytesOf(path), path)
  })

  it('is read', () => {
    const disk = committed()
    const identity = loadIdentity({} as NodeEnv, disk, { node: nodeId('a'), zone: 'z0', address: 'a:1' })
    assert.deepEqual(identity, IDENTITY)
    const [volume] = NodeVolume.load(disk)
    assert.deepEqual([volume?.state, volume?.fencedEpoch], [STATE, 5])
    assert.deepEqual(groupsOnDisk(disk, VOLUME), [5])
    assert.deepEqual(readManifest(disk, segmentFolder(VOLUME, groupIndex(5))), MANIFEST)
  })

  it('of a newer format is not read', () => {
    const disk = written()
    const folder = segmentFolder(VOLUME, groupIndex(5))
    writeManifest(disk, folder, { ...MANIFEST, format: 2 } as never)
    assert.throws(() => readManifest(disk, folder), { code: 'UnsupportedFormat' })
  })
})
