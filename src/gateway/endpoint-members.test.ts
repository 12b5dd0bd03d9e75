import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type CustomMembership, customMembers, type EndpointInstance, readerMembers } from './endpoint-members.ts'

const instance = (name: string, role: EndpointInstance['role'], available = true): EndpointInstance => ({
  name,
  role,
  available,
})
const [WRITER, ONE, TWO] = [instance('w', 'writer'), instance('r1', 'reader'), instance('r2', 'reader')]
const ALL = [WRITER, ONE, TWO]

const custom = (type: CustomMembership['type'], lists: Partial<CustomMembership> = {}): CustomMembership => ({
  type,
  staticMembers: [],
  excludedMembers: [],
  ...lists,
})

/** A cluster has one writer at most, and names are its instances' own. */
const clusters = fc
  .uniqueArray(fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), available: fc.boolean() }), {
    selector: ({ name }) => name,
  })
  .chain((instances) =>
    fc
      .nat(6)
      .map((writer) =>
        instances.map((each, i): EndpointInstance => ({ ...each, role: i === writer ? 'writer' : 'reader' })),
      ),
  )
const lists = fc.subarray(['a', 'b', 'c', 'x'])
const types = fc.constantFrom<CustomMembership['type'][]>('READER', 'WRITER', 'ANY')

describe('the reader endpoint', () => {
  it('leads to the readers that are available', () => {
    assert.deepEqual(readerMembers(ALL), [ONE, TWO])
    assert.deepEqual(readerMembers([WRITER, instance('r1', 'reader', false), TWO]), [TWO])
  })

  it('leads to the writer while there is no reader, and though that is not available', () => {
    assert.deepEqual(readerMembers([WRITER]), [WRITER])
    assert.deepEqual(readerMembers([WRITER, instance('r1', 'reader', false)]), [WRITER])
    const dead = instance('w', 'writer', false)
    assert.deepEqual(readerMembers([dead]), [dead])
  })

  it('never mixes the two, and leads nowhere only where there is no writer', () => {
    fc.assert(
      fc.property(clusters, (instances) => {
        const members = readerMembers(instances)
        const isReader = ({ role, available }: EndpointInstance) => role === 'reader' && available
        assert.ok(
          members.every(isReader) || (members.every(({ role }) => role === 'writer') && !instances.some(isReader)),
        )
        if (instances.some(({ role }) => role === 'writer')) assert.notEqual(members.length, 0)
        if (instances.some(isReader)) assert.deepEqual(members, instances.filter(isReader))
      }),
    )
  })
})

describe('a custom endpoint', () => {
  it('without lists leads to all of its type', () => {
    assert.deepEqual(customMembers(custom('ANY'), ALL), ALL)
    assert.deepEqual(customMembers(custom('READER'), ALL), [ONE, TWO])
    assert.deepEqual(customMembers(custom('WRITER'), ALL), [WRITER])
  })

  it('with static members leads to those, and not to instances that come later', () => {
    assert.deepEqual(customMembers(custom('ANY', { staticMembers: ['w', 'r2'] }), ALL), [WRITER, TWO])
    const later = [...ALL, instance('r3', 'reader')]
    assert.deepEqual(customMembers(custom('ANY', { staticMembers: ['w', 'r2'] }), later), [WRITER, TWO])
  })

  it('with excluded members leads to all others, and to instances that come later', () => {
    const endpoint = custom('READER', { excludedMembers: ['r1'] })
    assert.deepEqual(customMembers(endpoint, ALL), [TWO])
    const three = instance('r3', 'reader')
    assert.deepEqual(customMembers(endpoint, [...ALL, three]), [TWO, three])
  })

  it('of readers leaves out one that was promoted, and has it again when it is a reader again', () => {
    const endpoint = custom('READER', { staticMembers: ['w', 'r1'] })
    const failedOver = [instance('w', 'reader'), instance('r1', 'writer'), TWO]
    assert.deepEqual(
      [ALL, failedOver, ALL].map((instances) => customMembers(endpoint, instances).map(({ name }) => name)),
      [['r1'], ['w'], ['r1']],
    )
  })

  it('leads nowhere rather than to an instance that is not its', () => {
    assert.deepEqual(customMembers(custom('READER'), [WRITER]), [])
    assert.deepEqual(customMembers(custom('ANY', { staticMembers: ['gone'] }), ALL), [])
  })

  it('leads to an instance if that is available, has its role, and is in its list or in none', () => {
    fc.assert(
      fc.property(clusters, types, fc.boolean(), lists, (instances, type, isStatic, names) => {
        const endpoint = custom(type, isStatic ? { staticMembers: names } : { excludedMembers: names })
        const members = customMembers(endpoint, instances)
        for (const each of instances) {
          const isListed = names.includes(each.name)
          const belongs = isStatic && names.length > 0 ? isListed : isStatic || !isListed
          const hasRole = type === 'ANY' || (type === 'WRITER') === (each.role === 'writer')
          assert.equal(members.includes(each), belongs && hasRole && each.available)
        }
      }),
    )
  })
})
