import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { linesSince, tellingLine } from './log.ts'

const AT = '2026-11-20 10:00:00.000 UTC'
const own = (text: string): string => `${AT}::@:[12]:00000:${text}`
const session = (text: string): string => `${AT}:127.0.0.1(40000):app@shop:[13]:28P01:${text}`

describe('why an engine ended', () => {
  it('a panic says more than what came of it', () => {
    const lines = [
      own('PANIC:  could not fsync file "global/pg_control"'),
      own('LOG:  server process (PID 9) was terminated by signal 6: Aborted'),
      own('FATAL:  the end'),
    ]
    assert.equal(tellingLine(lines), 'could not fsync file "global/pg_control"')
    assert.equal(tellingLine(lines.slice(1)), 'server process (PID 9) was terminated by signal 6: Aborted')
    assert.equal(tellingLine(lines.slice(2)), 'the end')
  })

  it("a session's own trouble is none of the engine's", () => {
    assert.equal(tellingLine([session('FATAL:  password authentication failed for user "app"')]), undefined)
  })

  it('is told since its start only', () => {
    const lines = [
      '2026-11-20 09:59:59.999 UTC::@:[1]:LOG:  old',
      '\tdetail of the old',
      own('LOG:  new'),
      '\tits detail',
    ]
    assert.deepEqual(linesSince(lines, Date.UTC(2026, 10, 20, 10)), lines.slice(2))
    assert.deepEqual(linesSince(lines, Date.UTC(2026, 10, 20, 11)), [])
  })
})
