import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EngineParameter } from '../engine/postgres/parameter-catalog.ts'
import { parameterDefinitions } from './parameter-definitions.ts'
import { effectiveParameters, valueProblem } from './parameter-values.ts'

const parameter = (name: string, rest: Partial<EngineParameter>): EngineParameter => ({
  name,
  description: '',
  type: 'integer',
  unit: null,
  context: 'user',
  least: null,
  most: null,
  choices: null,
  defaultValue: null,
  ...rest,
})

const definitions = parameterDefinitions(17, [
  parameter('work_mem', { unit: 'kB', least: '64', most: '2147483647', defaultValue: '4096' }),
  parameter('max_connections', { context: 'postmaster', least: '1', most: '262143', defaultValue: '100' }),
  parameter('checkpoint_timeout', { unit: 's', context: 'sighup', least: '30', most: '86400', defaultValue: '300' }),
  parameter('fsync', { type: 'bool', context: 'sighup', defaultValue: 'on' }),
  parameter('block_size', { context: 'internal', defaultValue: '8192' }),
  parameter('DateStyle', { type: 'string', defaultValue: 'ISO, MDY' }),
  parameter('log_statement', { type: 'enum', choices: ['none', 'ddl', 'mod', 'all'], defaultValue: 'none' }),
  parameter('wal_level', { type: 'enum', context: 'postmaster', choices: ['minimal', 'replica', 'logical'] }),
  parameter('random_page_cost', { type: 'real', least: '0', most: '1.79769e+308', defaultValue: '4' }),
])
const definition = (name: string) => definitions.get(name) ?? assert.fail(`${name} is not defined`)

describe('definitions of parameters', () => {
  it('show what instances here start with, in the unit of the parameter', () => {
    assert.deepEqual(
      [definition('checkpoint_timeout').defaultValue, definition('checkpoint_timeout').source],
      ['60', 'system'],
    )
    assert.deepEqual([definition('work_mem').defaultValue, definition('work_mem').source], ['4096', 'engine-default'])
    assert.match(definition('max_connections').defaultValue ?? '', /DBInstanceClassMemory\/9531392/)
  })
  it('say when a change takes effect', () => {
    assert.equal(definition('max_connections').applyType, 'static')
    assert.equal(definition('work_mem').applyType, 'dynamic')
  })
  it('have lower-case names', () => assert.equal(definition('datestyle').dataType, 'string'))
  it('have what Aurora adds', () => assert.equal(definition('rds.force_ssl').defaultValue, '1'))
})

describe('values of parameters', () => {
  for (const [name, value] of [
    ['work_mem', '64'],
    ['work_mem', '{DBInstanceClassMemory/4096}'],
    ['random_page_cost', '1.1'],
    ['log_statement', 'ddl'],
    ['datestyle', 'ISO, DMY'],
  ] as const) {
    it(`${name} may be ${value}`, () => assert.equal(valueProblem(definition(name), value), undefined))
  }
  for (const [name, value, why] of [
    ['work_mem', '63', /allowed are 64-2147483647/],
    ['work_mem', '4MB', /number of type integer/],
    ['work_mem', '1.5', /number of type integer/],
    ['work_mem', '{nothing}', /no formula/],
    ['log_statement', 'some', /none,ddl,mod,all/],
    ['rds.force_ssl', '0', /always over TLS/],
    ['rds.logical_replication', 'on', /0,1/],
    ['fsync', '0', /acknowledged before the volume has them/],
    ['block_size', '4096', /fixed/],
    ['wal_level', 'logical', /rds\.logical_replication/],
    ['datestyle', 'ISO\nfsync=off', /one line/],
  ] as const) {
    it(`${name} must not be ${value.replace('\n', ' ')}`, () =>
      assert.match(valueProblem(definition(name), value) ?? '', why))
  }
})

describe('what an engine runs with', () => {
  const capacity = { DBInstanceClassMemory: 2 ** 30, DBInstanceVCPU: 2, EndPointPort: 5432, largestMemory: 2 ** 34 }
  const effective = (cluster: [string, string][], instance: [string, string][] = []) =>
    effectiveParameters(definitions, new Map(cluster), new Map(instance), capacity)

  it("an instance's group wins over its cluster's", () => {
    assert.equal(effective([['work_mem', '64']], [['work_mem', '128']]).parameters.work_mem, '128')
  })
  it('but not where all instances have the same', () => {
    const { parameters } = effective([['max_connections', '100']], [['max_connections', '7']])
    assert.equal(parameters.max_connections, '100')
  })
  it('formulas are of the instance, but of the largest one for what readers must have too', () => {
    const { parameters } = effective([['work_mem', '{DBInstanceClassMemory/1048576}']])
    assert.equal(parameters.work_mem, '1024')
    assert.equal(parameters.max_connections, '1802')
  })
  it('a formula whose value is out of range gives the nearest in it', () => {
    assert.equal(effective([['work_mem', '{DBInstanceVCPU*1}']]).parameters.work_mem, '64')
  })
  it("Aurora's own become the engine's", () => {
    assert.equal(effective([['rds.logical_replication', '1']]).parameters.wal_level, 'logical')
    assert.equal('rds.logical_replication' in effective([['rds.logical_replication', '1']]).parameters, false)
  })
})
