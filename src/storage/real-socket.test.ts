import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { describe, it } from 'node:test'
import { EAGAIN, errno, libc, NativeBytes } from './real-libc.ts'
import { POLL_IN, POLL_OUT, PollSet } from './real-poll.ts'
import {
  acceptFrom,
  dial,
  dialFailure,
  formatAddress,
  listenOn,
  parseAddress,
  receiveInto,
  sendFrom,
  WOULD_BLOCK,
} from './real-socket.ts'

const hasIPv6 = networkInterfaces().lo?.some(({ family }) => family === 'IPv6') === true

describe('addresses', () => {
  it('are an IP address and a port', () => {
    assert.deepEqual(parseAddress('10.0.0.1:80'), { host: '10.0.0.1', port: 80 })
    assert.deepEqual(parseAddress('[fe80::1]:65535'), { host: 'fe80::1', port: 65_535 })
    assert.equal(formatAddress(parseAddress('[::1]:7')), '[::1]:7')
  })

  for (const text of [
    '',
    ':1',
    '1.2.3.4',
    '1.2.3.4:',
    '1.2.3.4:65536',
    '1.2.3.4:-1',
    'name:1',
    '::1:1',
    '[1.2.3.4]:1',
    '1.2.3:1',
  ]) {
    it(`"${text}" is none`, () => {
      assert.throws(() => parseAddress(text), { code: 'BadRequest' })
    })
  }
})

/** Waits for one event on one descriptor. */
function waitFor(fd: number, events: number): void {
  const set = new PollSet<null>()
  set.add(null, fd, events)
  assert.equal(set.wait(2000), 1)
}

describe('sockets without an event loop', () => {
  for (const host of hasIPv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']) {
    it(`carry bytes over ${host}`, () => {
      const listener = listenOn({ host, port: 0 })
      assert.notEqual(listener.address.port, 0)
      assert.equal(acceptFrom(listener.fd), -1)
      assert.equal(errno(), EAGAIN)
      const near = dial(formatAddress(listener.address))
      waitFor(near, POLL_OUT)
      assert.equal(dialFailure(near), undefined)
      waitFor(listener.fd, POLL_IN)
      const far = acceptFrom(listener.fd)
      const [out, into] = [new NativeBytes(100), new NativeBytes(100)]
      out.bytes.set([0, 0, 7, 8, 9])
      assert.equal(receiveInto(far, into, 100n), WOULD_BLOCK)
      assert.equal(sendFrom(near, out, 2, 5), 3)
      waitFor(far, POLL_IN)
      assert.equal(receiveInto(far, into, 100n), 3)
      assert.deepEqual([...into.bytes.subarray(0, 3)], [7, 8, 9])
      libc.close(near)
      waitFor(far, POLL_IN)
      assert.equal(receiveInto(far, into, 100n), 0)
      libc.close(far)
      libc.close(listener.fd)
    })
  }

  it('say why nobody answered', () => {
    const listener = listenOn({ host: '127.0.0.1', port: 0 })
    libc.close(listener.fd)
    const near = dial(formatAddress(listener.address))
    waitFor(near, POLL_OUT)
    assert.equal(dialFailure(near), 'ECONNREFUSED')
    libc.close(near)
  })

  it('are polled in any number, and removed from the middle', () => {
    const set = new PollSet<number>()
    const fds = Array.from({ length: 200 }, () => libc.eventfd(0, 0))
    fds.forEach((fd, i) => {
      assert.equal(set.add(i, fd, i === 150 ? POLL_OUT : POLL_IN), i)
    })
    assert.equal(set.wait(0), 1)
    assert.equal(set.happened(150), POLL_OUT)
    assert.equal(set.remove(3), 199)
    assert.equal(set.owners[3], 199)
    assert.equal(set.remove(198), undefined)
    set.watch(3, POLL_OUT)
    assert.equal(set.wait(0), 2)
    assert.equal(set.happened(3), POLL_OUT)
    for (const fd of fds) libc.close(fd)
  })
})
