import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import { type EndpointType, endpointName, nameSpaceProblem } from './endpoint-name.ts'

const SPACE = { hash: 'k3j9x0q2m4zt', region: 'local-1', domain: 'rds.borealis.internal' }
const TYPES: readonly EndpointType[] = ['writer', 'reader', 'custom', 'instance']

const text = (chars: string, minLength: number, maxLength: number) =>
  fc.array(fc.constantFrom(...chars), { minLength, maxLength }).map((list) => list.join(''))
const ALPHANUMERIC = 'abcxyz0189'
const label = fc
  .tuple(text(ALPHANUMERIC, 1, 1), text(`${ALPHANUMERIC}-`, 0, 61), text(ALPHANUMERIC, 1, 1))
  .map((parts) => parts.join(''))
const space = fc
  .record({
    hash: text(ALPHANUMERIC, 1, 48),
    region: label,
    domain: fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.')),
  })
  .filter((each) => nameSpaceProblem(each) === undefined)

describe('names of endpoints', () => {
  it("have the shape of Aurora's", () => {
    assert.deepEqual(
      TYPES.map((type) => endpointName(type, 'demo', SPACE)),
      [
        'demo.cluster-k3j9x0q2m4zt.local-1.rds.borealis.internal',
        'demo.cluster-ro-k3j9x0q2m4zt.local-1.rds.borealis.internal',
        'demo.cluster-custom-k3j9x0q2m4zt.local-1.rds.borealis.internal',
        'demo.k3j9x0q2m4zt.local-1.rds.borealis.internal',
      ],
    )
  })

  it('are host names, in any space without a problem', () => {
    fc.assert(
      fc.property(space, fc.constantFrom(...TYPES), label, (where, type, name) => {
        const made = endpointName(type, name, where)
        assert.ok(made.length <= 253, made)
        for (const part of made.split('.')) assert.match(part, /^(?!-)[a-z0-9-]{1,63}(?<!-)$/)
        // What URLs take for a host name, and leave as it is.
        if (!made.includes('xn--')) assert.equal(domainToASCII(made), made)
      }),
    )
  })

  it('are different for different endpoints', () => {
    fc.assert(
      fc.property(
        space,
        fc.uniqueArray(fc.tuple(fc.constantFrom(...TYPES), label), { selector: String }),
        (where, list) => {
          const names = list.map(([type, name]) => endpointName(type, name, where))
          assert.equal(new Set(names).size, list.length)
        },
      ),
    )
  })

  it('are made of labels only', () => {
    for (const name of ['', 'a.b', '-a', 'a-', 'A', 'a_b', 'ä', 'a'.repeat(64)])
      assert.throws(() => endpointName('writer', name, SPACE), TypeError, name)
  })
})

describe('a space for names', () => {
  it('has a domain of labels', () => {
    for (const domain of ['a', 'rds.borealis.internal', '1.example', 'a-b.c'])
      assert.equal(nameSpaceProblem({ ...SPACE, domain }), undefined, domain)
    for (const domain of [
      '',
      '.',
      'a.',
      '.a',
      'a..b',
      'A.b',
      'a_b',
      'a b',
      'a\nb',
      'a.1',
      'a.0x1',
      '127.0.0.1',
      `${'a'.repeat(64)}.b`,
    ])
      assert.match(nameSpaceProblem({ ...SPACE, domain }) ?? '', /is no domain/, domain)
  })

  it('has room for the longest name, to the last character', () => {
    const domain = (chars: number) => `${'a.'.repeat(60)}${'a'.repeat(chars - 120)}`
    const chars = 253 - 'a'.repeat(63).length - '.cluster-custom-k3j9x0q2m4zt.local-1.'.length
    assert.equal(nameSpaceProblem({ ...SPACE, domain: domain(chars) }), undefined)
    assert.equal(endpointName('custom', 'a'.repeat(63), { ...SPACE, domain: domain(chars) }).length, 253)
    assert.match(nameSpaceProblem({ ...SPACE, domain: domain(chars + 1) }) ?? '', /too long a domain by 1 char/)
  })

  it('has a hash that no prefix can be part of', () => {
    for (const hash of ['', 'ro-a', 'a.b', 'A', 'a'.repeat(49)])
      assert.match(nameSpaceProblem({ ...SPACE, hash }) ?? '', /no hash/, hash)
    assert.match(nameSpaceProblem({ ...SPACE, region: 'a.b' }) ?? '', /no name of a region/)
  })
})
