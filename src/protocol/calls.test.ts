import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { checkAnswer } from './call-values.ts'
import { type Calls, checkArgument, isMethod, type Method } from './calls.ts'
import { VolumeError } from './errors.ts'
import { lsn, volumeId } from './lsn.ts'

type Kind = 'number' | 'string' | 'boolean' | 'array' | 'object' | 'any'

/** What each method needs, spelled out here a second time: a member that is forgotten in one place is noticed. */
const NEEDS: { readonly [M in Method]: { readonly [K in keyof Calls[M]['argument']]: Kind } } = {
  fence: { volume: 'number', epoch: 'number' },
  seal: { state: 'object' },
  summaries: { volume: 'number', group: 'number', above: 'number' },
  configure: { state: 'object', config: 'object', incarnation: 'string', create: 'boolean', below: 'any' },
  pull: {
    volume: 'number',
    group: 'number',
    volumeEpoch: 'number',
    membershipEpoch: 'number',
    from: 'number',
    bytesMax: 'number',
  },
  layers: { volume: 'number', group: 'number', volumeEpoch: 'number', membershipEpoch: 'number', atLeast: 'number' },
  layerBytes: { volume: 'number', group: 'number', layer: 'number', offset: 'number', length: 'number' },
  verify: { volume: 'number', group: 'number', layer: 'number' },
  history: {
    volume: 'number',
    group: 'number',
    volumeEpoch: 'number',
    membershipEpoch: 'number',
    upTo: 'number',
    from: 'number',
    to: 'number',
    after: 'number',
    basis: 'string',
  },
  grant: { volume: 'number', cutoff: 'number', pins: 'array', grantVersion: 'number' },
  head: { volume: 'number' },
  lsnAt: { volume: 'number', wallClockMs: 'number' },
  digest: { volume: 'number', group: 'number', readPoint: 'number', block: 'number', count: 'number' },
  drop: { volume: 'number' },
  materialise: { volume: 'number', group: 'number' },
  status: {},
}

const METHODS = Object.keys(NEEDS) as Method[]
const GOOD: Record<Kind, unknown> = { number: 7, string: 's', boolean: true, array: [1], object: {}, any: null }
const BAD: Record<Kind, readonly unknown[]> = {
  number: [undefined, null, '7', -1, 0.5, Number.NaN, 2 ** 53, true, [7], {}],
  string: [undefined, null, 7, {}, ['s']],
  boolean: [undefined, null, 0, 'true'],
  array: [undefined, null, {}, 7, 'a'],
  object: [undefined, null, [], 7, 'o'],
  any: [],
}

const needsOf = (method: Method): [string, Kind][] => Object.entries(NEEDS[method]) as [string, Kind][]
const goodFor = (method: Method): Record<string, unknown> =>
  Object.fromEntries(needsOf(method).map(([name, kind]) => [name, GOOD[kind]]))

const badRequest = (error: unknown): boolean => error instanceof VolumeError && error.code === 'BadRequest'

describe('the argument of a call', () => {
  for (const method of METHODS) {
    it(`of ${method} is taken when it is whole, and refused by name when a member is of another kind`, () => {
      assert.ok(isMethod(method))
      const good = goodFor(method)
      assert.equal(checkArgument(method, good), good)
      for (const [name, kind] of needsOf(method)) {
        for (const value of BAD[kind]) {
          assert.throws(
            () => checkArgument(method, { ...good, [name]: value }),
            (error) => badRequest(error) && String((error as Error).message).includes(name),
            `${name} = ${JSON.stringify(value)}`,
          )
        }
        if (kind === 'any') continue
        const { [name]: _, ...without } = good
        assert.throws(() => checkArgument(method, without), badRequest, `without ${name}`)
      }
    })
  }

  it('is an object', () => {
    for (const method of METHODS) {
      for (const argument of [undefined, null, 5, 'x', true]) {
        assert.throws(() => checkArgument(method, argument), badRequest)
      }
    }
  })

  it('is taken or refused as BadRequest, whatever comes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...METHODS), fc.jsonValue(), (method, argument) => {
        try {
          checkArgument(method, argument)
        } catch (error) {
          assert.ok(badRequest(error))
        }
      }),
    )
  })
})

describe('a method', () => {
  it('is one of those there are, and nothing that every object has', () => {
    for (const name of ['', 'toString', 'constructor', '__proto__', 'hasOwnProperty', 'Fence', 'fence ']) {
      assert.equal(isMethod(name), false, name)
    }
  })
})

describe('what a peer answers about the history of blocks', () => {
  const answer = {
    grant: { cutoff: lsn(5), pins: [lsn(2)], grantVersion: 3 },
    collectedTo: lsn(4),
    below: { volume: volumeId(1), lsn: lsn(2) },
    next: 2 ** 32,
    damaged: false,
    after: lsn(0),
    basis: '4-0-7',
    crc: 0xffff_ffff,
  }

  it('is taken when it has all that it should have, and of the right kind', () => {
    assert.equal(checkAnswer('history', answer), answer)
    assert.ok(checkAnswer('history', { ...answer, below: null }))
    for (const name of Object.keys(answer)) {
      for (const value of [undefined, -1, 0.5, 'x', [], {}, name === 'below' ? 7 : null]) {
        if (name === 'basis' && value === 'x') continue
        assert.throws(() => checkAnswer('history', { ...answer, [name]: value }), badRequest, `${name} = ${value}`)
      }
    }
  })
})
