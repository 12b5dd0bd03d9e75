/** Starts and stops the threads of storage nodes, from a process that has an event loop. */
import { closeSync, writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { FaultBoard } from './node-faults.ts'
import type { NodeReady, NodeWorkerSettings } from './node-worker.ts'
import { libc, libcFailure } from './real-libc.ts'

const EFD_CLOEXEC = 0o2000000

export type NodeThreadSettings = Omit<NodeWorkerSettings, 'stopFd' | 'module' | 'faults'> & {
  /** Where faults are injected; nowhere when it is not given. */
  readonly board?: FaultBoard
  /** URL of the module that exports `createStorageNode`; ours when it is not given. */
  readonly module?: string
}

export interface NodeThread extends NodeReady {
  /** Settles when the thread is gone: with undefined after an orderly stop, otherwise with what stopped it. */
  readonly ended: Promise<Error | undefined>
  /** Asks for an orderly stop; the answer is `ended`. */
  stop(): Promise<Error | undefined>
  /** Ends it wherever it is, as a fault of the processor would. */
  crash(): void
}

/** Resolves when the node listens and has read its disk; rejects with what prevented that. */
export async function startNodeThread(settings: NodeThreadSettings): Promise<NodeThread> {
  const stopFd = libc.eventfd(0, EFD_CLOEXEC)
  if (stopFd < 0) throw libcFailure('eventfd')
  const { board = new FaultBoard(), ...rest } = settings
  const module = settings.module ?? new URL('./storage-node.ts', import.meta.url).href
  const worker = new Worker(new URL('./node-worker.ts', import.meta.url), {
    name: settings.node,
    workerData: { ...rest, module, stopFd, faults: board.shared } satisfies NodeWorkerSettings,
  })
  let stopping = false
  let gone = false
  const ended = new Promise<Error | undefined>((resolve) => {
    let failure: Error | undefined
    worker.once('error', (error) => {
      failure = error instanceof Error ? error : new Error(String(error))
    })
    worker.once('exit', (status) => {
      closeSync(stopFd)
      gone = true
      if (failure === undefined && !(stopping && status === 0))
        failure = new Error(`its thread ended, status ${status}`)
      resolve(failure)
    })
  })
  const stop = (): Promise<Error | undefined> => {
    if (!stopping && !gone) {
      stopping = true
      writeSync(stopFd, new BigUint64Array([1n]))
    }
    return ended
  }
  const ready = new Promise<NodeReady>((resolve) => worker.once('message', resolve))
  const first = await Promise.race([ready, ended])
  if (first === undefined || first instanceof Error) {
    throw first ?? new Error(`node ${settings.node} stopped before it was ready`)
  }
  return { ...first, ended, stop, crash: () => void worker.terminate() }
}
