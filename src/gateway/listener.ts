/** A place where connections are taken. While something else is there it is tried again, since that may go away. */
import { createServer, type Server, type Socket } from 'node:net'
import type { ListenerState, SocketAddress } from './gateway-command.ts'
import { SOCKET_OPTIONS } from './relay.ts'

const RETRY_MS = 1000
/** Each costs two descriptors and its buffers. More than an instance of a database can have. */
const CONNECTIONS_MAX = 10_000
/** Connections that have come and were not taken yet: a fleet of clients that connects at once waits here. */
const BACKLOG = 4096

export class Listener {
  readonly place: SocketAddress
  readonly #onConnection: (socket: Socket) => void
  readonly #onChange: () => void
  #server: Server | undefined
  #retry: NodeJS.Timeout | undefined
  #state: ListenerState = 'opening'
  #problem: string | null = null

  /**
   * @param onConnection gets sockets that do not read yet
   * @param onChange of state or problem
   */
  constructor(place: SocketAddress, onConnection: (socket: Socket) => void, onChange: () => void) {
    this.place = place
    this.#onConnection = onConnection
    this.#onChange = onChange
    this.#open()
  }

  get state(): ListenerState {
    return this.#state
  }

  get problem(): string | null {
    return this.#problem
  }

  #open(): void {
    const { address, port } = this.place
    const server = createServer({ ...SOCKET_OPTIONS, pauseOnConnect: true }, this.#onConnection)
    this.#server = server
    server.maxConnections = CONNECTIONS_MAX
    server.once('listening', () => this.#become('listening', null))
    server.on('error', (error) => {
      // Of one that listens: a connection that could not be taken.
      if (server.listening) return
      this.#become('failed', error.message)
      this.#retry = setTimeout(() => this.#open(), RETRY_MS)
    })
    server.listen({ host: address, port, backlog: BACKLOG, exclusive: true })
  }

  #become(state: ListenerState, problem: string | null): void {
    if (this.#state === state && this.#problem === problem) return
    this.#state = state
    this.#problem = problem
    this.#onChange()
  }

  /** The place is free when this returns; connections stay. */
  close(): void {
    clearTimeout(this.#retry)
    this.#server?.close()
  }
}
