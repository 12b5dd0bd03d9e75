/**
 * Passes connections on, with a delay in each direction:
 *
 *   node bench/pgbench/delay-main.ts MICROSECONDS
 *
 * Takes a target, HOST:PORT, from each line of its input, and answers with the address to use instead. Timers of Node
 * know milliseconds only, so this one is the kernel's (timerfd), read by the event loop.
 */
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { libc as fuseLibc, NativeBytes, ReadableWatch } from '../../src/fuse/real-libc.ts'

const ffi = process.getBuiltinModule('node:ffi')
const libc = ffi.dlopen('libc.so.6', {
  timerfd_create: { return: 'i32', arguments: ['i32', 'i32'] },
  timerfd_settime: { return: 'i32', arguments: ['i32', 'i32', 'pointer', 'pointer'] },
}).functions

const CLOCK_MONOTONIC = 1
const TFD_NONBLOCK = 0o4000

interface Passage {
  readonly dueMs: number
  readonly pass: () => void
}

const delayMs = Number(process.argv[2]) / 1000
const timer = libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
/** `struct itimerspec`: interval and value, each of seconds and nanoseconds. */
const when = new NativeBytes(32)
const expirations = new NativeBytes(8)
const waiting: Passage[] = []

function arm(): void {
  const next = waiting[0]
  if (next === undefined) return
  const ns = Math.max(1, Math.round((next.dueMs - performance.now()) * 1e6))
  when.view.setBigInt64(16, BigInt(Math.floor(ns / 1e9)), true)
  when.view.setBigInt64(24, BigInt(ns % 1e9), true)
  libc.timerfd_settime(timer, 0, when.address, 0n)
}

/** All delays are the same, so what comes first goes first. */
function later(pass: () => void): void {
  waiting.push({ dueMs: performance.now() + delayMs, pass })
  if (waiting.length === 1) arm()
}

new ReadableWatch(timer, () => {
  fuseLibc.read(timer, expirations.address, 8n)
  const now = performance.now()
  let count = 0
  while (count < waiting.length && (waiting[count] as Passage).dueMs <= now) count++
  for (const { pass } of waiting.splice(0, count)) pass()
  arm()
}).start()

function pipe(from: Socket, to: Socket): void {
  from.on('data', (bytes) => later(() => to.write(bytes)))
  from.on('close', () => later(() => to.destroy()))
  from.on('error', () => {})
}

async function listen(target: string): Promise<string> {
  const [host = '', port = ''] = target.split(':')
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host, port: Number(port), noDelay: true })
    pipe(near, far)
    pipe(far, near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
}

for await (const target of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await listen(target)}\n`)
}
