import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isCancelRequest } from './cancel-request.ts'

const CODE = '04d2162e'
const bytes = (...hex: string[]) => Buffer.from(hex.join(''), 'hex')

describe('a request to cancel a query', () => {
  it('has a key of four bytes, or of a protocol since 3.2 of up to 256', () => {
    for (const keyBytes of [4, 32, 256]) {
      const request = Buffer.concat([bytes('00000000', CODE, '0000beef'), Buffer.alloc(keyBytes, 7)])
      request.writeUInt32BE(request.length, 0)
      assert.ok(isCancelRequest(request), `${keyBytes}`)
    }
  })

  it('is no request for TLS, no start of a session, and no part of anything', () => {
    assert.ok(!isCancelRequest(bytes('00000008', '04d2162f')))
    assert.ok(!isCancelRequest(bytes('00000010', '00030000', '7573657200', '610000')))
    const request = bytes('00000010', CODE, '0000beef', '01020304')
    for (let length = 0; length < request.length; length++) assert.ok(!isCancelRequest(request.subarray(0, length)))
    assert.ok(!isCancelRequest(Buffer.concat([request, request])))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (any) => !isCancelRequest(Buffer.from(any))))
  })
})
