import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NO_REPLACEMENTS, parseReport, reportOf } from './instance-report.ts'
import type { InstanceState } from './instance-state.ts'
import { parseFilesLeft } from './volume-files.ts'

const FILES = { storage: 'ok', serverPid: null, replacements: NO_REPLACEMENTS, figures: null } as const

describe('what an instance tells its parent', () => {
  it('is understood as it was meant, in every state', () => {
    const states: InstanceState[] = [
      { name: 'opening' },
      { name: 'available', enginePid: 7 },
      { name: 'replacing', enginePid: 7 },
      { name: 'recovering', reason: 'a "crash"\nof two lines' },
      { name: 'fenced' },
    ]
    const served = {
      storage: 'waiting',
      serverPid: 8,
      replacements: { count: 2, pauseMs: 150.5, problem: null },
      figures: { epoch: 3, vdl: 2 ** 40, bytesUsed: 8192 },
    } as const
    for (const state of states) {
      for (const files of [FILES, served]) {
        const report = reportOf(state, files)
        assert.deepEqual(parseReport(JSON.stringify(report)), report)
      }
    }
  })

  it('names the engine for as long as it runs, also while its server is replaced', () => {
    assert.equal(reportOf({ name: 'replacing', enginePid: 7 }, FILES).enginePid, 7)
    assert.equal(reportOf({ name: 'recovering', reason: '' }, FILES).enginePid, null)
  })

  it('is taken from an instance of an earlier version, and from nobody else', () => {
    const report = parseReport('{"state":"available","storage":"ok","enginePid":7}')
    assert.deepEqual([report?.enginePid, report?.serverPid, report?.replacements], [7, null, NO_REPLACEMENTS])
    for (const line of ['', 'null', '[]', '{}', '{"state":"asleep"}', 'Error: {'])
      assert.equal(parseReport(line), undefined)
  })
})

describe('what a server leaves for the next one', () => {
  it('is refused in a format that this one does not know', () => {
    const left = { format: 1, openOrphans: [], scratch: { slots: 0, entries: 0 } }
    assert.deepEqual(parseFilesLeft(left), left)
    for (const unknown of [{ ...left, format: 2 }, {}, null, 'left']) {
      assert.throws(() => parseFilesLeft(unknown), /has format/)
    }
  })
})
