import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { startApi, type TestApi } from '../../../test/api-server.ts'
import { send } from '../../../test/signed-request.ts'
import { parseForm } from './form.ts'
import { parseInput } from './parse.ts'
import { escapeXml } from './serialize.ts'
import { OPERATION_SHAPES } from './shapes.ts'

const inputOf = (operation: string, form: string) => {
  const shape = OPERATION_SHAPES.get(operation) ?? assert.fail(`there is no ${operation}`)
  return parseInput(shape.input, parseForm(form))
}

describe('requests of the query protocol', () => {
  it('have lists under the names of their items, or any other, or none', () => {
    for (const name of ['Filters.Filter', 'Filters.member', 'Filters']) {
      const form = `${name}.1.Name=engine&${name}.1.Values.Value.2=b&${name}.1.Values.Value.1=a`
      assert.deepEqual(inputOf('DescribeDBClusters', form), { Filters: [{ Name: 'engine', Values: ['a', 'b'] }] })
    }
  })

  it('have lists with gaps, in the order of their numbers', () => {
    const form =
      'DBClusterIdentifier=a&Engine=b&AvailabilityZones.AvailabilityZone.10=z&AvailabilityZones.AvailabilityZone.9=y'
    assert.deepEqual(inputOf('CreateDBCluster', form).AvailabilityZones, ['y', 'z'])
  })

  it('have empty lists', () => {
    const { StaticMembers } = inputOf('ModifyDBClusterEndpoint', 'DBClusterEndpointIdentifier=a&StaticMembers=')
    assert.deepEqual(StaticMembers, [])
  })

  it('have numbers, booleans and times', () => {
    const form = 'DBClusterIdentifier=a&Engine=b&Port=5433&DeletionProtection=TRUE&BacktrackWindow=0'
    const { Port, DeletionProtection, BacktrackWindow } = inputOf('CreateDBCluster', form)
    assert.deepEqual([Port, DeletionProtection, BacktrackWindow], [5433, true, 0])
    const { StartTime } = inputOf('DescribeEvents', 'StartTime=2026-01-31T12%3A00%3A00Z')
    assert.deepEqual(StartTime, new Date('2026-01-31T12:00:00Z'))
  })

  it('may say more than is known', () => {
    assert.deepEqual(inputOf('DescribeDBClusters', 'Whatever.member.1=x&MaxRecords=20'), { MaxRecords: 20 })
  })

  for (const [operation, form, code, message] of [
    ['CreateDBCluster', 'Engine=x', 'MissingParameter', /must contain the parameter DBClusterIdentifier\./],
    ['DescribeDBClusters', 'Filters.Filter.1.Name=x', 'MissingParameter', /Filters\.Filter\.1\.Values/],
    ['DescribeDBClusters', 'MaxRecords=many', 'MalformedInput', /'many' for MaxRecords/],
    ['DescribeDBClusters', 'MaxRecords.1=1', 'MalformedInput', /MaxRecords has parts/],
    ['DescribeDBClusters', 'Filters=x', 'MalformedInput', /Filters has parts/],
    ['DescribeDBClusters', 'IncludeShared=maybe', 'MalformedInput', /'maybe' for IncludeShared/],
    ['DescribeDBClusters', 'Marker=a&Marker=b', 'MalformedInput', /Duplicate parameter: Marker/],
    ['DescribeDBClusters', 'Marker=a%00b', 'InvalidParameterValue', /NUL/],
    ['DescribeEvents', 'StartTime=yesterday', 'MalformedInput', /ISO 8601/],
  ] as const) {
    it(`${operation} with ${form} is refused`, () => assert.throws(() => inputOf(operation, form), { code, message }))
  }
})

describe('answers', () => {
  it('are XML, whatever a text holds', () => {
    assert.equal(escapeXml('a<b>&"\r\u0000\uD800é'), 'a&lt;b&gt;&amp;&quot;&#xD;\u{FFFD}\u{FFFD}é')
  })
})

describe('whatever is sent, the caller is told what is wrong', () => {
  let api: TestApi
  before(async () => {
    api = await startApi()
  })
  after(() => api[Symbol.asyncDispose]())

  it('operations that there are not', async () => {
    const { status, code, message } = await send(api, 'Action=DescribeNothing&Version=2014-10-31')
    assert.deepEqual([status, code], [400, 'InvalidAction'])
    assert.equal(message, 'Could not find operation DescribeNothing for version 2014-10-31')
    assert.equal((await send(api, 'Action=DescribeDBClusters&Version=2013-01-01')).code, 'InvalidAction')
    assert.equal((await send(api, 'Version=2014-10-31')).code, 'MissingAction')
  })

  it('operations of AWS that this region does not have', async () => {
    const { status, code, message } = await send(
      api,
      'Action=CreateBlueGreenDeployment&BlueGreenDeploymentName=a&Source=b',
    )
    assert.deepEqual([status, code], [400, 'InvalidAction'])
    assert.match(message ?? '', /CreateBlueGreenDeployment is not supported in this region/)
  })

  it('a body that is too large', async () => {
    const { status, code } = await send(api, `Action=DescribeDBClusters&Marker=${'x'.repeat(2 << 20)}`)
    assert.deepEqual([status, code], [413, 'RequestEntityTooLarge'])
  })

  it('anything at all: no crash, no error of ours, and nothing changed', async () => {
    const names = [...OPERATION_SHAPES.keys()]
    const part = fc.oneof(
      fc.constantFrom(
        'Filters',
        'Filter',
        'Name',
        'Values',
        'Value',
        'member',
        '1',
        '0',
        '-1',
        'Parameters',
        'Tags',
        '',
      ),
      fc.constantFrom('DBClusterIdentifier', 'DBInstanceIdentifier', 'Engine', 'MaxRecords', 'Marker', '__proto__'),
      fc.string({ maxLength: 12 }),
    )
    const parameter = fc.tuple(
      fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.')),
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 20 }),
        fc.constantFrom('', '1', '-1', 'true', 'aurora-postgresql'),
      ),
    )
    const request = fc.tuple(fc.constantFrom(...names), fc.array(parameter, { maxLength: 8 }))
    await fc.assert(
      fc.asyncProperty(request, async ([action, parameters]) => {
        const form = new URLSearchParams([
          ['Action', action],
          ...parameters.map(([name, value]) => [name, value.toWellFormed()]),
        ] as string[][])
        const { status, text } = await send(api, form.toString())
        assert.ok(status < 500, text)
        assert.ok(status === 200 || /<Code>\w+<\/Code>/.test(text), text)
      }),
      { numRuns: 300 },
    )
    assert.deepEqual(api.log, [])
    assert.deepEqual([api.plane.clusters(), api.plane.instances()], [[], []])
  })

  it('bytes that are no form', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const { status } = await send(api, bytes)
        assert.ok(status >= 400 && status < 500)
      }),
      { numRuns: 50 },
    )
    assert.deepEqual(api.log, [])
  })
})
