/** What runs in the thread of one storage node: its folder, its socket, the node, and the loop around them. */
import { writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import type { NodeId } from '../protocol/lsn.ts'
import { FaultyDisk } from './faulty-disk.ts'
import { FaultBoard } from './node-faults.ts'
import type { NodeOptions } from './node-options.ts'
import type { CreateNode } from './node-port.ts'
import { RealDisk } from './real-disk.ts'
import { formatAddress, listenOn } from './real-socket.ts'
import { WorkerLoop } from './worker-loop.ts'

export interface NodeWorkerSettings {
  readonly node: NodeId
  readonly zone: string
  /** The node's own folder on disk. */
  readonly folder: string
  /** IP address to listen on. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** IP address that others reach this host by, when that is another than `host`. */
  readonly advertisedHost?: string
  /** The node's defaults when not given. */
  readonly options?: NodeOptions
  /** URL of the module that exports `createStorageNode`. */
  readonly module: string
  /** An eventfd of the starter: readable means stop. */
  readonly stopFd: number
  /** Of the board of its faults (`node-faults.ts`), on which the starter writes. */
  readonly faults: SharedArrayBuffer
}

/** Sent to the starter once, when the node listens and has read its disk. */
export interface NodeReady {
  readonly address: string
  readonly incarnation: string
}

async function loadCreateNode(url: string): Promise<CreateNode> {
  const module: unknown = await import(url)
  if (typeof module === 'object' && module !== null && 'createStorageNode' in module) {
    return module.createStorageNode as CreateNode
  }
  throw new Error(`${url} exports no createStorageNode`)
}

const sleeper = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
const faultEnv = {
  now: Date.now,
  random: Math.random,
  sleep: (ms: number): void => void Atomics.wait(sleeper, 0, 0, ms),
}

async function main(settings: NodeWorkerSettings): Promise<void> {
  const createNode = await loadCreateNode(settings.module)
  const disk = RealDisk.open(settings.folder)
  const faults = new FaultBoard(settings.faults)
  try {
    // Before the node reads its disk, so that who connects meanwhile waits in the backlog instead of being refused.
    const listener = listenOn({ host: settings.host, port: settings.port })
    const address = formatAddress({ ...listener.address, host: settings.advertisedHost ?? settings.host })
    const config = { node: settings.node, zone: settings.zone, address }
    const loop = new WorkerLoop({
      listener,
      stopFd: settings.stopFd,
      // Not console: that goes through the starter's event loop, and this thread never yields to pass it on.
      log: (line) => writeSync(2, `${settings.node}: ${line}\n`),
      isCut: () => faults.isCut(Date.now),
    })
    try {
      const node = createNode(loop.env, new FaultyDisk(disk, faults, faultEnv), config, settings.options)
      parentPort?.postMessage({ address, incarnation: node.incarnation } satisfies NodeReady)
      loop.run(node)
      node.close()
    } finally {
      loop.close()
    }
  } finally {
    disk.close()
  }
}

await main(workerData as NodeWorkerSettings)
