import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { moveIntoPlace, temporaryBeside } from './binaries.ts'

describe('a folder that is made to its end before it is there', () => {
  it('lies where a link leads, by its own path: npm would not find its files behind the link', async () => {
    const root = mkdtempSync(join(tmpdir(), 'borealis-engines-'))
    try {
      mkdirSync(join(root, 'kept'))
      symlinkSync(join(root, 'kept'), join(root, 'engines'))
      const temporary = await temporaryBeside(join(root, 'engines', 'postgres'))
      assert.equal(dirname(temporary), join(root, 'kept'))
      writeFileSync(join(temporary, 'file'), '')
      await moveIntoPlace(temporary, join(root, 'engines', 'postgres'))
      assert.throws(() => mkdirSync(join(root, 'kept', 'postgres')), { code: 'EEXIST' })
    } finally {
      rmSync(root, { recursive: true })
    }
  })
})
