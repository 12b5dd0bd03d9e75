import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ScriptedFabric } from '../../test/scripted-fabric.ts'
import { VolumeError } from '../protocol/errors.ts'
import { groupIndex, lsn, volumeId } from '../protocol/lsn.ts'
import {
  type Ack,
  encodeFailure,
  encodePage,
  encodeResult,
  MessageType,
  type Page,
  readCall,
  readRead,
} from '../protocol/message.ts'
import { NodeClient } from './node-client.ts'

const READ = {
  volume: volumeId(1),
  group: groupIndex(0),
  block: 3,
  volumeEpoch: 1,
  membershipEpoch: 1,
  readPoint: lsn(100),
  minScl: null,
}

function setUp() {
  const fabric = new ScriptedFabric()
  const time = { ms: 0 }
  const client = new NodeClient(fabric, { now: () => time.ms, wallClock: () => 0 })
  const read = (address: string): { readonly number: number; readonly outcomes: (Page | VolumeError)[] } => {
    const outcomes: (Page | VolumeError)[] = []
    return { number: client.read(address, READ, (outcome) => outcomes.push(outcome)), outcomes }
  }
  return { fabric, time, client, read }
}

const codes = (outcomes: readonly (Page | VolumeError)[]): string[] =>
  outcomes.map((outcome) => (outcome instanceof VolumeError ? outcome.code : 'page'))
const hasCode = (code: string) => (error: unknown) => error instanceof VolumeError && error.code === code
const page = (request: number, byte = 7) =>
  encodePage({ request, status: 'Ok', version: lsn(50), bytes: new Uint8Array(16).fill(byte) })

describe('a call', () => {
  it('ends with its answer, which is the caller’s own, or with the error that the node answered', async () => {
    const { fabric, client } = setUp()
    const good = client.call('a', 'head', { volume: volumeId(1) })
    const bad = client.call('b', 'head', { volume: volumeId(1) })
    const [first, second] = fabric.take().map(({ type, body }) => {
      assert.equal(type, MessageType.CALL)
      return readCall(body)
    })
    assert.deepEqual([first?.method, first?.argument], ['head', { volume: 1 }])
    const attachment = Uint8Array.of(1, 2, 3)
    fabric.arrive('b', encodeFailure(second?.request ?? 0, new VolumeError('UnknownSegment', 'none')))
    fabric.arrive('a', encodeResult(first?.request ?? 0, { vdl: 9 }, attachment))
    assert.deepEqual(await good, { value: { vdl: 9 }, attachment })
    await assert.rejects(bad, hasCode('UnknownSegment'))
  })

  it('is answered once: by time, by the loss of the connection, or by the node; what comes later is dropped', async () => {
    const { fabric, client, time } = setUp()
    const slow = client.call('a', 'status', {}, 100)
    const lost = client.call('b', 'status', {})
    const other = client.call('c', 'status', {})
    time.ms = 99
    client.tick()
    fabric.down('b')
    await assert.rejects(lost, hasCode('Unreachable'))
    time.ms = 100
    client.tick()
    await assert.rejects(slow, hasCode('TimedOut'))
    const requests = fabric.take().map(({ body }) => readCall(body).request)
    for (const request of requests) {
      fabric.arrive('a', encodeResult(request, request))
      fabric.arrive('a', encodeResult(request, 'again'))
    }
    assert.equal((await other).value as unknown, requests[2])
  })

  it('to a node that cannot be reached waits for its time: refused at once, its callers would spin', async () => {
    const { fabric, client, time } = setUp()
    fabric.unreachable.add('a')
    let state: 'waiting' | 'ended' = 'waiting'
    const call = client.call('a', 'status', {}).finally(() => {
      state = 'ended'
    })
    call.catch(() => undefined)
    await Promise.resolve()
    assert.equal(state, 'waiting')
    time.ms = 1_000
    client.tick()
    await assert.rejects(call, hasCode('TimedOut'))
  })
})

describe('a read', () => {
  it('carries what was asked and ends with the page or the refusal', () => {
    const { fabric, read } = setUp()
    const [good, bad] = [read('a'), read('b')]
    const [first] = fabric.take()
    assert.deepEqual(readRead(first?.body ?? new Uint8Array()), { ...READ, request: good.number })
    fabric.arrive('a', page(good.number))
    fabric.arrive(
      'b',
      encodePage({ request: bad.number, status: 'ReadPointTooOld', version: lsn(0), bytes: new Uint8Array() }),
    )
    fabric.arrive('a', page(good.number, 8))
    assert.deepEqual([codes(good.outcomes), codes(bad.outcomes)], [['page'], ['ReadPointTooOld']])
  })

  it('fails at once where the node cannot be reached, and when its connection is lost', () => {
    const { fabric, read } = setUp()
    fabric.unreachable.add('a')
    assert.deepEqual(codes(read('a').outcomes), ['Unreachable'])
    const lost = read('b')
    const other = read('c')
    fabric.down('b')
    assert.deepEqual([codes(lost.outcomes), codes(other.outcomes)], [['Unreachable'], []])
  })

  it('that is no longer wanted says nothing more', () => {
    const { fabric, client, time, read } = setUp()
    const cancelled = read('a')
    client.cancelRead(cancelled.number)
    fabric.arrive('a', page(cancelled.number))
    fabric.down('a')
    time.ms = 10_000
    client.tick()
    assert.deepEqual(cancelled.outcomes, [])
  })

  it('ends after a time', () => {
    const { client, time, read } = setUp()
    const slow = read('a')
    time.ms = 999
    client.tick()
    assert.deepEqual(slow.outcomes, [])
    time.ms = 1_000
    client.tick()
    client.tick()
    assert.deepEqual(codes(slow.outcomes), ['TimedOut'])
  })
})

describe('a message that was damaged on its way', () => {
  it('is as good as lost, whatever it was', () => {
    const { fabric, client, time, read } = setUp()
    const each = read('a')
    client.call('a', 'status', {}).catch(() => undefined)
    const damaged = Uint8Array.from(Buffer.concat(page(each.number)))
    damaged[30] = (damaged[30] as number) ^ 1
    for (const type of [...Object.values(MessageType), 99]) {
      fabric.arrive('a', Uint8Array.of(type))
      fabric.arrive('a', new Uint8Array(40).fill(0xff).fill(type, 0, 1))
    }
    fabric.arrive('a', damaged)
    assert.deepEqual(each.outcomes, [])
    time.ms = 1_000
    client.tick()
    assert.deepEqual(codes(each.outcomes), ['TimedOut'])
  })
})

describe('an acknowledgement', () => {
  it('goes to all that listen for its volume, and to nobody else', () => {
    const { fabric, client } = setUp()
    const heard: string[] = []
    const listener = (name: string) => ({
      acknowledged: (address: string, ack: Ack) => heard.push(`${name} ${address} ${ack.scl}`),
      connected: (address: string) => heard.push(`${name} up ${address}`),
    })
    const [one, two, other] = ['one', 'two', 'other'].map(listener) as [
      ReturnType<typeof listener>,
      ReturnType<typeof listener>,
      ReturnType<typeof listener>,
    ]
    client.listen(volumeId(1), one)
    client.listen(volumeId(1), two)
    client.listen(volumeId(2), other)
    fabric.acknowledge('a', volumeId(1), { scl: lsn(5) })
    client.unlisten(volumeId(1), one)
    fabric.acknowledge('a', volumeId(1), { scl: lsn(6) })
    fabric.acknowledge('a', volumeId(3), { scl: lsn(7) })
    fabric.up('a')
    client.unlisten(volumeId(1), two)
    client.unlisten(volumeId(9), two)
    fabric.acknowledge('a', volumeId(1), { scl: lsn(8) })
    assert.deepEqual(heard, ['one a 5', 'two a 5', 'two a 6', 'two up a', 'other up a'])
  })
})
