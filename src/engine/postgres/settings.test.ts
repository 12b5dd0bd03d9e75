import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { connectionsMax, engineSettings, sharedBuffersBytes } from './settings.ts'
import { MAJORS, type Major } from './versions.ts'

const GIB = 2 ** 30
const values = (major: Major, memoryBytes = GIB) =>
  new Map(engineSettings({ major, memoryBytes }).map(({ name, value }) => [name, value]))

describe('settings of an engine', () => {
  for (const major of MAJORS) {
    it(`of ${major} are each there once and with a reason`, () => {
      const settings = engineSettings({ major, memoryBytes: GIB })
      assert.equal(new Set(settings.map(({ name }) => name)).size, settings.length)
      for (const { name, reason } of settings) assert.ok(reason.length > 5, name)
    })
  }

  it('are those of a volume that keeps order and never tears a page', () => {
    const settings = values(17)
    assert.equal(settings.get('fsync'), 'on')
    assert.equal(settings.get('full_page_writes'), 'off')
    assert.equal(settings.get('wal_sync_method'), 'open_datasync')
    assert.equal(settings.get('restart_after_crash'), 'off')
  })

  it('fit the version', () => {
    assert.equal(values(16).get('allow_alter_system'), undefined)
    assert.equal(values(17).get('allow_alter_system'), 'off')
    assert.equal(values(17).get('effective_io_concurrency'), '0')
    assert.equal(values(18).get('effective_io_concurrency'), undefined)
    assert.equal(values(17).get('io_method'), undefined)
    assert.equal(values(18).get('io_method'), 'worker')
  })

  it('take most of the memory for buffers, within limits', () => {
    assert.equal(values(17, 10 * GIB).get('shared_buffers'), '6144MB')
    assert.equal(sharedBuffersBytes({ major: 17, memoryBytes: 1 }), 32 * 2 ** 20)
    assert.equal(values(17, GIB).get('maintenance_work_mem'), '64MB')
    assert.equal(values(17, 1024 * GIB).get('maintenance_work_mem'), '2047MB')
  })

  it('let in as many as RDS does', () => {
    assert.equal(connectionsMax({ major: 17, memoryBytes: GIB / 8 }), 60)
    assert.equal(connectionsMax({ major: 17, memoryBytes: 8 * GIB }), 901)
    assert.equal(connectionsMax({ major: 17, memoryBytes: 1024 * GIB }), 5000)
  })
})
