/**
 * Blocks in memory with every change in a file: what a process appended is there for the next one after a SIGKILL, as a
 * volume's log is (the page cache lives on). For tests of processes; the file only ever grows.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { BlockDevice, Change, Eventual } from '../src/filesystem/block-device.ts'
import { MemoryDevice } from '../src/filesystem/memory-device.ts'
import type { BlockNumber, Lsn } from '../src/protocol/lsn.ts'

/** Length of the body, its checksum. */
const HEAD_BYTES = 8
/** Block or trim, its number, bytes or count. */
const CHANGE_BYTES = 24

export class JournalDevice implements BlockDevice {
  readonly blockBytes: number
  readonly readOnly = false
  readonly #memory: MemoryDevice
  readonly #fd: number
  readonly #syncMs: number

  constructor(path: string, { blockBytes = 8192, syncMs = 0 } = {}) {
    this.blockBytes = blockBytes
    this.#memory = new MemoryDevice(blockBytes)
    this.#syncMs = syncMs
    this.#fd = openSync(path, 'a+')
    this.#replay(readFileSync(path))
  }

  get isEmpty(): boolean {
    return this.#memory.blocks.size === 0
  }

  #replay(file: Buffer): void {
    for (let at = 0; at + HEAD_BYTES <= file.length; ) {
      const end = at + HEAD_BYTES + file.readUInt32LE(at)
      const body = file.subarray(at + HEAD_BYTES, end)
      if (end > file.length || crc32(body) !== file.readUInt32LE(at + 4)) throw new Error('the journal is torn')
      this.#memory.append(decode(body))
      at = end
    }
  }

  read(block: BlockNumber): Eventual<Uint8Array> {
    return this.#memory.read(block)
  }
  prepare(): undefined {
    return undefined
  }

  append(changes: readonly Change[]): Lsn {
    const lsn = this.#memory.append(changes)
    const body = encode(changes)
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt32LE(body.length, 0)
    head.writeUInt32LE(crc32(body), 4)
    const entry = Buffer.concat([head, body])
    if (writeSync(this.#fd, entry) !== entry.length) throw new Error('the journal is full')
    return lsn
  }

  async sync(): Promise<Lsn> {
    if (this.#syncMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#syncMs))
    return this.#memory.sync()
  }

  close(): void {
    closeSync(this.#fd)
  }
}

function encode(changes: readonly Change[]): Buffer {
  return Buffer.concat(
    changes.flatMap((change) => {
      const head = Buffer.alloc(CHANGE_BYTES)
      const isTrim = 'trim' in change
      head.writeDoubleLE(isTrim ? 1 : 0, 0)
      head.writeDoubleLE(isTrim ? change.trim : change.block, 8)
      head.writeDoubleLE(isTrim ? change.count : change.bytes.length, 16)
      return isTrim ? [head] : [head, change.bytes]
    }),
  )
}

function decode(body: Buffer): Change[] {
  const changes: Change[] = []
  for (let at = 0; at < body.length; ) {
    const isTrim = body.readDoubleLE(at) === 1
    const number = body.readDoubleLE(at + 8) as BlockNumber
    const count = body.readDoubleLE(at + 16)
    at += CHANGE_BYTES
    if (isTrim) changes.push({ trim: number, count })
    else {
      changes.push({ block: number, bytes: new Uint8Array(body.subarray(at, at + count)) })
      at += count
    }
  }
  return changes
}
