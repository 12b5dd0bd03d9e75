import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { endWithUs } from '../../../test/child-processes.ts'
import { ProcessList } from './process-list.ts'

const folder = mkdtempSync(join(tmpdir(), 'borealis-list-'))
const path = join(folder, 'state.json')
const child = endWithUs(spawn('sleep', ['60']))
after(() => {
  child.kill()
  rmSync(folder, { recursive: true })
})
const written = (): string[] => ProcessList.read(path).map(({ kind, name }) => `${kind} ${name}`)

describe('the list of processes', () => {
  it('is empty before there is one', () => assert.deepEqual(ProcessList.read(path), []))

  it('keeps what was left running until that is ended, also for whoever comes after one that was killed early', () => {
    const first = new ProcessList(path)
    for (const name of ['demo-1', 'demo-2']) first.add('instance', name, child.pid ?? 0, [])
    // The second adopts one of them, and is killed.
    new ProcessList(path).add('instance', 'demo-1', child.pid ?? 0, [])
    assert.deepEqual(written(), ['instance demo-1', 'instance demo-2'])
    new ProcessList(path).remove('instance', 'demo-2')
    assert.deepEqual(written(), ['instance demo-1'])
  })

  it('knows a process by more than its number, and forgets those that have ended', async () => {
    const [entry] = ProcessList.read(path)
    assert(entry !== undefined && entry.started !== '')
    child.kill()
    await once(child, 'exit')
    new ProcessList(path).add('zone', 'a', process.pid, [1, 2])
    assert.deepEqual(written(), ['zone a'])
  })
})
