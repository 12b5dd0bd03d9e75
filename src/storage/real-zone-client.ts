/** Asks a process with storage nodes for something, by its control socket. */
import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import type { ZoneCommand, ZoneReport } from './real-zone-control.ts'

/** It answers at once, unless it stands still. */
const ANSWER_MS_MAX = 5000

/**
 * @param command what to do; undefined only asks how it is
 * @returns how it is, after the command
 * @throws Error when nobody listens there, or nobody answers
 */
export async function askZone(path: string, command?: ZoneCommand): Promise<ZoneReport> {
  const socket = createConnection(path)
  const failed = new Promise<never>((_, reject) => socket.once('error', reject))
  failed.catch(() => {})
  socket.setTimeout(ANSWER_MS_MAX, () => socket.destroy(new Error(`${path} does not answer`)))
  try {
    const lines = createInterface({ input: socket })
    lines.on('error', () => {})
    const reports = lines[Symbol.asyncIterator]()
    const next = async (): Promise<ZoneReport> => {
      const { value, done } = await Promise.race([reports.next(), failed])
      if (done === true) throw new Error(`${path} was closed`)
      return JSON.parse(value) as ZoneReport
    }
    const greeting = await next()
    if (command === undefined) return greeting
    socket.write(`${JSON.stringify(command)}\n`)
    return command.do === 'fault' || command.do === 'heal' ? await next() : greeting
  } finally {
    // What was written is sent before the end.
    socket.destroySoon()
  }
}
