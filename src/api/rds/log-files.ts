/** Operations on the engines' log files. */
import type {
  DescribeDBLogFilesMessage,
  DescribeDBLogFilesResponse,
  DownloadDBLogFilePortionDetails,
  DownloadDBLogFilePortionMessage,
} from '@aws-sdk/client-rds'
import type { LogFile } from '../../cluster/control-plane.ts'
import { fault, invalidValue } from '../api-error.ts'
import type { Call, Operation } from './call.ts'
import { instanceNamed } from './instances.ts'
import { filtered, page } from './pages.ts'

/** AWS: a portion has a megabyte or 10,000 lines at most. */
const PORTION_BYTES_MAX = 1 << 20
const PORTION_LINES_MAX = 10_000

const NEWLINE = 0x0a

export const describeDBLogFiles: Operation<DescribeDBLogFilesMessage, DescribeDBLogFilesResponse> = async (
  input,
  call,
) => {
  const { name } = instanceNamed(call, input.DBInstanceIdentifier)
  const { FilenameContains: part = '', FileLastWritten: sinceMs = 0, FileSize: bytesMin = 0 } = input
  const files = (await call.plane.logFiles(name)).filter(
    (file) => file.name.includes(part) && file.writtenMs >= sinceMs && file.bytes >= bytesMin,
  )
  const { items, marker } = page(filtered(files, input, {}), input, (file) => file.name)
  return {
    Marker: marker,
    DescribeDBLogFiles: items.map((file) => ({
      LogFileName: file.name,
      LastWritten: Math.floor(file.writtenMs),
      Size: file.bytes,
    })),
  }
}

async function fileNamed(call: Call, instance: string, name: string): Promise<LogFile> {
  const file = (await call.plane.logFiles(instance)).find((each) => each.name === name)
  if (file === undefined) throw fault('DBLogFileNotFoundFault', `DBLog File: ${name}, is not found on the DB instance`)
  return file
}

/** How many bytes the first lines have; all, when there are fewer. */
function linesLength(bytes: Uint8Array, lines: number): number {
  let end = 0
  for (let line = 0; line < lines && end < bytes.length; line++) {
    const newline = bytes.indexOf(NEWLINE, end)
    end = newline < 0 ? bytes.length : newline + 1
  }
  return end
}

/** Where the last lines begin. */
function lastLinesFrom(bytes: Uint8Array, lines: number): number {
  // A newline at the end ends the last line, and begins none.
  let end = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length
  for (let line = 0; line < lines; line++) {
    const newline = end === 0 ? -1 : bytes.lastIndexOf(NEWLINE, end - 1)
    if (newline < 0) return 0
    end = newline
  }
  return end + 1
}

/** What a limit in bytes cut in the middle of a line waits for the next portion, unless there is nothing else. */
function wholeLines(bytes: Uint8Array, isEnd: boolean): Uint8Array {
  const newline = bytes.lastIndexOf(NEWLINE)
  return isEnd || newline < 0 ? bytes : bytes.subarray(0, newline + 1)
}

function offsetGiven(marker: string): number {
  const offset = Number(marker)
  if (!/^\d{1,15}$/.test(marker)) throw invalidValue(`Invalid Marker: ${marker.slice(0, 80)}`)
  return offset
}

/**
 * Without a marker, the end of the file; with the marker `0`, from its beginning; with one that was given, from where
 * that portion ended. So a file that is still written can be followed.
 */
export const downloadDBLogFilePortion: Operation<
  DownloadDBLogFilePortionMessage,
  DownloadDBLogFilePortionDetails
> = async (input, call) => {
  const { name: instance } = instanceNamed(call, input.DBInstanceIdentifier)
  const { Marker: marker, NumberOfLines = 0 } = input
  const lines = NumberOfLines > 0 ? Math.min(NumberOfLines, PORTION_LINES_MAX) : PORTION_LINES_MAX
  const file = await fileNamed(call, instance, input.LogFileName ?? '')
  const { name, bytes: size } = file
  const fromEnd = marker === undefined || marker === ''
  const offset = fromEnd ? Math.max(0, size - PORTION_BYTES_MAX) : Math.min(offsetGiven(marker), size)
  const length = Math.min(size - offset, PORTION_BYTES_MAX)
  const read = await call.plane.readLogFile(instance, name, offset, length)
  const whole = wholeLines(read, offset + read.length >= size)
  const portion = fromEnd ? whole.subarray(lastLinesFrom(whole, lines)) : whole.subarray(0, linesLength(whole, lines))
  const end = fromEnd ? offset + whole.length : offset + portion.length
  return {
    LogFileData: Buffer.from(portion).toString('utf8'),
    Marker: `${end}`,
    AdditionalDataPending: end < size,
  }
}
