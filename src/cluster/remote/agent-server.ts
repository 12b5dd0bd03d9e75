/** A host agent on a port: for control planes that show a certificate of the region's own authority, and nobody else. */

import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { HostAgent } from '../host-agent.ts'
import { type AgentMessage, type Asked, aged, type Request, type Tell } from './agent-messages.ts'

export interface PeerCredentials {
  /** PEM */
  readonly certificate: string
  readonly key: string
  /** Of the authority that signed the certificates of both ends. */
  readonly authorityCertificate: string
}

/** As often as instances speak. */
const TELL_MS = 500
/** One who reads nothing any more is not waited for. */
const UNREAD_BYTES_MAX = 16 << 20

export class AgentServer {
  readonly #agent: HostAgent
  readonly #server: Server
  readonly #clients = new Set<TLSSocket>()
  readonly #timer: NodeJS.Timeout

  private constructor(agent: HostAgent, { certificate, key, authorityCertificate }: PeerCredentials) {
    this.#agent = agent
    this.#server = createServer(
      { cert: certificate, key, ca: authorityCertificate, requestCert: true, minVersion: 'TLSv1.3' },
      (client) => this.#serve(client),
    )
    // Whoever shows no certificate is refused before this; what is left to do is not to fall over it.
    this.#server.on('tlsClientError', () => {})
    agent.onChange(() => this.#tellAll())
    this.#timer = setInterval(() => this.#tellAll(), TELL_MS).unref()
  }

  /** @param port 0: one that is free */
  static async listen(
    agent: HostAgent,
    credentials: PeerCredentials,
    host: string,
    port: number,
  ): Promise<AgentServer> {
    const server = new AgentServer(agent, credentials)
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject)
      server.#server.listen(port, host, resolve)
    })
    return server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  #serve(client: TLSSocket): void {
    this.#clients.add(client)
    client.once('close', () => this.#clients.delete(client))
    client.on('error', () => client.destroy())
    createInterface({ input: client })
      .on('line', (line) => void this.#heard(client, line))
      .on('error', () => {})
    this.#tell(client)
  }

  #send(client: TLSSocket, message: AgentMessage): void {
    if (client.writableLength > UNREAD_BYTES_MAX) client.destroy()
    else if (client.writable) client.write(`${JSON.stringify(message)}\n`)
  }

  #tell(client: TLSSocket): void {
    const nowMs = performance.now()
    this.#send(client, { seen: [...this.#agent.seen().values()].map((each) => aged(each, nowMs)) })
  }

  #tellAll(): void {
    for (const client of this.#clients) this.#tell(client)
  }

  async #heard(client: TLSSocket, line: string): Promise<void> {
    const message = JSON.parse(line) as Request | Tell
    if (message.do === 'tell') {
      this.#agent.tell(...(message.arguments as Parameters<HostAgent['tell']>))
      return
    }
    try {
      const result = await this.#do(message.do, message.arguments)
      // What is seen by then comes before the answer: who asked looks at it next.
      this.#tell(client)
      this.#send(client, { id: message.id, result })
    } catch (error) {
      const { name, message: text } = error instanceof Error ? error : new Error(String(error))
      this.#tell(client)
      this.#send(client, { id: message.id, error: { name, message: text } })
    }
  }

  async #do(what: Asked, given: readonly unknown[]): Promise<unknown> {
    switch (what) {
      case 'start':
        return this.#agent.start(...(given as Parameters<HostAgent['start']>))
      case 'end':
        return this.#agent.end(...(given as Parameters<HostAgent['end']>))
      case 'remove':
        return this.#agent.remove(...(given as Parameters<HostAgent['remove']>))
      case 'logFiles':
        return this.#agent.logFiles(...(given as Parameters<HostAgent['logFiles']>))
      case 'readLogFile': {
        const bytes = await this.#agent.readLogFile(...(given as Parameters<HostAgent['readLogFile']>))
        return bytes === undefined ? null : Buffer.from(bytes).toString('base64')
      }
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const client of this.#clients) client.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
