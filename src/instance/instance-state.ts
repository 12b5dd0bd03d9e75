/**
 * The life of an instance:
 *
 *     opening -> preparing -> starting -> available -> stopping -> stopped
 *                                ^          ^  |
 *                                |          |  +-> replacing     its server, under the engine
 *                                |          +------+  |
 *                                +-recovering <-------+         the engine ended by itself
 *
 * From each of them also to `stopping`, to `fenced` (another instance has the volume) and to `failed`. Whether the storage
 * quorum answers is apart from that: without it everything waits where it is.
 */
export type InstanceState =
  /** The volume: its log is recovered, whoever wrote before is fenced, and its files are mounted. */
  | { readonly name: 'opening' }
  /** The data directory is made, at first use. */
  | { readonly name: 'preparing' }
  /** The engine, its crash recovery with it. */
  | { readonly name: 'starting' }
  | { readonly name: 'available'; readonly enginePid: number }
  /** The one server of its files has left, the next has not begun: the engine waits for it, and clients do. */
  | { readonly name: 'replacing'; readonly enginePid: number }
  /** Until the engine is started again. */
  | { readonly name: 'recovering'; readonly reason: string }
  | { readonly name: 'stopping' }
  | { readonly name: 'stopped' }
  | { readonly name: 'fenced' }
  | { readonly name: 'failed'; readonly reason: string }

export type InstanceStateName = InstanceState['name']

const ENDS: readonly InstanceStateName[] = ['fenced', 'failed']

const NEXT: Readonly<Record<InstanceStateName, readonly InstanceStateName[]>> = {
  opening: ['preparing', 'stopping', ...ENDS],
  preparing: ['starting', 'stopping', ...ENDS],
  starting: ['available', 'recovering', 'stopping', ...ENDS],
  available: ['replacing', 'recovering', 'stopping', ...ENDS],
  replacing: ['available', 'recovering', 'stopping', ...ENDS],
  recovering: ['starting', 'stopping', ...ENDS],
  stopping: ['stopped', ...ENDS],
  stopped: [],
  fenced: [],
  failed: [],
}

export const isInstanceState = (name: string): name is InstanceStateName => Object.hasOwn(NEXT, name)

export const mayBecome = (from: InstanceStateName, to: InstanceStateName): boolean => NEXT[from].includes(to)

/** Nothing runs any more, and nothing will. */
export const isOver = (name: InstanceStateName): boolean => NEXT[name].length === 0

/** `waiting`: what was sent has not become durable for a while; operations wait and none fails. */
export type StorageState = 'ok' | 'waiting'
