import assert from 'node:assert/strict'
import { it } from 'node:test'
import { isInWindow } from './maintenance-window.ts'

it('a maintenance window is open from its first minute to its last, once a week, also over midnight and the week’s end', () => {
  const cases: [string, string, boolean][] = [
    ['fri:10:00-fri:10:30', '2026-11-20T10:00:00Z', true],
    ['fri:10:00-fri:10:30', '2026-11-20T10:29:59Z', true],
    ['fri:10:00-fri:10:30', '2026-11-20T10:30:00Z', false],
    ['fri:10:00-fri:10:30', '2026-11-19T10:10:00Z', false],
    ['Fri:23:45-Sat:00:15', '2026-11-21T00:14:00Z', true],
    ['sat:23:45-sun:00:15', '2026-11-22T00:10:00Z', true],
    ['sat:23:45-sun:00:15', '2026-11-21T23:44:00Z', false],
    ['whenever', '2026-11-20T10:00:00Z', false],
  ]
  for (const [window, now, is] of cases) assert.equal(isInWindow(window, new Date(now)), is, `${window} at ${now}`)
})
