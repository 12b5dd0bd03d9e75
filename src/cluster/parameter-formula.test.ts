import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { evaluateFormula, isFormula } from './parameter-formula.ts'

const GIB = 2 ** 30
const variables = { DBInstanceClassMemory: 16 * GIB, DBInstanceVCPU: 2, EndPointPort: 5432 }

describe('formulas of parameters', () => {
  for (const [text, value] of [
    ['{DBInstanceClassMemory/9531392}', 1802],
    ['LEAST({DBInstanceClassMemory/9531392},5000)', 1802],
    ['LEAST({DBInstanceClassMemory/9531392},500)', 500],
    ['GREATEST({DBInstanceVCPU*4}, 6)', 8],
    ['SUM({DBInstanceVCPU},1,2)', 5],
    ['{DBInstanceClassMemory*3/4}', 12 * GIB],
    ['{DBInstanceVCPU-1+2*3}', 7],
    ['{(DBInstanceVCPU+1)*2}', 6],
  ] as const) {
    it(`${text} is ${value}`, () => assert.equal(evaluateFormula(text, variables), value))
  }

  for (const text of [
    '{DBInstanceClassMemory',
    '{Memory/2}',
    'LEAST()',
    '{1/0}',
    '{1 2}',
    'toString({1})',
    '{1;2}',
    '',
  ]) {
    it(`"${text}" is refused`, () => assert.throws(() => evaluateFormula(text, variables), SyntaxError))
  }

  it('plain values are none', () => {
    assert.equal(isFormula('100'), false)
    assert.equal(isFormula('{DBInstanceVCPU}'), true)
  })
})
