import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { VolumeError } from '../protocol/errors.ts'
import { FRAME_HEADER_BYTES, FrameDecoder, partsBytes, preamble, WIRE_VERSION, writeFrame } from './framing.ts'

interface Message {
  readonly type: number
  readonly body: readonly number[]
}

function frame(...parts: Uint8Array[]): Uint8Array {
  const bytes = partsBytes(parts)
  const into = new Uint8Array(FRAME_HEADER_BYTES + bytes)
  assert.equal(writeFrame(into, 0, parts, bytes), into.length)
  return into
}

const stream = (messages: readonly Message[]): Buffer =>
  Buffer.concat([preamble(), ...messages.map(({ type, body }) => frame(Uint8Array.of(type), Uint8Array.from(body)))])

/** Pushes one chunk and takes what it completes. The chunk is overwritten then, as a receive buffer is. */
function take(decoder: FrameDecoder, chunk: Uint8Array): Message[] {
  const copy = chunk.slice()
  const messages: Message[] = []
  decoder.push(copy)
  while (decoder.next()) messages.push({ type: decoder.type, body: [...decoder.body] })
  copy.fill(0xee)
  return messages
}

const code = (expected: string) => (error: unknown) => error instanceof VolumeError && error.code === expected

describe('messages come out of a stream as they were put in', () => {
  it('however the stream is cut', () => {
    const message = fc.record(
      { type: fc.nat(255), body: fc.array(fc.nat(255), { maxLength: 40 }) },
      { noNullPrototype: true },
    )
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 60 })), (messages, cuts) => {
        const bytes = stream(messages)
        const decoder = new FrameDecoder()
        const seen: Message[] = []
        let at = 0
        for (const cut of [...cuts, bytes.length]) {
          seen.push(...take(decoder, bytes.subarray(at, at + cut)))
          at = Math.min(at + cut, bytes.length)
        }
        assert.deepEqual(seen, messages)
        assert.equal(decoder.heldBytes, 0)
      }),
    )
  })

  it('byte by byte, with a message larger than the buffers that are kept', () => {
    const large = { type: 7, body: Array.from({ length: 3 << 20 }, (_, i) => i & 255) }
    const bytes = stream([large, { type: 1, body: [] }])
    const decoder = new FrameDecoder()
    const seen: Message[] = []
    for (let at = 0; at < bytes.length; at += 65_537) seen.push(...take(decoder, bytes.subarray(at, at + 65_537)))
    assert.equal(seen.length, 2)
    assert.deepEqual(seen[0]?.body.length, large.body.length)
    assert.deepEqual(Uint8Array.from(seen[0]?.body ?? []), Uint8Array.from(large.body))
    assert.deepEqual(seen[1], { type: 1, body: [] })
  })

  it('without a copy when a chunk holds the whole message', () => {
    const decoder = new FrameDecoder()
    const bytes = stream([{ type: 1, body: [1, 2, 3] }])
    decoder.push(bytes)
    assert.equal(decoder.next(), true)
    assert.equal(decoder.body.buffer, bytes.buffer)
  })
})

describe('a stream that is not ours is refused', () => {
  it('another magic', () => {
    assert.throws(() => take(new FrameDecoder(), Buffer.from('GET / HTTP/1.1\r\n')), code('UnsupportedFormat'))
  })

  it('another version', () => {
    assert.throws(() => take(new FrameDecoder(), preamble(WIRE_VERSION + 1)), code('UnsupportedFormat'))
  })

  it('a message over the limit, before its bytes come', () => {
    const decoder = new FrameDecoder(100)
    assert.equal(take(decoder, Buffer.concat([preamble(), frame(new Uint8Array(100))])).length, 1)
    assert.throws(() => take(decoder, frame(new Uint8Array(101)).subarray(0, 4)), code('BadRequest'))
  })

  it('a message without a type', () => {
    assert.throws(() => take(new FrameDecoder(), Buffer.concat([preamble(), frame()])), code('BadRequest'))
  })
})
