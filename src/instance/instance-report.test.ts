import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NO_FIGURES } from './engine-watch.ts'
import { type InstanceStatus, NO_REPLACEMENTS, parseReport, reportOf } from './instance-report.ts'
import type { InstanceState } from './instance-state.ts'
import { OPENING } from './server-report.ts'
import { parseFilesLeft } from './volume-files.ts'

const BEGINNING: InstanceStatus = {
  settings: { name: 'demo-1', run: 3, role: 'reader' },
  server: OPENING,
  serverPid: null,
  replacements: NO_REPLACEMENTS,
  engine: NO_FIGURES,
  primary: null,
  answeredMsAgo: null,
  rebuild: null,
  requests: [],
}

describe('what an instance tells its parent', () => {
  it('is understood as it was meant, in every state', () => {
    const states: InstanceState[] = [
      { name: 'opening' },
      { name: 'available', enginePid: 7 },
      { name: 'replacing', enginePid: 7 },
      { name: 'recovering', reason: 'a "crash"\nof two lines' },
      { name: 'fenced' },
    ]
    const served: InstanceStatus = {
      ...BEGINNING,
      server: {
        storage: 'waiting',
        figures: { epoch: 3, vdl: 2 ** 40, bytesUsed: 8192 },
        overlayBytes: 16_384,
        rebuild: 'there is no room',
        oldestWal: null,
      },
      serverPid: 8,
      replacements: { count: 2, pauseMs: 150.5, problem: null },
      engine: {
        walLsn: '0/15D68C50',
        walFile: '0000000000000015',
        timeline: 2,
        connections: 5,
        streaming: true,
        lagMs: 1.5,
      },
      primary: { host: '127.20.0.3', port: 5432 },
      answeredMsAgo: 12,
      requests: [{ id: 'x', untilMs: 2 ** 40, fault: { kind: 'disk-failure', percent: 1, index: 2, seconds: 3 } }],
    }
    for (const state of states) {
      for (const status of [BEGINNING, served]) {
        const report = reportOf(state, status)
        assert.deepEqual(parseReport(JSON.stringify(report)), report)
      }
    }
  })

  it('names the engine for as long as it runs, also while its server is replaced', () => {
    assert.equal(reportOf({ name: 'replacing', enginePid: 7 }, BEGINNING).enginePid, 7)
    assert.equal(reportOf({ name: 'recovering', reason: '' }, BEGINNING).enginePid, null)
  })

  it('says why a reader wants to be started anew, whoever has noticed', () => {
    const server = { ...OPENING, rebuild: 'no room' }
    const state = { name: 'available', enginePid: 7 } as const
    assert.equal(reportOf(state, { ...BEGINNING, server }).rebuild, 'no room')
    assert.equal(reportOf(state, { ...BEGINNING, server, rebuild: 'no WAL' }).rebuild, 'no WAL')
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
