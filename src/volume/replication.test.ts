import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ScriptedFabric } from '../../test/scripted-fabric.ts'
import { stateOf } from '../../test/segment-host.ts'
import { sixMembers } from '../../test/six-members.ts'
import { Durability } from '../protocol/durability.ts'
import { groupIndex, lsn, ZERO_LSN } from '../protocol/lsn.ts'
import type { Ack } from '../protocol/message.ts'
import { BlockReads } from './block-reads.ts'
import { NodeClient } from './node-client.ts'
import { Replication } from './replication.ts'
import { DEFAULT_WRITER_OPTIONS } from './writer-options.ts'

const unasked = () => Promise.reject(new Error('nobody was to be asked'))

/** The replication of a writer with epoch 2, of one group with a record that ends at 100. */
function setUp() {
  const fabric = new ScriptedFabric()
  const client = new NodeClient(fabric, { now: () => 0, wallClock: () => 0 })
  const state = stateOf(7, { epoch: 2 })
  const durability = new Durability(ZERO_LSN, new Map())
  const heard = { durable: 0, fenced: 0 }
  const env = {
    client,
    reads: new BlockReads(client),
    control: {
      addGroup: unasked,
      groupConfig: unasked,
      seal: unasked,
      configure: unasked,
      readInherited: unasked,
    },
    defer: () => {},
    pause: () => Promise.resolve(),
  }
  const replication = new Replication(state, env, durability, DEFAULT_WRITER_OPTIONS, {
    durable: () => heard.durable++,
    fenced: () => heard.fenced++,
  })
  replication.add(sixMembers(), ZERO_LSN)
  durability.appended(groupIndex(0), lsn(100), true)
  const ack = (address: string, volumeEpoch: number): void => {
    const answer: Ack = {
      volume: state.volume,
      group: groupIndex(0),
      volumeEpoch,
      membershipEpoch: 1,
      scl: lsn(100),
      status: 'Ok',
      applyDelayMs: 0,
    }
    replication.acknowledged(address, answer)
  }
  return { durability, heard, ack }
}

describe('an acknowledgement', () => {
  it('counts in the epoch that it names: what a node had before it heard of this one may have been cut', () => {
    const { durability, heard, ack } = setUp()
    for (const address of 'abcdef') ack(address, 1)
    assert.deepEqual([durability.vdl, heard.durable], [0, 0])
    for (const address of 'abc') ack(address, 2)
    assert.equal(durability.vdl, 0)
    ack('d', 2)
    assert.deepEqual([durability.vdl, heard], [100, { durable: 1, fenced: 0 }])
  })

  it('of a higher epoch stops the writer', () => {
    const { durability, heard, ack } = setUp()
    for (const address of 'abcd') ack(address, 3)
    assert.ok(heard.fenced > 0)
    assert.equal(durability.vdl, 0)
  })
})
