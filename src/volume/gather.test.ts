import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VolumeError } from '../protocol/errors.ts'
import { gather } from './gather.ts'

/** Questions whose answers come when the test says so. */
function questions() {
  const open = new Map<string, { resolve: (value: number) => void; reject: (error: unknown) => void }>()
  const ask = (key: string): Promise<number> => new Promise((resolve, reject) => open.set(key, { resolve, reject }))
  return { ask, open }
}

const KEYS = ['a', 'b', 'c']
const lost = (): VolumeError => new VolumeError('Unreachable', 'lost')

describe('asking several at once', () => {
  it('ends as soon as enough have answered, and takes no notice of what comes later', async () => {
    const { ask, open } = questions()
    const seen: string[][] = []
    const gathering = gather(KEYS, ask, (answers) => {
      seen.push([...answers.keys()])
      return answers.size >= 2
    })
    assert.deepEqual([...open.keys()], KEYS, 'all are asked at once')
    open.get('c')?.resolve(3)
    open.get('a')?.resolve(1)
    const { answers, errors } = await gathering
    open.get('b')?.resolve(2)
    await Promise.resolve()
    assert.deepEqual(
      [[...answers], errors],
      [
        [
          ['c', 3],
          ['a', 1],
        ],
        [],
      ],
    )
    assert.deepEqual(seen.slice(0, 2), [['c'], ['c', 'a']])
  })

  it('ends when all have, though it is not enough, and says what went wrong', async () => {
    const { ask, open } = questions()
    const gathering = gather(KEYS, ask, () => false)
    open.get('a')?.reject(lost())
    open.get('b')?.resolve(2)
    open.get('c')?.reject(lost())
    const { answers, errors } = await gathering
    assert.deepEqual([...answers], [['b', 2]])
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['Unreachable', 'Unreachable'],
    )
  })

  it('of nobody ends at once', async () => {
    const { answers, errors } = await gather([], questions().ask, () => false)
    assert.deepEqual([answers.size, errors.length], [0, 0])
  })

  it('fails when something else goes wrong than an operation', async () => {
    const { ask, open } = questions()
    const gathering = gather(KEYS, ask, () => false)
    open.get('a')?.reject(new TypeError('a mistake'))
    await assert.rejects(gathering, TypeError)
  })
})
