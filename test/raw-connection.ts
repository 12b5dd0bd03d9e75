/** A connection to a storage node that says whatever a test wants it to say. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { VolumeError } from '../src/protocol/errors.ts'
import { encodeCall, MessageType, readPage, readResult } from '../src/protocol/message.ts'
import { FrameDecoder, partsBytes, preamble, writeFrame } from '../src/storage/framing.ts'

const ANSWER_MS_MAX = 10_000

export interface RawMessage {
  readonly type: number
  readonly body: Uint8Array
}

export class RawConnection {
  readonly #socket: Socket
  readonly #decoder = new FrameDecoder()
  readonly #messages: RawMessage[] = []
  #wake: () => void = () => {}
  closed = false

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      // The decoder may lend what it was given.
      this.#decoder.push(chunk)
      while (this.#decoder.next()) {
        this.#messages.push({ type: this.#decoder.type, body: this.#decoder.body.slice() })
      }
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.closed = true
      this.#wake()
    })
  }

  /** @param hello the preamble, unless another one is wanted */
  static async open(address: string, hello: Uint8Array = preamble()): Promise<RawConnection> {
    const [host = '', port = ''] = address.split(':')
    const socket = connect({ host, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    const connection = new RawConnection(socket)
    socket.write(hello)
    return connection
  }

  /** Bytes as they are. */
  write(bytes: Uint8Array): void {
    if (!this.closed) this.#socket.write(bytes)
  }

  /** One message, type byte first. */
  send(...parts: Uint8Array[]): void {
    const bytes = partsBytes(parts)
    const frame = new Uint8Array(4 + bytes)
    writeFrame(frame, 0, parts, bytes)
    this.write(frame)
  }

  /** The next message; undefined when the node closed the connection instead. */
  async next(): Promise<RawMessage | undefined> {
    const end = performance.now() + ANSWER_MS_MAX
    while (this.#messages.length === 0 && !this.closed) {
      const left = end - performance.now()
      if (left <= 0) throw new Error('the node neither answered nor closed the connection')
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    return this.#messages.shift()
  }

  /** What came of a call: its value, or the code of the error; undefined when the connection was closed. */
  async call(method: string, argument: unknown): Promise<unknown> {
    this.send(...encodeCall(1, method, argument))
    const message = await this.next()
    if (message === undefined) return undefined
    if (message.type !== MessageType.RESULT) throw new Error(`a call was answered with type ${message.type}`)
    const { outcome } = readResult(message.body)
    return 'error' in outcome ? outcome.error.code : outcome.value
  }

  /** The status of the PAGE that answers what was sent. */
  async page(): Promise<string | undefined> {
    const message = await this.next()
    if (message === undefined) return undefined
    if (message.type !== MessageType.PAGE) throw new VolumeError('BadRequest', `type ${message.type}`)
    return readPage(message.body).status
  }

  close(): void {
    this.#socket.destroy()
  }
}
