import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BenchTable, formatTable, ratios } from './table.ts'

const TABLE: BenchTable = {
  title: 'Commit latency',
  compared: 'ours with theirs, both with one client',
  settings: { theirs: '1.2', blockBytes: 8192 },
  columns: [
    { name: 'rate', unit: '1/s' },
    { name: 'p99', unit: 'us' },
  ],
  ratio: { column: 'rate', baseline: 'theirs', better: 'higher' },
  rows: [
    { name: 'theirs', values: [2000, 812.25] },
    { name: 'ours', values: [3000, 40.5] },
    { name: 'ours, unplugged', values: [null, 1] },
  ],
}

describe('a table of measurements', () => {
  it('has the ratio of each row to the baseline, null where nothing was measured', () => {
    assert.deepEqual(ratios(TABLE), [1, 1.5, null])
  })

  it('says what was compared, with which settings, and which way is better', () => {
    assert.equal(
      formatTable(TABLE),
      [
        'Commit latency',
        '',
        '                 rate (1/s)  p99 (us)  ratio',
        'theirs                2,000     812.3   1.00',
        'ours                  3,000     40.50   1.50',
        'ours, unplugged           -         1      -',
        '',
        'compared: ours with theirs, both with one client',
        'ratio: rate to that of "theirs"; higher is better',
        'settings: theirs 1.2, blockBytes 8192',
        '',
      ].join('\n'),
    )
  })

  it('refuses a ratio to a row that is not there', () => {
    assert.throws(() => ratios({ ...TABLE, ratio: { ...TABLE.ratio, baseline: 'nobody' } }), /no row "nobody"/)
  })
})
