import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { expectedAnswer, message, plainBytes, recordedRequest } from '../../test/fuse-messages.ts'
import { type Attributes, FileType, ino } from '../filesystem/file-operations.ts'
import { Answer, entriesMax } from './answer.ts'
import { negotiate } from './init.ts'
import { Opcode, OpenAnswer } from './kernel-abi.ts'
import { Request } from './request.ts'

/** Of the fixtures. */
const [LOW, HIGH] = [2, 0x8000_0003]
const WEEK = 604_800

const attributes: Attributes = {
  ino: ino(0x1_0000_0007),
  generation: 9,
  mode: FileType.REGULAR | 0o640,
  links: 2,
  uid: 1000,
  gid: 100,
  size: 0x123_4567_8901,
  blocks: 48,
  rdev: 0x801,
  atime: { seconds: 1_500_000_000, nanoseconds: 123_456_789 },
  mtime: { seconds: -6, nanoseconds: 999_999_999 },
  ctime: { seconds: 5_000_000_000, nanoseconds: 1 },
}

function request(bytes: Uint8Array): Request {
  const buffer = plainBytes(4096)
  buffer.bytes.set(bytes)
  const read = new Request(buffer)
  read.receive(bytes.length)
  return read
}

function check(name: string, fill: (answer: Answer) => void): void {
  it(name, () => {
    const buffer = plainBytes(4096)
    // Answers are built on top of each other.
    buffer.bytes.fill(0xee)
    const answer = new Answer(buffer)
    fill(answer)
    assert.deepEqual(Buffer.from(buffer.bytes.subarray(0, answer.length)), Buffer.from(expectedAnswer(name)))
  })
}

describe('answers are those of the C structures', () => {
  check('failed', (answer) => answer.failed(LOW, HIGH, 2))
  check('done', (answer) => answer.done(LOW, HIGH))
  check('written', (answer) => answer.written(LOW, HIGH, 8192))
  check('opened', (answer) =>
    answer.opened(LOW, HIGH, 3, OpenAnswer.DIRECT_IO | OpenAnswer.NOFLUSH | OpenAnswer.PARALLEL_DIRECT_WRITES),
  )
  check('attributes', (answer) => answer.attributes(LOW, HIGH, attributes, WEEK))
  check('entry', (answer) => answer.entry(LOW, HIGH, attributes, WEEK))
  check('noEntry', (answer) => answer.entry(LOW, HIGH, undefined, WEEK))
  check('created', (answer) => answer.created(LOW, HIGH, attributes, WEEK, 3, OpenAnswer.DIRECT_IO))
  check('space', (answer) =>
    answer.space(LOW, HIGH, {
      blockBytes: 8192,
      blocks: 2 ** 34,
      blocksFree: 2 ** 34 - 5,
      files: 7,
      filesFree: 6,
      nameBytesMax: 255,
    }),
  )
  check('entries', (answer) =>
    answer.entries(
      LOW,
      HIGH,
      [
        { name: '.', ino: ino(1), type: FileType.DIRECTORY, cookie: 1 },
        { name: '..', ino: ino(1), type: FileType.DIRECTORY, cookie: 2 },
        { name: Buffer.from('hé').toString('latin1'), ino: ino(9), type: FileType.REGULAR, cookie: 70_000_000_000 },
        { name: 'eightbyt', ino: ino(10), type: FileType.SOCKET, cookie: 5 },
      ],
      4000,
    ),
  )
  check('init', (answer) => {
    const negotiation = negotiate(request(recordedRequest('INIT')))
    assert.equal(negotiation.outcome, 'agreed')
    if (negotiation.outcome === 'agreed') answer.init(LOW, HIGH, negotiation.terms)
  })
  check('resend', (answer) => answer.resend())

  it('data and targets stand behind the header', () => {
    const buffer = plainBytes(100)
    const answer = new Answer(buffer)
    answer.data(LOW, HIGH, Buffer.from('bytes'))
    assert.equal(Buffer.from(buffer.bytes.subarray(16, answer.length)).toString(), 'bytes')
    answer.target(LOW, HIGH, '\xff/x')
    assert.deepEqual([...buffer.bytes.subarray(16, answer.length)], [0xff, 0x2f, 0x78])
  })
})

describe('a listing', () => {
  const entry = (name: string, cookie: number) => ({ name, ino: ino(5), type: FileType.REGULAR, cookie })

  it('ends with the last entry that fits as a whole', () => {
    const answer = new Answer(plainBytes(4096))
    answer.entries(LOW, HIGH, [entry('a', 1), entry('b', 2), entry('c', 3)], 95)
    assert.equal(answer.length, 16 + 64)
    answer.entries(LOW, HIGH, [entry('a', 1), entry('b', 2), entry('c', 3)], 96)
    assert.equal(answer.length, 16 + 96)
  })

  it('is asked of the file system for what can fit', () => {
    assert.equal(entriesMax(4096), 128)
    assert.equal(entriesMax(1), 1)
  })
})

describe('negotiation', () => {
  const init = (major: number, minor: number, flags = 0xffff_ffff, flags2 = 0xffff_ffff) =>
    negotiate(request(message({ opcode: Opcode.INIT, node: 0 }, major, minor, 131_072, flags, flags2)))

  it('takes no flag that the kernel does not offer', () => {
    const negotiation = init(7, 36, 0, 0)
    assert.equal(negotiation.outcome, 'agreed')
    if (negotiation.outcome !== 'agreed') return
    assert.deepEqual([negotiation.terms.flags, negotiation.terms.flags2, negotiation.terms.minor], [0, 0, 36])
    assert.equal(negotiation.canResend, false)
  })

  it('never asks for the write-back cache, nor for locks or permissions of our own', () => {
    const negotiation = init(7, 45)
    assert.equal(negotiation.outcome, 'agreed')
    if (negotiation.outcome !== 'agreed') return
    const refused = (1 << 16) | (1 << 1) | (1 << 10) | (1 << 20) | (1 << 6)
    assert.equal(negotiation.terms.flags & refused, 0)
    assert.equal(negotiation.canResend, true)
  })

  it('tells a newer kernel our version, and refuses an old one', () => {
    assert.equal(init(8, 0).outcome, 'again')
    assert.deepEqual(init(7, 30), { outcome: 'too-old', version: '7.30' })
    assert.deepEqual(init(6, 45), { outcome: 'too-old', version: '6.45' })
  })
})
