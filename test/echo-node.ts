/**
 * A small node for the tests of the shells around a real one. Messages:
 *   ECHO      answered with ECHOED after the next commit, which writes one durable page
 *   RELAY     u8 length, address, payload: ECHO of the payload to that peer, whose answer goes back to the asker
 *   WORK      u32: so many background slices to do
 *   STATE     answered at once with JSON of what happened so far
 *   FLOOD     u32: answered at once with so many bytes, type FLOOD
 *   FAIL      text: throws; 'Invariant' a broken rule, anything else an ordinary error
 */
import { VolumeError } from '../src/protocol/errors.ts'
import { alignedBuffer, DISK_ALIGNMENT } from '../src/storage/aligned.ts'
import type { Disk, DiskFile } from '../src/storage/disk.ts'
import type { CreateNode, NodeConfig, NodeEnv, NodePort } from '../src/storage/node-port.ts'

export const Echo = { ECHO: 1, ECHOED: 2, RELAY: 3, WORK: 4, STATE: 5, FLOOD: 6, FAIL: 7 } as const

export interface EchoState {
  ticks: number
  slices: number
  commits: number
  closed: number[]
  /** Longest time without a tick, in ms. */
  tickGapMs: number
}

class EchoNode implements NodePort {
  readonly incarnation: string
  readonly #env: NodeEnv
  readonly #disk: Disk
  readonly #log: DiskFile
  readonly #page = alignedBuffer(DISK_ALIGNMENT)
  readonly #answers: { connection: number; message: Uint8Array[] }[] = []
  readonly #state: EchoState = { ticks: 0, slices: 0, commits: 0, closed: [], tickGapMs: 0 }
  #work = 0
  #asker = 0
  #tickedAt: number

  constructor(env: NodeEnv, disk: Disk, config: NodeConfig) {
    this.incarnation = `${config.node} in ${config.zone}`
    this.#env = env
    this.#disk = disk
    this.#tickedAt = env.now()
    this.#log = disk.create('log')
    this.#log.allocate(1 << 20)
  }

  receive(connection: number, type: number, body: Uint8Array): void {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
    switch (type) {
      case Echo.ECHO:
        this.#answers.push({ connection, message: [Uint8Array.of(Echo.ECHOED), body.slice()] })
        break
      case Echo.ECHOED:
        this.#env.reply(this.#asker, [Uint8Array.of(Echo.ECHOED), body])
        break
      case Echo.RELAY: {
        const end = 1 + view.getUint8(0)
        this.#asker = connection
        this.#env.sendTo(Buffer.from(body.subarray(1, end)).toString(), [Uint8Array.of(Echo.ECHO), body.subarray(end)])
        break
      }
      case Echo.WORK:
        this.#work += view.getUint32(0, true)
        break
      case Echo.STATE:
        this.#env.reply(connection, [Uint8Array.of(Echo.STATE), Buffer.from(JSON.stringify(this.#state))])
        break
      case Echo.FLOOD:
        this.#env.reply(connection, [Uint8Array.of(Echo.FLOOD), new Uint8Array(view.getUint32(0, true))])
        break
      case Echo.FAIL: {
        const text = Buffer.from(body).toString()
        throw text === 'Invariant' ? new VolumeError('Invariant', 'asked to break') : new Error(text)
      }
    }
  }

  connectionClosed(connection: number): void {
    this.#state.closed.push(connection)
  }

  commit(): void {
    this.#state.commits++
    if (this.#answers.length === 0) return
    this.#log.writeDurable(0, this.#page)
    for (const { connection, message } of this.#answers.splice(0)) this.#env.reply(connection, message)
  }

  background(): boolean {
    if (this.#work === 0) return false
    this.#work--
    this.#state.slices++
    const until = this.#env.now() + 0.5
    while (this.#env.now() < until);
    return this.#work > 0
  }

  tick(): void {
    const now = this.#env.now()
    this.#state.ticks++
    this.#state.tickGapMs = Math.max(this.#state.tickGapMs, now - this.#tickedAt)
    this.#tickedAt = now
  }

  close(): void {
    this.#log.close()
    this.#disk.create('closed').close()
  }
}

export const createStorageNode: CreateNode = (env, disk, config) => new EchoNode(env, disk, config)
