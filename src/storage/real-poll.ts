/**
 * The descriptors that a thread waits for, in the form poll(2) takes. A removed place is filled by the last one.
 *
 * Hot path: two 32-bit words per descriptor, no objects. poll is linear in their number, which is tens here;
 * measured 0.3 us and the system call.
 */
import { EINTR, errno, libc, libcFailure, NativeBytes } from './real-libc.ts'

export const POLL_IN = 1
export const POLL_OUT = 4

const POLLFD_BYTES = 8

export class PollSet<Owner> {
  readonly owners: Owner[] = []
  #native = new NativeBytes(64 * POLLFD_BYTES)
  /** Descriptor, then events in the low and what happened in the high 16 bits (little endian). */
  #words = new Int32Array(this.#native.bytes.buffer)

  /** Answers its slot. */
  add(owner: Owner, fd: number, events: number): number {
    const slot = this.owners.length
    if ((slot + 1) * POLLFD_BYTES > this.#native.bytes.length) {
      const grown = new NativeBytes(this.#native.bytes.length * 2)
      grown.bytes.set(this.#native.bytes)
      this.#native = grown
      this.#words = new Int32Array(grown.bytes.buffer)
    }
    this.owners.push(owner)
    this.#words[2 * slot] = fd
    this.#words[2 * slot + 1] = events
    return slot
  }

  /** Answers the owner that moved into the slot, if one did. */
  remove(slot: number): Owner | undefined {
    const last = this.owners.length - 1
    const moved = this.owners.pop()
    if (slot === last || moved === undefined) return undefined
    this.owners[slot] = moved
    this.#words[2 * slot] = this.#words[2 * last]!
    this.#words[2 * slot + 1] = this.#words[2 * last + 1]!
    return moved
  }

  watch(slot: number, events: number): void {
    this.#words[2 * slot + 1] = events
  }

  /** What the last `wait` saw, beyond `POLL_IN` and `POLL_OUT` also errors: not 0 when there is something to do. */
  happened(slot: number): number {
    return this.#words[2 * slot + 1]! >>> 16
  }

  /** Number of descriptors with something to do, at most `timeoutMs` from now. */
  wait(timeoutMs: number): number {
    const ready = libc.poll(this.#native.address, BigInt(this.owners.length), timeoutMs)
    if (ready >= 0) return ready
    const why = errno()
    if (why !== EINTR) throw libcFailure('poll', why)
    for (let slot = 0; slot < this.owners.length; slot++) this.#words[2 * slot + 1]! &= 0xffff
    return 0
  }
}
