/**
 * The agent of another machine. While it cannot be reached, what it said last is what is known, and grows old: its
 * instances fall silent, which is what the loops act upon.
 */
import { createInterface } from 'node:readline'
import { connect, type TLSSocket } from 'node:tls'
import type { InstanceCommand } from '../../instance/instance-command.ts'
import type { Ending } from '../cluster-records.ts'
import type { HostAgent, HostLogFile, InstanceOrder, SeenInstance } from '../host-agent.ts'
import { type AgentMessage, type Asked, unaged } from './agent-messages.ts'
import type { PeerCredentials } from './agent-server.ts'

export interface RemoteAgentPlace {
  readonly host: string
  readonly port: number
  readonly credentials: PeerCredentials
}

const RECONNECT_MS = 200

/** Its host does not answer. Whether what was asked was done is not known; it is planned again. */
export class AgentUnreachable extends Error {
  constructor() {
    super('the host does not answer')
    this.name = 'AgentUnreachable'
  }
}

interface Waiting {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

export class RemoteAgent implements HostAgent {
  readonly #place: RemoteAgentPlace
  readonly #seen = new Map<string, SeenInstance>()
  readonly #listeners: ((name: string) => void)[] = []
  readonly #waiting = new Map<number, Waiting>()
  #socket: TLSSocket | undefined
  #next = 0
  #isClosed = false
  #timer: NodeJS.Timeout | undefined

  constructor(place: RemoteAgentPlace) {
    this.#place = place
    this.#connect()
  }

  #connect(): void {
    const { host, port, credentials } = this.#place
    const { certificate, key, authorityCertificate } = credentials
    const socket = connect({ host, port, cert: certificate, key, ca: authorityCertificate, minVersion: 'TLSv1.3' })
    socket.on('error', () => socket.destroy())
    socket.once('secureConnect', () => {
      this.#socket = socket
    })
    createInterface({ input: socket })
      .on('line', (line) => this.#heard(JSON.parse(line) as AgentMessage))
      .on('error', () => {})
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = undefined
      for (const { reject } of this.#waiting.values()) reject(new AgentUnreachable())
      this.#waiting.clear()
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#connect(), RECONNECT_MS).unref()
    })
  }

  #heard(message: AgentMessage): void {
    if (!('seen' in message)) {
      const waiting = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if ('error' in message)
        waiting?.reject(Object.assign(new Error(message.error.message), { name: message.error.name }))
      else waiting?.resolve(message.result)
      return
    }
    const nowMs = performance.now()
    const now = new Map(message.seen.map((each) => [each.name, unaged(each, nowMs)]))
    const names = new Set([...this.#seen.keys(), ...now.keys()])
    for (const name of names) {
      const before = this.#seen.get(name)
      const after = now.get(name)
      if (after === undefined) this.#seen.delete(name)
      else this.#seen.set(name, after)
      const isNews = JSON.stringify(essence(before)) !== JSON.stringify(essence(after))
      if (isNews) for (const listener of this.#listeners) listener(name)
    }
  }

  #ask(what: Asked, ...given: readonly unknown[]): Promise<unknown> {
    const socket = this.#socket
    if (socket === undefined) return Promise.reject(new AgentUnreachable())
    const id = this.#next++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.set(id, { resolve, reject })
    socket.write(`${JSON.stringify({ id, do: what, arguments: given })}\n`)
    return promise
  }

  seen(): ReadonlyMap<string, SeenInstance> {
    return this.#seen
  }

  onChange(listener: (name: string) => void): void {
    this.#listeners.push(listener)
  }

  async start(order: InstanceOrder): Promise<void> {
    await this.#ask('start', order)
  }

  async end(name: string, how: Ending): Promise<void> {
    await this.#ask('end', name, how)
  }

  async remove(name: string): Promise<void> {
    await this.#ask('remove', name)
  }

  tell(name: string, command: InstanceCommand): void {
    this.#socket?.write(`${JSON.stringify({ do: 'tell', arguments: [name, command] })}\n`)
  }

  async logFiles(name: string): Promise<readonly HostLogFile[]> {
    return (await this.#ask('logFiles', name)) as readonly HostLogFile[]
  }

  async readLogFile(name: string, file: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    const text = (await this.#ask('readLogFile', name, file, offset, length)) as string | null
    return text === null ? undefined : Buffer.from(text, 'base64')
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#socket?.destroy()
  }
}

/** Without figures, which change all the time. */
const essence = (seen: SeenInstance | undefined) =>
  seen && [
    seen.run,
    seen.phase,
    seen.report?.state,
    seen.report?.storage,
    seen.report?.rebuild,
    seen.report?.primary,
    seen.report?.enginePid,
    seen.report?.replacements.count,
  ]
