/**
 * What `src/storage/host-main.ts` would be with event loops: the same nodes, each in a thread with a `net` server.
 * Takes NAME=FOLDER arguments and prints the same line.
 */
import { createServer } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { nodeId } from '../../src/protocol/lsn.ts'
import { FrameDecoder, partsBytes, preamble, writeFrame } from '../../src/storage/framing.ts'
import { RealDisk } from '../../src/storage/real-disk.ts'
import { createStorageNode } from '../../test/echo-node.ts'

async function host(args: readonly string[]): Promise<void> {
  const nodes = await Promise.all(
    args.map(async (argument) => {
      const [name, folder] = argument.split('=')
      const worker = new Worker(new URL(import.meta.url), { workerData: { name, folder } })
      worker.on('error', (error) => {
        throw error
      })
      return { node: name, address: await new Promise((resolve) => worker.once('message', resolve)) }
    }),
  )
  process.stdout.write(`${JSON.stringify({ ready: true, nodes })}\n`)
  process.on('SIGTERM', () => process.exit(0))
}

function serve({ name, folder }: { name: string; folder: string }): void {
  const out = new Map<number, (message: readonly Uint8Array[]) => void>()
  const node = createStorageNode(
    {
      now: () => performance.now(),
      wallClock: Date.now,
      random: Math.random,
      reply: (connection, message) => out.get(connection)?.(message),
      sendTo: () => {},
    },
    RealDisk.open(folder),
    { node: nodeId(name), zone: 'z', address: '' },
  )
  let connections = 0
  const server = createServer({ noDelay: true }, (socket) => {
    const id = ++connections
    const decoder = new FrameDecoder()
    out.set(id, (message) => {
      const bytes = partsBytes(message)
      const frame = Buffer.allocUnsafe(4 + bytes)
      writeFrame(frame, 0, message, bytes)
      socket.write(frame)
    })
    socket.on('error', () => {})
    socket.write(preamble())
    socket.on('data', (chunk: Buffer) => {
      decoder.push(chunk)
      while (decoder.next()) node.receive(id, decoder.type, decoder.body)
      socket.cork()
      node.commit()
      socket.uncork()
    })
  })
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    if (address !== null && typeof address === 'object') parentPort?.postMessage(`127.0.0.1:${address.port}`)
  })
}

if (isMainThread) await host(process.argv.slice(2))
else serve(workerData)
