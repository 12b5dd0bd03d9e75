/**
 * An instance that runs and is in no list, as whoever started it was killed in that very moment: it is known by the socket
 * that it listens on.
 */
import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import { parseReport } from '../../instance/instance-report.ts'
import { endAll, identify, type ProcessIdentity } from './process-identity.ts'

/** Whoever listens greets at once; one that stands still does not. */
const GREETING_MS_MAX = 1000

/** @returns undefined when nobody listens there */
export function whoListens(socketPath: string): Promise<ProcessIdentity | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(socketPath)
    const found = (pid?: number): void => {
      clearTimeout(late)
      socket.destroy()
      resolve(pid === undefined ? undefined : identify(pid))
    }
    const late = setTimeout(found, GREETING_MS_MAX)
    socket.once('error', () => found())
    createInterface({ input: socket })
      .once('line', (line) => found(parseReport(line)?.pid))
      .on('error', () => {})
  })
}

/** In order; after `msMax` at once. @returns how many there were */
export async function endUnlisted(socketPath: string, msMax: number): Promise<number> {
  const process = await whoListens(socketPath)
  return process === undefined ? 0 : endAll([process], msMax)
}
