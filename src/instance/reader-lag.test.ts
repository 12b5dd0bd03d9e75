import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lagOf, type Progress, type ReaderAnswer } from './reader-lag.ts'
import { parseWalLsn, walFileAt, walFileOf } from './wal-position.ts'

const answer = (nowMs: number, parts: Partial<ReaderAnswer>): ReaderAnswer => ({
  nowMs,
  streaming: true,
  replayed: '0/1000',
  received: '0/1000',
  upToDate: true,
  ageMs: 60_000,
  ...parts,
})

function lags(...answers: readonly ReaderAnswer[]): (number | null)[] {
  let before: Progress | undefined
  return answers.map((each) => {
    const { lagMs, progress } = lagOf(before, each)
    before = progress
    return lagMs
  })
}

describe('the lag of a reader', () => {
  it('is none when it has everything, however old the last transaction is', () => {
    assert.deepEqual(lags(answer(0, {})), [0])
  })

  it('is the age of what it replays while it is behind', () => {
    const behind = answer(1000, { received: '0/3000', replayed: '0/2000', upToDate: false, ageMs: 30 })
    assert.deepEqual(lags(answer(500, {}), behind), [0, 30])
  })

  it('goes back no further than to when it had everything', () => {
    const behind = answer(1000, { received: '0/2000', upToDate: false })
    assert.deepEqual(lags(answer(500, {}), behind), [0, 500])
  })

  it('goes back no further than to what it had been sent before and has replayed since', () => {
    const first = answer(0, { received: '0/2000', upToDate: false, ageMs: 8000 })
    const second = answer(500, { received: '0/9000', replayed: '0/2000', upToDate: false, ageMs: 9000 })
    assert.deepEqual(lags(first, second), [8000, 500])
  })

  it('grows while nothing comes in, also when all that came is replayed', () => {
    const cutOff = (nowMs: number): ReaderAnswer => answer(nowMs, { streaming: false })
    assert.deepEqual(lags(answer(0, {}), cutOff(500), cutOff(1000)), [0, 500, 1000])
  })

  it('is not known before it ever followed', () => {
    assert.deepEqual(lags(answer(0, { streaming: false })), [null])
  })
})

describe('positions in the log of PostgreSQL', () => {
  it('have a file, which is named by its number, whatever the size of files is', () => {
    assert.equal(parseWalLsn('1A/2B00001C'), 0x1a2b00001cn)
    assert.equal(walFileAt(0x1a2b00001cn, 16 << 20), '0000001A0000002B')
    assert.equal(walFileAt(0x1a2b00001cn, 4 << 20), '0000001A000000AC')
    assert.equal(walFileOf('000000030000001A0000002B'), '0000001A0000002B')
  })

  it('have files whose names are in their order', () => {
    const files = [0n, 1n << 22n, 1n << 30n, 1n << 32n, (1n << 36n) + (1n << 31n)].map((at) => walFileAt(at, 4 << 20))
    assert.deepEqual([...files].sort(), files)
  })

  it('are told from other names', () => {
    for (const name of ['00000002.history', '000000010000000000000001.partial', 'archive_status'])
      assert.equal(walFileOf(name), undefined)
    assert.throws(() => parseWalLsn('15D68C50'), TypeError)
  })
})
