import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  crc32c,
  isConsistentBeforeItsEnd,
  newSystemIdentifier,
  setSystemIdentifier,
  setWalIdentifier,
  systemIdentifier,
  wasShutDown,
} from './control-file.ts'

function controlFile(identifier: bigint, checksumAt: number): Buffer {
  const file = Buffer.alloc(8192)
  for (let at = 0; at < checksumAt; at++) file[at] = (at * 7) & 0xff
  file.writeBigUInt64LE(identifier, 0)
  file.writeUInt32LE(crc32c(file.subarray(0, checksumAt)), checksumAt)
  return file
}

describe('the identifier of a database system', () => {
  it('CRC-32C has its check value', () => assert.equal(crc32c(Buffer.from('123456789')), 0xe306_9283))

  for (const checksumAt of [288, 292, 296, 304]) {
    it(`is changed together with a checksum at ${checksumAt}`, () => {
      const file = controlFile(7n, checksumAt)
      setSystemIdentifier(file, 0x1234_5678_9abc_def0n)
      assert.equal(systemIdentifier(file), 0x1234_5678_9abc_def0n)
      assert.equal(file.readUInt32LE(checksumAt), crc32c(file.subarray(0, checksumAt)))
    })
  }

  it('is not read from a damaged control file', () => {
    const file = controlFile(7n, 296)
    file[100] = (file[100] ?? 0) ^ 1
    assert.throws(() => systemIdentifier(file), /no valid checksum/)
  })

  it('is changed in a WAL file of the same system only', () => {
    const wal = Buffer.alloc(64)
    wal.writeBigUInt64LE(7n, 24)
    assert.throws(() => setWalIdentifier(wal, 8n, 9n), /another database system/)
    setWalIdentifier(wal, 7n, 9n)
    assert.equal(wal.readBigUInt64LE(24), 9n)
  })

  it('begins with the second it was made in', () => {
    assert.equal(newSystemIdentifier(5_999, 0xffff_ffff) >> 32n, 5n)
    assert.equal(newSystemIdentifier(5_999, -1) & 0xffff_ffffn, 0xffff_ffffn)
  })
})

describe('the state of a database system', () => {
  it('says whether it was stopped in order, which one in recovery never was', () => {
    for (let state = 0; state <= 6; state++) {
      const file = Buffer.alloc(8192)
      file.writeUInt32LE(state, 16)
      file.writeUInt32LE(crc32c(file.subarray(0, 296)), 296)
      assert.equal(wasShutDown(file), state === 1)
    }
  })

  it('says whether a standby would take it for consistent before the end of its log', () => {
    for (const from of [0n, 0x177_e0a0n]) {
      const file = Buffer.alloc(8192)
      file.writeBigUInt64LE(from, 136)
      file.writeUInt32LE(crc32c(file.subarray(0, 296)), 296)
      assert.equal(isConsistentBeforeItsEnd(file), from !== 0n)
    }
  })
})
