/**
 * The identity of a database cluster. A copy of a data directory has the identifier of its original, and PostgreSQL
 * relies on the difference: a standby streams only from a server that has its own identifier. So a directory made from a
 * template gets a new one, in the two places that hold it: the control file and the first page of each WAL file.
 */
import { EngineError } from '../engine-error.ts'

/** CRC-32C, with which PostgreSQL closes its control file; `node:zlib` has another polynomial. */
function* runningCrc32c(bytes: Uint8Array): Generator<number> {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    yield (crc ^ 0xffff_ffff) >>> 0
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0)
  }
}

export function crc32c(bytes: Uint8Array): number {
  // The last one is asked for with a byte behind the end, which it does not cover.
  const withEnd = new Uint8Array(bytes.length + 1)
  withEnd.set(bytes)
  return [...runningCrc32c(withEnd)].at(-1) ?? 0
}

/** Where the checksum may stand: PostgreSQL 14 to 18 have 288 to 304 bytes in front of it, in a file of 8 KiB. */
const CHECKSUM_AT_MIN = 200
const CHECKSUM_AT_MAX = 512

/** The checksum follows the last field, and the fields differ between versions: found as the one that is right. */
function findChecksum(file: Buffer): number {
  let at = 0
  for (const crc of runningCrc32c(file.subarray(0, CHECKSUM_AT_MAX))) {
    if (at >= CHECKSUM_AT_MIN && at % 4 === 0 && file.readUInt32LE(at) === crc) return at
    at++
  }
  throw new EngineError('NotADataDirectory', 'the control file of PostgreSQL has no valid checksum')
}

export function systemIdentifier(controlFile: Buffer): bigint {
  findChecksum(controlFile)
  return controlFile.readBigUInt64LE(0)
}

/** `DBState` of pg_control.h, the same from 14 to 18: 1 is a primary that wrote its last checkpoint and stopped. */
const STATE_AT = 16
const SHUT_DOWN = 1

/** Whether the system was stopped in order, as a primary: there is nothing to recover. */
export function wasShutDown(controlFile: Buffer): boolean {
  findChecksum(controlFile)
  return controlFile.readUInt32LE(STATE_AT) === SHUT_DOWN
}

/** `minRecoveryPoint`, at the same place from 14 to 18. */
const CONSISTENT_FROM_AT = 136

/**
 * Whether a standby would take pages for consistent from somewhere in the log on, and not at its end only: those of a
 * standby, and those of a primary that was promoted and has not written a checkpoint since.
 */
export function isConsistentBeforeItsEnd(controlFile: Buffer): boolean {
  findChecksum(controlFile)
  return controlFile.readBigUInt64LE(CONSISTENT_FROM_AT) !== 0n
}

export function setSystemIdentifier(controlFile: Buffer, identifier: bigint): void {
  const checksumAt = findChecksum(controlFile)
  controlFile.writeBigUInt64LE(identifier, 0)
  controlFile.writeUInt32LE(crc32c(controlFile.subarray(0, checksumAt)), checksumAt)
}

/** Behind the 20 bytes that every WAL page begins with, padded (`XLogLongPageHeaderData`). */
const WAL_IDENTIFIER_AT = 24

export function setWalIdentifier(walFile: Buffer, from: bigint, to: bigint): void {
  if (walFile.readBigUInt64LE(WAL_IDENTIFIER_AT) !== from) {
    throw new EngineError('NotADataDirectory', 'a WAL file is of another database system than the control file')
  }
  walFile.writeBigUInt64LE(to, WAL_IDENTIFIER_AT)
}

/** As `initdb` makes them: seconds in the upper half, what tells apart those of one second in the lower. */
export const newSystemIdentifier = (nowMs: number, random32: number): bigint =>
  (BigInt(Math.floor(nowMs / 1000)) << 32n) | BigInt(random32 >>> 0)
