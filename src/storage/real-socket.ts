/**
 * TCP sockets without an event loop: non-blocking descriptors and what can be done with them. Addresses are
 * "1.2.3.4:port" or "[::1]:port"; names are not looked up, because that would block the thread.
 */
import { isIPv4, isIPv6 } from 'node:net'
import { endianness } from 'node:os'
import { VolumeError } from '../protocol/errors.ts'
import { EAGAIN, EINPROGRESS, EINTR, errno, errorName, ffi, libc, libcFailure, NativeBytes } from './real-libc.ts'

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
/** SOCK_NONBLOCK | SOCK_CLOEXEC: what we open is not for the programs we start. */
const NONBLOCKING = 0o4000 | 0o2000000
const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const SO_ERROR = 4
const SO_KEEPALIVE = 9
const IPPROTO_TCP = 6
const TCP_NODELAY = 1
const TCP_KEEPIDLE = 4
const TCP_KEEPINTVL = 5
const TCP_KEEPCNT = 6
const TCP_USER_TIMEOUT = 18
const MSG_NOSIGNAL = 0x4000

const BACKLOG = 256
/** A machine that fell silent is noticed after this time, whether or not something is on its way to it. */
const SILENCE_MS_MAX = 10_000

const SOCKET_ADDRESS_BYTES = 28

export interface HostPort {
  readonly host: string
  readonly port: number
}

/** Throws `BadRequest` when the text is not an address and a port. */
export function parseAddress(address: string): HostPort {
  const colon = address.lastIndexOf(':')
  const port = /^\d{1,5}$/.test(address.slice(colon + 1)) ? Number(address.slice(colon + 1)) : -1
  const text = address.slice(0, Math.max(colon, 0))
  const host = /^\[.*\]$/.test(text) ? text.slice(1, -1) : text
  if (port < 0 || port > 65_535 || !(text === host ? isIPv4(host) : isIPv6(host))) {
    throw new VolumeError('BadRequest', `"${address}" is not an IP address and a port`)
  }
  return { host, port }
}

export const formatAddress = ({ host, port }: HostPort): string =>
  isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`

/** A `struct sockaddr_in` or `sockaddr_in6`. */
function socketAddress({ host, port }: HostPort): {
  readonly native: NativeBytes
  readonly family: number
  readonly length: number
} {
  const native = new NativeBytes(SOCKET_ADDRESS_BYTES)
  const view = new DataView(native.bytes.buffer)
  const family = isIPv6(host) ? AF_INET6 : AF_INET
  view.setUint16(0, family, endianness() === 'LE')
  view.setUint16(2, port, false)
  const at = native.address + (family === AF_INET6 ? 8n : 4n)
  if (libc.inet_pton(family, Buffer.from(`${host}\0`), at) !== 1) {
    throw new VolumeError('BadRequest', `"${host}" is not an IP address`)
  }
  return { native, family, length: family === AF_INET6 ? 28 : 16 }
}

const option = new NativeBytes(4)
const optionLength = new NativeBytes(4)

function setOption(fd: number, level: number, name: number, value: number): void {
  new DataView(option.bytes.buffer).setInt32(0, value, true)
  // Best effort: none of them changes what is right, only how fast something is noticed.
  libc.setsockopt(fd, level, name, option.address, 4)
}

function setStreamOptions(fd: number): void {
  setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1)
  setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
  setOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 4)
  setOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 2)
  setOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3)
  setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_MS_MAX)
}

export interface Listener {
  readonly fd: number
  /** With the port that was picked when 0 was asked for. */
  readonly address: HostPort
}

export function listenOn(where: HostPort): Listener {
  const { native, family, length } = socketAddress(where)
  const fd = libc.socket(family, SOCK_STREAM | NONBLOCKING, 0)
  if (fd < 0) throw libcFailure('socket')
  try {
    setOption(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    if (libc.bind(fd, native.address, length) !== 0) throw libcFailure(`listening on ${formatAddress(where)}`)
    if (libc.listen(fd, BACKLOG) !== 0) throw libcFailure(`listening on ${formatAddress(where)}`)
    new DataView(optionLength.bytes.buffer).setInt32(0, SOCKET_ADDRESS_BYTES, true)
    if (libc.getsockname(fd, native.address, optionLength.address) !== 0) throw libcFailure('getsockname')
  } catch (error) {
    libc.close(fd)
    throw error
  }
  return { fd, address: { host: where.host, port: new DataView(native.bytes.buffer).getUint16(2, false) } }
}

/** A new connection's descriptor, or -1 when nobody waits (any more). */
export function acceptFrom(listener: number): number {
  const fd = libc.accept4(listener, 0n, 0n, NONBLOCKING)
  if (fd >= 0) setStreamOptions(fd)
  return fd
}

/** Starts to connect; writable when it is decided. Throws `Unreachable` or `BadRequest` when that is known at once. */
export function dial(address: string): number {
  const { native, family, length } = socketAddress(parseAddress(address))
  const fd = libc.socket(family, SOCK_STREAM | NONBLOCKING, 0)
  if (fd < 0) throw libcFailure('socket')
  setStreamOptions(fd)
  if (libc.connect(fd, native.bytes, length) === 0) return fd
  const why = errno()
  if (why === EINPROGRESS || why === EINTR) return fd
  libc.close(fd)
  throw libcFailure(`connecting to ${address}`, why)
}

/** How a dial ended: undefined when it succeeded. */
export function dialFailure(fd: number): string | undefined {
  new DataView(optionLength.bytes.buffer).setInt32(0, 4, true)
  if (libc.getsockopt(fd, SOL_SOCKET, SO_ERROR, option.address, optionLength.address) !== 0) return errorName(errno())
  const number = ffi.getInt32(option.address)
  return number === 0 ? undefined : errorName(number)
}

/** Nothing to take, or no room to put: poll says when to try again. */
export const WOULD_BLOCK = -1
/** The connection is of no use any more. */
export const BROKEN = -2

/** Bytes received; 0 when the other end is done, `WOULD_BLOCK` or `BROKEN`. */
export function receiveInto(fd: number, into: NativeBytes, length: bigint): number {
  return outcome(libc.recv(fd, into.address, length, 0))
}

/** Bytes taken by the kernel, `WOULD_BLOCK` or `BROKEN`. */
export function sendFrom(fd: number, from: NativeBytes, start: number, end: number): number {
  return outcome(libc.send(fd, from.address + BigInt(start), BigInt(end - start), MSG_NOSIGNAL))
}

function outcome(result: number): number {
  if (result >= 0) return result
  const why = errno()
  // Interrupted is like "not now": poll returns at once then.
  return why === EAGAIN || why === EINTR ? WOULD_BLOCK : BROKEN
}
