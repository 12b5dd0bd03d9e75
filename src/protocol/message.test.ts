import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type ErrorCode, isErrorCode, VolumeError } from './errors.ts'
import { groupIndex, lsn, volumeId } from './lsn.ts'
import {
  APPEND_HEADER_BYTES,
  encodeAck,
  encodeCall,
  encodeDigests,
  encodeFailure,
  encodePage,
  encodeRead,
  encodeResult,
  encodeSummaries,
  encodeVdl,
  MessageType,
  readAck,
  readAppend,
  readCall,
  readDigests,
  readPage,
  readRead,
  readResult,
  readSummaries,
  readVdl,
  type Status,
  writeAppendHeader,
} from './message.ts'

const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const volume = u32.map(volumeId)
const group = u32.map(groupIndex)
const at = fc.maxSafeNat().map(lsn)
const bytes = fc.uint8Array({ maxLength: 100 })
const STATUSES: readonly Status[] = [
  'Ok',
  'BadRequest',
  'NotFound',
  'AlreadyExists',
  'ReadPointTooOld',
  'ReadPointAhead',
  'Fenced',
  'StaleVolumeEpoch',
  'UnknownEpoch',
  'StaleMembership',
  'UnknownSegment',
  'SuspectSegment',
  'WrongIncarnation',
  'LogCollected',
  'DiskFull',
  'Conflict',
  'Unreachable',
  'TimedOut',
  'NoQuorum',
  'Closed',
  'LeaseExpired',
  'Corrupt',
  'UnsupportedFormat',
  'Invariant',
  'Overloaded',
]
const status = fc.constantFrom(...STATUSES)
const json = fc.jsonValue()

/** A message as one piece, whose first byte says its type. */
const whole = (parts: Uint8Array | readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts instanceof Uint8Array ? parts : Buffer.concat(parts))

/** The body of a message, at an offset of its own as in a receive buffer. */
function bodyOf(parts: Uint8Array | readonly Uint8Array[], type: number): Uint8Array {
  const message = whole(parts)
  assert.equal(message[0], type)
  const buffer = new Uint8Array(message.length + 6)
  buffer.set(message, 3)
  return buffer.subarray(4, 3 + message.length)
}

function append(header: Parameters<typeof writeAppendHeader>[2], records: Uint8Array): Uint8Array {
  const message = new Uint8Array(APPEND_HEADER_BYTES + records.length)
  writeAppendHeader(message, new DataView(message.buffer), header)
  message.set(records, APPEND_HEADER_BYTES)
  return message
}

/** Objects as everybody makes them: `deepEqual` tells those without a prototype apart. */
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

const appendHeader = record({
  volume,
  group,
  volumeEpoch: u32,
  membershipEpoch: u32,
  vdl: at,
  groupPoint: at,
})
const ack = record({ volume, group, volumeEpoch: u32, membershipEpoch: u32, scl: at, status, applyDelayMs: u32 })
const read = record({
  request: u32,
  volume,
  group,
  block: u32,
  volumeEpoch: u32,
  membershipEpoch: u32,
  readPoint: at,
  minScl: fc.option(fc.nat(2 ** 31).map(lsn)),
})
const page = record({ request: u32, status, version: at, bytes })
const vdl = record({
  volume,
  volumeEpoch: u32,
  sequence: u32,
  complete: fc.boolean(),
  vdl: at,
  points: fc.array(fc.tuple(group, at), { maxLength: 5 }),
})
const summary = record({ lsn: at, prevVolume: at, toCpl: u32 })
const digest = record({ block: u32, lsn: at, crc: u32 })

describe('a message', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(appendHeader, bytes, (header, records) => {
        assert.deepEqual(readAppend(bodyOf(append(header, records), MessageType.APPEND)), { ...header, records })
      }),
    )
    fc.assert(fc.property(ack, (each) => assert.deepEqual(readAck(bodyOf(encodeAck(each), MessageType.ACK)), each)))
    fc.assert(fc.property(read, (each) => assert.deepEqual(readRead(bodyOf(encodeRead(each), MessageType.READ)), each)))
    fc.assert(fc.property(page, (each) => assert.deepEqual(readPage(bodyOf(encodePage(each), MessageType.PAGE)), each)))
    fc.assert(fc.property(vdl, (each) => assert.deepEqual(readVdl(bodyOf(encodeVdl(each), MessageType.VDL)), each)))
    fc.assert(fc.property(fc.array(summary), (each) => assert.deepEqual(readSummaries(encodeSummaries(each)), each)))
    fc.assert(fc.property(fc.array(digest), (each) => assert.deepEqual(readDigests(encodeDigests(each)), each)))
  })

  it('carries any JSON and bytes in calls and results', () => {
    fc.assert(
      fc.property(u32, fc.string(), json, bytes, (request, method, argument, attachment) => {
        const call = readCall(bodyOf(encodeCall(request, method, argument, attachment), MessageType.CALL))
        const plain: unknown = JSON.parse(JSON.stringify(argument))
        assert.deepEqual(call, { request, method, argument: plain, attachment })
        const result = readResult(bodyOf(encodeResult(request, argument, attachment), MessageType.RESULT))
        assert.deepEqual(result, { request, outcome: { value: plain }, attachment })
      }),
    )
  })

  it('carries every error there is, by its code', () => {
    for (const code of STATUSES.filter((each): each is ErrorCode => each !== 'Ok')) {
      const { request, outcome } = readResult(
        bodyOf(encodeFailure(9, new VolumeError(code, 'why so')), MessageType.RESULT),
      )
      assert.equal(request, 9)
      assert.ok('error' in outcome)
      assert.deepEqual([outcome.error.code, outcome.error.message], [code, 'why so'])
      assert.ok(isErrorCode(code))
    }
  })

  it('says of an error that it does not know that something is wrong here', () => {
    const body = bodyOf(encodeFailure(1, { code: 'FromTheFuture', message: 'm' } as never), MessageType.RESULT)
    const { outcome } = readResult(body)
    assert.ok('error' in outcome && outcome.error.code === 'Invariant')
  })

  it('gives every status its own byte', () => {
    const numbers = STATUSES.map(
      (each) => encodeAck({ ...fc.sample(ack, { numRuns: 1, seed: 1 })[0]!, status: each })[25],
    )
    assert.deepEqual(numbers, [...STATUSES.keys()])
  })
})

describe('a message that was damaged on its way', () => {
  const READERS: readonly (readonly [name: string, (body: Uint8Array) => unknown, fc.Arbitrary<Uint8Array>])[] = [
    ['APPEND', readAppend, fc.tuple(appendHeader, bytes).map(([header, records]) => append(header, records))],
    ['ACK', readAck, ack.map(encodeAck)],
    ['READ', readRead, read.map(encodeRead)],
    ['PAGE', readPage, page.map((each) => whole(encodePage(each)))],
    ['VDL', readVdl, vdl.map(encodeVdl)],
    ['CALL', readCall, fc.tuple(u32, json).map(([request, value]) => whole(encodeCall(request, 'head', value)))],
    ['RESULT', readResult, fc.tuple(u32, json).map(([request, value]) => whole(encodeResult(request, value)))],
  ]

  /** What was read, or the code of the error. Any other error is one too many. */
  function attempt(reader: (body: Uint8Array) => unknown, body: Uint8Array): unknown {
    try {
      return reader(body)
    } catch (error) {
      assert.ok(error instanceof VolumeError, `${error}`)
      assert.ok(error.code === 'BadRequest' || error.code === 'Corrupt', error.code)
      return error.code
    }
  }

  it('is read as another one or refused, whatever bytes come', () => {
    for (const [, reader, arbitrary] of READERS) {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 80 }), (body) => void attempt(reader, body)),
        { numRuns: 500 },
      )
      fc.assert(
        fc.property(arbitrary, fc.nat(), fc.integer({ min: 1, max: 255 }), (message, place, change) => {
          const body = message.slice(1)
          body[place % body.length] = (body[place % body.length] as number) ^ change
          attempt(reader, body)
        }),
        { numRuns: 500 },
      )
    }
  })

  it('is refused when its fixed part is cut off', () => {
    const least: Record<string, number> = { APPEND: 32, ACK: 29, READ: 40, PAGE: 17, VDL: 21, CALL: 8, RESULT: 8 }
    for (const [name, reader, arbitrary] of READERS) {
      const [message] = fc.sample(arbitrary, { numRuns: 1, seed: 7 }) as [Uint8Array]
      for (let length = 0; length < (least[name] as number); length++) {
        assert.equal(attempt(reader, message.subarray(1, 1 + length)), 'BadRequest', `${name} of ${length} bytes`)
      }
    }
  })

  it('does not lose the end of a list', () => {
    const three = [1, 2, 3].map(lsn)
    const points = three.map((each) => [groupIndex(each), each] as const)
    const announcement = encodeVdl({
      volume: volumeId(1),
      volumeEpoch: 1,
      sequence: 1,
      complete: true,
      vdl: lsn(3),
      points,
    }).subarray(1)
    const summaries = encodeSummaries(three.map((each) => ({ lsn: each, prevVolume: each, toCpl: 0 })))
    const digests = encodeDigests(three.map((each) => ({ block: each, lsn: each, crc: 0 })))
    for (const [body, reader, size] of [
      [announcement, readVdl, 12],
      [summaries, readSummaries, 20],
      [digests, readDigests, 16],
    ] as const) {
      for (let cut = 1; cut < size; cut++) {
        assert.equal(attempt(reader, body.subarray(0, body.length - cut)), 'BadRequest', `${cut} bytes are missing`)
      }
    }
  })

  it('has a page refused when its block is not what was sent', () => {
    const message = whole(encodePage({ request: 1, status: 'Ok', version: lsn(9), bytes: new Uint8Array(64).fill(5) }))
    for (let bit = 17 * 8; bit < (message.length - 1) * 8; bit++) {
      const body = message.slice(1)
      body[bit >> 3] = (body[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.equal(attempt(readPage, body), 'Corrupt')
    }
  })

  it('is no call without a method, and no result without content', () => {
    const body = (value: unknown): Uint8Array => {
      const text = Buffer.from(JSON.stringify(value))
      const head = Buffer.alloc(8)
      head.writeUInt32LE(text.length, 4)
      return Uint8Array.from(Buffer.concat([head, text]))
    }
    for (const value of [null, 5, 'x', [], {}, { method: 5 }, { argument: {} }]) {
      assert.equal(attempt(readCall, body(value)), 'BadRequest', JSON.stringify(value))
    }
    for (const value of [null, 5, 'x', { error: null }, { error: 5 }, { error: 'x' }]) {
      assert.equal(attempt(readResult, body(value)), 'BadRequest', JSON.stringify(value))
    }
    const notUtf8 = body('x')
    notUtf8[9] = 0xff
    assert.equal(attempt(readCall, notUtf8), 'BadRequest')
  })
})
