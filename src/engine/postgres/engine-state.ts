/**
 * The life of an engine:
 *
 *     stopped -> preparing -> starting -> running -> stopping -> stopped
 *                                 |          |
 *                                 +-> failed <+       it ended by itself; `start` begins anew
 *
 * Preparing is what comes before there is a process; what goes wrong there leads back to `stopped`.
 */
export type StopMode = 'smart' | 'fast' | 'immediate' | 'kill'

export type EngineState =
  | { readonly name: 'stopped' }
  | { readonly name: 'preparing' }
  | { readonly name: 'starting'; readonly pid: number }
  | { readonly name: 'running'; readonly pid: number }
  | { readonly name: 'stopping'; readonly pid: number; readonly mode: StopMode }
  | { readonly name: 'failed'; readonly reason: string }

export type StateName = EngineState['name']

const NEXT: Readonly<Record<StateName, readonly StateName[]>> = {
  stopped: ['preparing'],
  preparing: ['starting', 'stopped'],
  starting: ['running', 'stopping', 'failed'],
  running: ['stopping', 'failed'],
  // Into itself: a harder way to stop.
  stopping: ['stopping', 'stopped'],
  failed: ['preparing', 'stopped'],
}

export const mayBecome = (from: StateName, to: StateName): boolean => NEXT[from].includes(to)
