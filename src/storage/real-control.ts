/**
 * How a process that outlives who started it is reached: a socket of the local machine, lines of JSON both ways. Whoever
 * connects is greeted and hears everything from then on; several may, such as the old and the new control plane.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'

export interface ControlServer {
  /** To everybody who listens. */
  broadcast(message: object): void
  /** The socket is gone. Resolves when everybody has heard what was said, or does not listen. */
  close(): Promise<void>
}

const CLOSE_MS_MAX = 1000

/** One who reads nothing any more is not waited for. */
const UNREAD_BYTES_MAX = 4 << 20

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/**
 * @param onMessage what a client said, if it was JSON
 * @param greet what it hears first
 * @throws Error when another process listens there
 */
export async function serveControl(
  path: string,
  onMessage: (message: unknown) => void,
  greet: () => object,
): Promise<ControlServer> {
  if (await isServed(path)) throw new Error(`another process listens on ${path}`)
  rmSync(path, { force: true })
  const clients = new Set<Socket>()
  const send = (client: Socket, message: object): void => {
    if (client.writableLength > UNREAD_BYTES_MAX) client.destroy()
    else if (client.writable) client.write(`${JSON.stringify(message)}\n`)
  }
  const server = createServer((client) => {
    clients.add(client)
    client.once('close', () => clients.delete(client))
    client.on('error', () => client.destroy())
    const lines = createInterface({ input: client })
    // Its connection's, which are heard of above.
    lines.on('error', () => {})
    lines.on('line', (line) => {
      const message = parseLine(line)
      if (message !== undefined) onMessage(message)
    })
    send(client, greet())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
  return {
    broadcast: (message) => {
      for (const client of clients) send(client, message)
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const client of clients) client.end()
      await Promise.race([closed, pause(CLOSE_MS_MAX, undefined, { ref: false })])
    },
  }
}

/** undefined for what is no JSON. */
export function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
