/**
 * The control socket of a process with storage nodes (`real-control.ts`): it tells who is there and which faults they
 * have, and takes faults. Those are kept in a file, so that a process which a fault has ended has it again until its time
 * is over.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { VolumeError } from '../protocol/errors.ts'
import type { NodeId } from '../protocol/lsn.ts'
import { type FaultBoard, type NodeFault, parseFault } from './node-faults.ts'
import { type ControlServer, serveControl } from './real-control.ts'

export type ZoneCommand =
  /** @param node all of the zone when it is null */
  | { readonly do: 'fault'; readonly node: string | null; readonly fault: NodeFault }
  | { readonly do: 'heal'; readonly node: string | null }
  /** Without any order; the process ends with it, after the other nodes have stopped. */
  | { readonly do: 'crash'; readonly node: string }
  | { readonly do: 'stop' }

export type FaultOfNode = NodeFault & { readonly node: string }

/** Told to whoever connects, and to all at each change of the faults. */
export interface ZoneReport {
  readonly pid: number
  readonly zone: string
  readonly nodes: readonly { readonly node: string; readonly address: string; readonly incarnation: string }[]
  readonly faults: readonly FaultOfNode[]
}

/** What of a zone a command can reach. */
export interface ZoneInside {
  report(): Omit<ZoneReport, 'faults'>
  crash(node: string): void
  stop(): void
  readonly complain: (line: string) => void
}

/** The boards of the nodes of a zone, by their names. */
export type Boards = ReadonlyMap<NodeId, FaultBoard>

const faultsOf = (boards: Boards): FaultOfNode[] =>
  [...boards].flatMap(([node, board]) => board.current(Date.now()).map((fault) => ({ node, ...fault })))

/** Nodes get the faults that they had, before they are started. */
export function loadFaults(path: string, boards: Boards): void {
  if (!existsSync(path)) return
  for (const fault of JSON.parse(readFileSync(path, 'utf8')) as FaultOfNode[])
    boards.get(fault.node as NodeId)?.set(parseFault(fault))
}

function saveFaults(path: string, boards: Boards): void {
  writeFileSync(`${path}.new`, JSON.stringify(faultsOf(boards)))
  renameSync(`${path}.new`, path)
}

/** @param faultsPath where they are kept; undefined: they end with the process */
export async function serveZone(
  path: string,
  faultsPath: string | undefined,
  boards: Boards,
  inside: ZoneInside,
): Promise<ControlServer> {
  const report = (): ZoneReport => ({ ...inside.report(), faults: faultsOf(boards) })
  const some = (node: string | null): FaultBoard[] => {
    if (node === null) return [...boards.values()]
    const board = boards.get(node as NodeId)
    if (board === undefined) throw new VolumeError('BadRequest', `there is no node ${node} here`)
    return [board]
  }
  const changed = (): void => {
    if (faultsPath !== undefined) saveFaults(faultsPath, boards)
    control.broadcast(report())
  }
  const obey = (command: ZoneCommand): void => {
    switch (command.do) {
      case 'stop':
        inside.stop()
        break
      case 'crash':
        if (some(command.node).length > 0) inside.crash(command.node)
        break
      case 'fault': {
        const fault = parseFault(command.fault)
        for (const board of some(command.node)) board.set(fault)
        changed()
        break
      }
      case 'heal':
        for (const board of some(command.node)) board.heal()
        changed()
        break
      default:
        throw new VolumeError('BadRequest', 'it is fault, heal, crash or stop')
    }
  }
  const onMessage = (message: unknown): void => {
    try {
      if (typeof message === 'object' && message !== null) obey(message as ZoneCommand)
    } catch (error) {
      inside.complain(`a command: ${error instanceof Error ? error.message : error}`)
    }
  }
  const control = await serveControl(path, onMessage, report)
  return control
}
