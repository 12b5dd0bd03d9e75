/** Positions in PostgreSQL's log, as it writes them, and the files they are in. */

/** @throws TypeError for anything but `0/15D68C50` */
export function parseWalLsn(text: string): bigint {
  const [, high, low] = /^([0-9A-F]{1,8})\/([0-9A-F]{1,8})$/i.exec(text) ?? []
  if (high === undefined || low === undefined) throw new TypeError(`${text} is no position in a log`)
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`)
}

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0')

/**
 * A file of the log: the name without the timeline. The same on all timelines, and in the order of the log.
 * @param fileBytes of each file of this log
 */
export function walFileAt(lsn: bigint, fileBytes: number): string {
  const filesPerLog = 2 ** 32 / fileBytes
  const file = Number(lsn / BigInt(fileBytes))
  return hex(Math.floor(file / filesPerLog)) + hex(file % filesPerLog)
}

const WAL_FILE = /^[0-9A-F]{8}([0-9A-F]{16})$/

/** Which file of the log has this name; undefined for the name of anything else. */
export const walFileOf = (name: string): string | undefined => WAL_FILE.exec(name)?.[1]
