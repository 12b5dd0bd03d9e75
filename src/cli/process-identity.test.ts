import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { endAll, identify, isAlive } from '../cluster/host/process-identity.ts'

describe('a process', () => {
  it('is known by its number and its start', () => {
    const us = identify(process.pid)
    assert.ok(us !== undefined && isAlive(us))
    assert.equal(isAlive({ ...us, started: `0${us.started}` }), false)
  })

  it('that is not the one it was is left alone', async () => {
    const child = spawn('sleep', ['60'])
    await once(child, 'spawn')
    const real = identify(child.pid ?? 0)
    assert.ok(real !== undefined)
    assert.equal(await endAll([{ ...real, started: 'another' }], 100), 0)
    assert.ok(isAlive(real))
    assert.equal(await endAll([real], 5000), 1)
    assert.equal(isAlive(real), false)
  })

  it('that does not end when it is asked is ended', async () => {
    const child = spawn('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.1; done'])
    await once(child.stdout, 'data')
    const identity = identify(child.pid ?? 0)
    assert.ok(identity !== undefined)
    assert.equal(await endAll([identity], 100), 1)
    assert.equal(isAlive(identity), false)
  })
})
