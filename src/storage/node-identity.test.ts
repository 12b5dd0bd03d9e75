import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { randomOf } from '../../test/crash-disk.ts'
import { MemoryDisk } from '../../test/memory-disk.ts'
import { VolumeError } from '../protocol/errors.ts'
import { nodeId } from '../protocol/lsn.ts'
import { loadIdentity, type NodeIdentity } from './node-identity.ts'
import type { NodeEnv } from './node-port.ts'

const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code
const random = randomOf(1)
const load = (disk: MemoryDisk, name = 'a1'): NodeIdentity =>
  loadIdentity({ random } as NodeEnv, disk, { node: nodeId(name), zone: 'a', address: 'a1:1' })

describe('the identity of a node', () => {
  it('is made on an empty disk, 128 random bits, and stays', () => {
    const disk = new MemoryDisk()
    const first = load(disk)
    assert.deepEqual([first.node, first.zone], ['a1', 'a'])
    assert.match(first.incarnation, /^[0-9a-f]{32}$/)
    assert.deepEqual(load(disk), first)
    assert.notEqual(load(new MemoryDisk()).incarnation, first.incarnation)
  })

  it('is that of the disk: another node does not take it over', () => {
    const disk = new MemoryDisk()
    const first = load(disk)
    assert.throws(() => load(disk, 'a2'), hasCode('BadRequest'))
    assert.deepEqual(load(disk), first)
  })

  it('that is lost is not made up again', () => {
    const disk = new MemoryDisk()
    const first = load(disk)
    const [one = '', two = ''] = disk.paths()
    disk.flip(one, 40)
    assert.deepEqual(load(disk), first, 'one copy is enough')
    for (const path of [one, two]) disk.flip(path, 40)
    assert.throws(() => load(disk), hasCode('Corrupt'))
  })
})
