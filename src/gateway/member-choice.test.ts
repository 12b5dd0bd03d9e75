import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { chooseMember } from './member-choice.ts'

interface Member {
  readonly name: string
  connections: number
  failedMs: number
  chosen: number
}

const member = (name: string, more: Partial<Member> = {}): Member => ({
  name,
  connections: 0,
  failedMs: Number.NEGATIVE_INFINITY,
  chosen: 0,
  ...more,
})
const NONE: ReadonlySet<Member> = new Set()
const nameOf = (chosen: Member | undefined): string | undefined => chosen?.name

describe('the next connection', () => {
  it('goes to the member with the fewest', () => {
    const members = [member('a', { connections: 3 }), member('b', { connections: 1 }), member('c', { connections: 2 })]
    assert.equal(nameOf(chooseMember(members, NONE, 0)), 'b')
  })

  it('goes round where none is left when the next one comes', () => {
    const members = [member('a'), member('b'), member('c')]
    const names = Array.from({ length: 6 }, (_, i) => {
      const chosen = chooseMember(members, NONE, 0)
      if (chosen !== undefined) chosen.chosen = i + 1
      return nameOf(chosen)
    })
    assert.deepEqual(names, ['a', 'b', 'c', 'a', 'b', 'c'])
  })

  it('goes to one that has just failed only when there is no other, and after a second as if nothing had been', () => {
    const members = [member('a', { failedMs: 5000 }), member('b', { connections: 9 })]
    assert.equal(nameOf(chooseMember(members, NONE, 5999)), 'b')
    assert.equal(nameOf(chooseMember(members, NONE, 6000)), 'a')
    assert.equal(nameOf(chooseMember(members.slice(0, 1), NONE, 5001)), 'a')
  })

  it('goes to each once, and then to nobody', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ connections: fc.nat(9), failedMs: fc.nat(3000), chosen: fc.nat(9) }), { maxLength: 16 }),
        fc.nat(3000),
        (states, nowMs) => {
          const members = states.map((state, i) => member(`${i}`, state))
          const tried = new Set<Member>()
          for (let next = chooseMember(members, tried, nowMs); next; next = chooseMember(members, tried, nowMs)) {
            assert.ok(!tried.has(next))
            tried.add(next)
          }
          assert.equal(tried.size, members.length)
        },
      ),
    )
  })

  it('keeps members level while connections come, and levels them after some have ended', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 15 }), (connections) => {
        const members = connections.map((count, i) => member(`${i}`, { connections: count }))
        const most = Math.max(...connections)
        const missing = connections.reduce((sum, count) => sum + most - count, 0)
        for (let i = 0; i < missing + 2 * members.length; i++) {
          const chosen = chooseMember(members, NONE, 0)
          if (chosen !== undefined) chosen.connections++
        }
        for (const each of members) assert.equal(each.connections, most + 2)
      }),
    )
  })
})
