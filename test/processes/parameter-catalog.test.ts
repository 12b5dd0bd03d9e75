import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parameterDefinitions } from '../../src/cluster/parameter-definitions.ts'
import { effectiveParameters, valueProblem } from '../../src/cluster/parameter-values.ts'
import { engineParameters } from '../../src/engine/postgres/parameter-catalog.ts'
import { installed } from '../postgres-instance.ts'

describe('parameters as the engine itself tells them', async () => {
  const definitions = parameterDefinitions(17, await engineParameters(await installed('17')))
  const definition = (name: string) => definitions.get(name) ?? assert.fail(`${name} is not defined`)

  it('are all there, with their types and ranges', () => {
    assert.ok(definitions.size > 370, `${definitions.size}`)
    assert.equal(definition('shared_buffers').allowedValues, '16-1073741823')
    assert.equal(definition('shared_buffers').applyType, 'static')
    assert.equal(definition('log_statement').allowedValues, 'none,ddl,mod,all')
    assert.match(definition('datestyle').description, /display format/)
  })

  it('have defaults that they would take', () => {
    const refused = [...definitions.values()].flatMap(({ name, defaultValue, fixed, ...rest }) => {
      // What stands for "whatever the system has" is no value of its own.
      if (fixed !== null || defaultValue === null || definition(name).dataType === 'string') return []
      const problem = valueProblem({ name, defaultValue, fixed, ...rest }, defaultValue)
      return problem === undefined ? [] : [`${name} = ${defaultValue}: ${problem}`]
    })
    assert.deepEqual(refused, [])
  })

  it('come to nothing more than what was set, and what all instances must have', () => {
    const capacity = { DBInstanceClassMemory: 2 ** 30, DBInstanceVCPU: 2, EndPointPort: 5432, largestMemory: 2 ** 30 }
    const { parameters } = effectiveParameters(definitions, new Map([['work_mem', '8192']]), new Map(), capacity)
    assert.deepEqual(parameters, { work_mem: '8192', max_connections: '112' })
  })
})
