import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { StorageWatch } from './storage-watch.ts'

describe('the storage is waiting', () => {
  it('when a volume takes longer than a second to open', () => {
    const watch = new StorageWatch(0)
    assert.deepEqual([watch.look(undefined, 999), watch.look(undefined, 1000)], ['ok', 'waiting'])
    assert.equal(watch.look({ unackedBytes: 0, vdl: 5 }, 1100), 'ok')
  })

  it('when the durable point has not moved for a second and something waits for it', () => {
    const watch = new StorageWatch(0)
    assert.equal(watch.look({ unackedBytes: 10, vdl: 5 }, 0), 'ok')
    assert.equal(watch.look({ unackedBytes: 10, vdl: 6 }, 900), 'ok')
    assert.equal(watch.look({ unackedBytes: 10, vdl: 6 }, 1899), 'ok')
    assert.equal(watch.look({ unackedBytes: 10, vdl: 6 }, 1900), 'waiting')
    assert.equal(watch.look({ unackedBytes: 4, vdl: 7 }, 2000), 'ok')
  })

  it('not when nothing is written', () => {
    const watch = new StorageWatch(0)
    for (let ms = 0; ms < 10_000; ms += 250) assert.equal(watch.look({ unackedBytes: 0, vdl: 5 }, ms), 'ok')
    assert.equal(watch.look({ unackedBytes: 10, vdl: 5 }, 10_000), 'ok')
  })
})
