import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { addTallies, parseTallyLine, tallyLine } from './tally.ts'

describe('the last line of the checks', () => {
  it('names skipped ones only when there are some', () => {
    assert.equal(tallyLine({ passed: 12, failed: 0, skipped: 0 }), '12 passed, 0 failed')
    assert.equal(tallyLine({ passed: 12, failed: 1, skipped: 3 }), '12 passed, 1 failed, 3 skipped')
  })

  it('is read back as it was written', () => {
    for (const tally of [
      { passed: 1000, failed: 0, skipped: 0 },
      { passed: 0, failed: 7, skipped: 2 },
    ]) {
      assert.deepEqual(parseTallyLine(tallyLine(tally)), tally)
    }
    assert.equal(parseTallyLine('all is well'), undefined)
  })

  it('sums up the stages', () => {
    const sum = addTallies({ passed: 1, failed: 2, skipped: 3 }, { passed: 10, failed: 20, skipped: 30 })
    assert.deepEqual(sum, { passed: 11, failed: 22, skipped: 33 })
  })
})
