import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from './random.ts'
import { ACTIONS, chooseSwarm, FAULTS } from './swarm.ts'

describe('the choices of a run', () => {
  const swarms = Array.from({ length: 500 }, (_, seed) => chooseSwarm(new Random(seed)))

  it('are the same for the same seed', () => {
    assert.deepEqual(chooseSwarm(new Random(4)), swarms[4])
    assert.notDeepEqual(swarms[4], swarms[5])
  })

  it('meet every action and every fault, and leave each out now and then', () => {
    const always = new Set<string>(['writeDelta', 'writeFull', 'writeMany', 'sync', 'readHead', 'readPast'])
    for (const action of ACTIONS) {
      assert.ok(
        swarms.some((swarm) => swarm.actions[action] > 0),
        action,
      )
      if (!always.has(action))
        assert.ok(
          swarms.some((swarm) => swarm.actions[action] === 0),
          action,
        )
    }
    for (const fault of FAULTS) {
      assert.ok(
        swarms.some((swarm) => swarm.faults[fault] > 0),
        fault,
      )
      assert.ok(
        swarms.some((swarm) => swarm.faults[fault] === 0),
        fault,
      )
    }
  })

  it('have runs without faults, and volumes of one and of several groups', () => {
    assert.ok(swarms.some((swarm) => swarm.faultEveryUs === undefined))
    assert.ok(swarms.some((swarm) => swarm.blocks <= swarm.blocksPerGroup))
    assert.ok(swarms.some((swarm) => swarm.blocks > 2 * swarm.blocksPerGroup))
    for (const { blockBytes } of swarms) assert.equal(blockBytes % 16, 0)
  })
})
