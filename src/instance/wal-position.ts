/** Positions in PostgreSQL's log, as it writes them, and the files they are in. */

export const WAL_SEGMENT_BYTES = 16 << 20
const SEGMENTS_PER_LOG = 2 ** 32 / WAL_SEGMENT_BYTES

/** @throws TypeError for anything but `0/15D68C50` */
export function parseWalLsn(text: string): bigint {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? []
  if (high === undefined || low === undefined) throw new TypeError(`${text} is no position in a log`)
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

/** Which file of the log a position is in, counted from the beginning of all timelines. */
export const segmentOf = (lsn: bigint): number => Number(lsn / BigInt(WAL_SEGMENT_BYTES))

export interface WalFile {
  readonly timeline: number
  readonly segment: number
}

const WAL_FILE = /^[0-9A-F]{24}$/

/** undefined for the name of anything else. */
export function parseWalFile(name: string): WalFile | undefined {
  if (!WAL_FILE.test(name)) return undefined
  const part = (from: number): number => Number.parseInt(name.slice(from, from + 8), 16)
  return { timeline: part(0), segment: part(8) * SEGMENTS_PER_LOG + part(16) }
}

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0')

export const walFileName = ({ timeline, segment }: WalFile): string =>
  hex(timeline) + hex(Math.floor(segment / SEGMENTS_PER_LOG)) + hex(segment % SEGMENTS_PER_LOG)
