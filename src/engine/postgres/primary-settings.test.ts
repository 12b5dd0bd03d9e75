import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { primarySettings, withPrimarySettings } from './primary-settings.ts'

describe('a standby has as much as its primary', () => {
  const primary = new Map([
    ['max_connections', 100],
    ['max_worker_processes', 8],
    ['max_wal_senders', 10],
    ['max_prepared_transactions', 5],
    ['max_locks_per_transaction', 64],
  ])

  it('where its own parameters say less', () => {
    const { max_connections, max_prepared_transactions } = withPrimarySettings({ max_connections: '77' }, primary)
    assert.deepEqual([max_connections, max_prepared_transactions], ['100', '5'])
  })

  it('and what it says itself where that is more', () => {
    assert.deepEqual(withPrimarySettings({ max_connections: '200', max_prepared_transactions: '5' }, primary), {
      max_connections: '200',
      max_prepared_transactions: '5',
    })
  })

  it('as the control file tells it', () => {
    const file = Buffer.alloc(8192)
    for (const [index, value] of [...primary.values()].entries()) file.writeInt32LE(value, 180 + 4 * index)
    assert.deepEqual(primarySettings(file), primary)
  })
})
