import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { apiPage } from '../scripts/api-reference.ts'

it('docs/api.md has the operations that there are; scripts/api-reference.ts writes them', () => {
  const page = readFileSync(`${import.meta.dirname}/../docs/api.md`, 'utf8')
  assert.equal(page, apiPage(page))
})
