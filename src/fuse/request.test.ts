import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { message, plainBytes, recordedNames, recordedRequest } from '../../test/fuse-messages.ts'
import { Opcode, opcodeName } from './kernel-abi.ts'
import { MalformedRequest, Request } from './request.ts'
import { allocateMode, attributeChange, renameMode } from './request-values.ts'

function received(bytes: Uint8Array): Request {
  const buffer = plainBytes(4096)
  // What stood there before must not be taken for a part of the message.
  buffer.bytes.fill(0x41)
  buffer.bytes.set(bytes)
  const request = new Request(buffer)
  request.receive(bytes.length)
  return request
}
const recorded = (name: string): Request => received(recordedRequest(name))

describe('requests that a kernel sent', () => {
  it('have the opcode of their name, and who asks', () => {
    for (const name of recordedNames) {
      const request = recorded(name)
      assert.equal(opcodeName(request.opcode), name)
      assert.equal(request.length, recordedRequest(name).length)
      assert.equal(request.uniqueHigh, 0)
      assert.equal(request.uid, 0)
    }
    assert.notEqual(recorded('CREATE').pid, 0)
  })

  it('WRITE: where, how much, how durable, what', () => {
    const request = recorded('WRITE')
    assert.deepEqual(
      [request.node, request.offset, request.size, request.isSynchronous, request.writeFlags & 1],
      [2, 8192, 16, true, 0],
    )
    assert.equal(Buffer.from(request.data).toString(), 'pagepagepagepage')
  })

  it('READ, FALLOCATE, LSEEK', () => {
    assert.deepEqual([recorded('READ').offset, recorded('READ').size], [8192, 100])
    const allocate = recorded('FALLOCATE')
    assert.deepEqual(
      [allocate.offset, allocate.allocateLength, allocateMode(allocate.allocateMode)],
      [0, 65_536, 'allocate'],
    )
    assert.deepEqual([recorded('LSEEK').offset, recorded('LSEEK').whence], [0, 4])
  })

  it('names, with any bytes in them', () => {
    assert.equal(recorded('LOOKUP').name(0), 'file')
    assert.equal(recorded('CREATE').name(16), 'file')
    assert.equal(recorded('MKDIR').name(8), 'folder')
    assert.equal(recorded('MKNOD').name(16), 'fifo')
    assert.equal(recorded('LINK').name(8), 'hard')
    assert.deepEqual(recorded('SYMLINK').names(0), ['link', 'folder/x'])
    assert.deepEqual(recorded('RENAME').names(8).length, 2)
    assert.deepEqual(recorded('RENAME2').names(16), ['fifo', 'fifo2'])
    assert.equal(recorded('UNLINK').name(0).length, 5)
  })

  it('modes, flags and nodes', () => {
    assert.equal(recorded('CREATE').createMode, 0o100640)
    assert.equal(recorded('MKNOD').mode, 0o010600)
    assert.equal(recorded('MKDIR').mode & 0o7777, 0o755)
    assert.equal(recorded('LINK').linkedNode, 2)
    assert.equal(recorded('RENAME').newParent > 1, true)
    assert.equal(renameMode(recorded('RENAME2').renameFlags), 'noreplace')
    assert.equal(recorded('FORGET').lookups > 0, true)
  })

  it('SETATTR: times before and after 1970, to the nanosecond', () => {
    assert.deepEqual(attributeChange(recorded('SETATTR')), {
      atime: { seconds: 1_500_000_000, nanoseconds: 123_456_789 },
      mtime: { seconds: -6, nanoseconds: 999_999_999 },
    })
  })

  it('INIT: versions and both words of flags', () => {
    const { major, minor, initFlags, initFlags2 } = recorded('INIT')
    assert.deepEqual([major, minor], [7, 45])
    assert.notEqual(initFlags & (1 << 22), 0)
    assert.notEqual(initFlags2 & (1 << 7), 0)
  })
})

describe('requests made by hand', () => {
  it('BATCH_FORGET: each node and how often', () => {
    const request = received(message({ opcode: Opcode.BATCH_FORGET }, 2, 0, 7n, 1n, 0x1_0000_0008n, 2n))
    assert.equal(request.forgottenCount, 2)
    assert.deepEqual([request.forgottenNode(0), request.forgottenNode(1)], [7, 0x1_0000_0008])
    assert.deepEqual([request.forgottenLookups(0), request.forgottenLookups(1)], [1, 2])
  })

  it('BATCH_FORGET that claims more than it has', () => {
    assert.equal(received(message({ opcode: Opcode.BATCH_FORGET }, 9, 0, 7n, 1n)).forgottenCount, 1)
  })

  it('SETATTR: sizes beyond 2^32, now, owner and mode', () => {
    const body = [0b1_1000_1111, 0, 0n, 5_000_000_000n, 0n, 0n, 0n, 0n, 0, 0, 0, 0o100644, 0, 1000, 100, 0]
    assert.deepEqual(attributeChange(received(message({ opcode: Opcode.SETATTR }, ...body))), {
      mode: 0o644,
      uid: 1000,
      gid: 100,
      size: 5_000_000_000,
    })
    const times = [0b1_1011_0000, 0, 0n, 0n, 0n, 0n, 0n, 0n, 0, 0, 0, 0, 0, 0, 0, 0]
    assert.deepEqual(attributeChange(received(message({ opcode: Opcode.SETATTR }, ...times))), {
      atime: 'now',
      mtime: 'now',
    })
  })

  it('one asked again says so in the highest bit', () => {
    assert.equal(received(message({ opcode: Opcode.STATFS, resent: true })).uniqueHigh, 0x8000_0000)
  })
})

describe('what is no request', () => {
  const malformed = (bytes: Uint8Array, read: (request: Request) => unknown = () => {}) =>
    assert.throws(() => read(received(bytes)), MalformedRequest)

  it('a length that is not its own', () => {
    const bytes = message({ opcode: Opcode.STATFS })
    malformed(bytes.subarray(0, 39))
    bytes[0]!++
    malformed(bytes)
  })

  it('a body that is too short', () => malformed(message({ opcode: Opcode.READ }, 0n, 0n)))

  it('a name without its end, though the buffer goes on', () => {
    malformed(message({ opcode: Opcode.LOOKUP }, Buffer.from('name')), (request) => request.name(0))
    malformed(message({ opcode: Opcode.SYMLINK }, 'name', Buffer.from('target')), (request) => request.names(0))
  })

  it('a write of more bytes than came', () => {
    malformed(message({ opcode: Opcode.WRITE }, 0n, 0n, 17, 0, 0n, 0, 0, Buffer.alloc(16)), (request) => request.data)
  })
})
