import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { VolumeError } from '../protocol/errors.ts'
import { volumeId } from '../protocol/lsn.ts'
import { encodeFailure, encodeResult, readCall } from '../protocol/message.ts'
import { PeerCalls } from './peer-calls.ts'

function setUp() {
  const time = { ms: 0 }
  const sent: { readonly address: string; readonly request: number; readonly method: string }[] = []
  const peers = new PeerCalls(
    (address, parts) => {
      const { request, method } = readCall(Uint8Array.from(Buffer.concat(parts)).subarray(1))
      sent.push({ address, request, method })
    },
    () => time.ms,
  )
  const call = (address: string): string[] => {
    const answers: string[] = []
    peers.call(address, 'head', { volume: volumeId(1) }, (answer) =>
      answers.push('error' in answer ? answer.error.code : `${answer.value.vdl} ${answer.attachment.length}`),
    )
    return answers
  }
  const answer = (parts: Uint8Array[]): void => peers.answered(Uint8Array.from(Buffer.concat(parts)).subarray(1))
  return { time, sent, peers, call, answer }
}

describe('a call to a peer', () => {
  it('is answered with what the peer said, in any order', () => {
    const { sent, call, answer } = setUp()
    const [first, second, third] = [call('a'), call('b'), call('a')]
    assert.deepEqual(
      sent.map(({ address, method }) => [address, method]),
      [
        ['a', 'head'],
        ['b', 'head'],
        ['a', 'head'],
      ],
    )
    assert.equal(new Set(sent.map(({ request }) => request)).size, 3)
    answer(encodeResult(sent[2]?.request ?? 0, { vdl: 3 }, new Uint8Array(5)))
    answer(encodeFailure(sent[0]?.request ?? 0, new VolumeError('UnknownSegment', 'none')))
    answer(encodeResult(sent[1]?.request ?? 0, { vdl: 2 }))
    assert.deepEqual([first, second, third], [['UnknownSegment'], ['2 0'], ['3 5']])
  })

  it('is answered once', () => {
    const { time, sent, peers, call, answer } = setUp()
    const first = call('a')
    const request = sent[0]?.request ?? 0
    time.ms = 499
    peers.expire()
    assert.deepEqual(first, [])
    time.ms = 500
    peers.expire()
    peers.expire()
    answer(encodeResult(request, { vdl: 1 }))
    assert.deepEqual(first, ['TimedOut'])
    const second = call('a')
    answer(encodeResult(sent[1]?.request ?? 0, { vdl: 2 }))
    answer(encodeResult(sent[1]?.request ?? 0, { vdl: 2 }))
    time.ms = 5_000
    peers.expire()
    assert.deepEqual(second, ['2 0'])
  })

  it('may be made from within an answer', () => {
    const { time, sent, peers, answer } = setUp()
    const answers: string[] = []
    peers.call('a', 'status', {}, () => {
      peers.call('b', 'status', {}, (next) => answers.push('error' in next ? next.error.code : 'answered'))
    })
    time.ms = 500
    peers.expire()
    assert.deepEqual([sent.map(({ address }) => address), answers], [['a', 'b'], []])
    answer(encodeResult(sent[1]?.request ?? 0, {}))
    assert.deepEqual(answers, ['answered'])
  })

  it('takes nothing that it did not ask for', () => {
    const { call, answer } = setUp()
    const answers = call('a')
    answer(encodeResult(999, { vdl: 1 }))
    assert.throws(() => answer([new Uint8Array(5)]), { code: 'BadRequest' })
    assert.deepEqual(answers, [])
  })
})
