/** What everything is held against: one process that appends to one file and makes it durable. */
import { closeSync, fdatasyncSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Round } from './samples.ts'
import { median, quantile } from './samples.ts'

/** Appends `bytes` and syncs, again and again, for so long. The file grows, as a log without preallocation does. */
export function rawAppends(folder: string, bytes: Uint8Array, ms: number): Round {
  const path = join(folder, 'raw-loop')
  const fd = openSync(path, 'w')
  const times: number[] = []
  const from = performance.now()
  const cpu = process.cpuUsage()
  try {
    for (let now = from; now < from + ms; ) {
      writeSync(fd, bytes)
      fdatasyncSync(fd)
      const then = performance.now()
      times.push((then - now) * 1000)
      now = then
    }
  } finally {
    closeSync(fd)
    unlinkSync(path)
  }
  const { user, system } = process.cpuUsage(cpu)
  const seconds = (performance.now() - from) / 1000
  return {
    p50: median(times),
    p99: quantile(times, 0.99),
    rate: times.length / seconds,
    throughput: (times.length * bytes.length) / 1e6 / seconds,
    driver: (user + system) / times.length,
    shipped: bytes.length,
  }
}

/** A file of `blocks` random blocks, to be read in random order. */
export class RawFile {
  readonly #path: string
  readonly #fd: number
  readonly #blocks: number
  readonly #blockBytes: number

  constructor(folder: string, blocks: number, blockBytes: number, content: Uint8Array) {
    this.#path = join(folder, 'raw-file')
    this.#fd = openSync(this.#path, 'w+')
    this.#blocks = blocks
    this.#blockBytes = blockBytes
    for (let left = blocks * blockBytes; left > 0; left -= content.length)
      writeSync(this.#fd, content, 0, Math.min(left, content.length))
    fdatasyncSync(this.#fd)
  }

  /** Reads random blocks, one after the other, for so long. */
  reads(ms: number): Round {
    const into = new Uint8Array(this.#blockBytes)
    const times: number[] = []
    const from = performance.now()
    for (let now = from; now < from + ms; ) {
      readSync(this.#fd, into, 0, into.length, Math.floor(Math.random() * this.#blocks) * this.#blockBytes)
      const then = performance.now()
      times.push((then - now) * 1000)
      now = then
    }
    return { p50: median(times), p99: quantile(times, 0.99), rate: (times.length * 1000) / (performance.now() - from) }
  }

  close(): void {
    closeSync(this.#fd)
    unlinkSync(this.#path)
  }
}
