import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type Following, NO_SEARCH, type Search, searchOf } from './wal-fallback.ts'

const CUT_OFF: Following = { streaming: false, walFile: '0000000000000005', oldestInVolume: null }

const after = (...asked: readonly (readonly [nowMs: number, following: Following])[]): Search =>
  asked.reduce((search, [nowMs, following]) => searchOf(search, following, nowMs), NO_SEARCH)

describe('a reader that is cut off', () => {
  it('waits for its writer, and then looks for the log in the volume, from where it is', () => {
    assert.equal(after([0, CUT_OFF], [2900, CUT_OFF]).from, undefined)
    assert.equal(after([0, CUT_OFF], [2900, CUT_OFF], [3000, CUT_OFF]).from, '0000000000000005')
  })

  it('goes on where it is by then', () => {
    assert.equal(
      after([0, CUT_OFF], [3000, CUT_OFF], [3500, { ...CUT_OFF, walFile: '0000000000000007' }]).from,
      '0000000000000007',
    )
  })

  it('looks there no more when its writer is back', () => {
    assert.deepEqual(after([0, CUT_OFF], [3000, CUT_OFF], [3500, { ...CUT_OFF, streaming: true }]), NO_SEARCH)
  })

  it('has waited for nothing when its engine was started again', () => {
    const unknown = { streaming: null, walFile: null, oldestInVolume: null }
    assert.equal(after([0, CUT_OFF], [2900, unknown], [3000, CUT_OFF]).from, undefined)
  })

  it('is to begin anew when the volume has only later files, and not when it has the one it is in', () => {
    const found = (oldestInVolume: string): string | null =>
      after([0, CUT_OFF], [3000, { ...CUT_OFF, oldestInVolume }]).hopeless
    assert.equal(found('0000000000000005'), null)
    assert.match(found('0000000000000006') ?? '', /kept nowhere/)
  })
})
