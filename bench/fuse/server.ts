/**
 * `node bench/fuse/server.ts PATH files|blocks`: serves files kept in memory, or the file system over blocks in memory.
 * What is durable was sent to another thread over TCP and echoed, as an acknowledgement of a network is. Prints `ready`.
 */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import type { FileOperations, Timestamp } from '../../src/filesystem/file-operations.ts'
import { FileSystem } from '../../src/filesystem/file-system.ts'
import { MemoryDevice } from '../../src/filesystem/memory-device.ts'
import { mountFiles } from '../../src/fuse/fuse-mount.ts'
import type { Lsn } from '../../src/protocol/lsn.ts'
import { MemoryFiles } from '../../test/memory-files.ts'

const MESSAGE_BYTES = 1024

/** Echoes whatever comes. */
async function echo(): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address !== null && typeof address === 'object') parentPort?.postMessage(address.port)
}

/** Sends a message and answers when it is back. */
class Acknowledged {
  readonly #socket: Socket
  readonly #waiting: (() => void)[] = []
  readonly #message = new Uint8Array(MESSAGE_BYTES)
  #received = 0

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.on('data', ({ length }) => {
      for (this.#received += length; this.#received >= MESSAGE_BYTES; this.#received -= MESSAGE_BYTES) {
        this.#waiting.shift()?.()
      }
    })
  }

  send(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.#socket.write(this.#message)
    })
  }
}

/** Blocks in memory whose sync is acknowledged. */
class AcknowledgedDevice extends MemoryDevice {
  readonly #acknowledged: Acknowledged
  constructor(acknowledged: Acknowledged) {
    super()
    this.#acknowledged = acknowledged
  }
  override sync(): Promise<Lsn> {
    return this.#acknowledged.send().then(() => super.sync())
  }
}

function now(): Timestamp {
  const ms = Date.now()
  return { seconds: Math.floor(ms / 1000), nanoseconds: (ms % 1000) * 1_000_000 }
}

async function filesOf(kind: string, acknowledged: Acknowledged): Promise<FileOperations> {
  if (kind === 'blocks') {
    const device = new AcknowledgedDevice(acknowledged)
    await FileSystem.format(device, { now })
    return FileSystem.attach(device, { now })
  }
  const files = new MemoryFiles()
  files.waitForSync = () => acknowledged.send()
  return files
}

async function serve(): Promise<void> {
  const [path = '', kind = 'files'] = process.argv.slice(2)
  const [port] = (await once(new Worker(new URL(import.meta.url)), 'message')) as [number]
  const mount = await mountFiles(path, await filesOf(kind, new Acknowledged(port)))
  process.once('SIGTERM', () => void mount.unmount())
  console.log('ready')
  await mount.ended
  process.exit()
}

await (isMainThread ? serve() : echo())
