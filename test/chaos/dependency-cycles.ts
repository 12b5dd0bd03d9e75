/** Transactions that depend on each other, and the cycles among them. */

/** `ww`: overwritten by; `wr`: read by; `rw`: read what the other overwrote. */
type DependencyKind = 'ww' | 'wr' | 'rw'

export interface Dependency {
  readonly to: number
  readonly kind: DependencyKind
}

export type Dependencies = ReadonlyMap<number, readonly Dependency[]>

const next = (dependencies: Dependencies, from: number, kinds: readonly DependencyKind[]): number[] =>
  (dependencies.get(from) ?? []).filter(({ kind }) => kinds.includes(kind)).map(({ to }) => to)

/** Tarjan's algorithm, without recursion: strongly connected components of more than one transaction. */
export function knots(dependencies: Dependencies, kinds: readonly DependencyKind[]): ReadonlySet<number>[] {
  const found: ReadonlySet<number>[] = []
  const index = new Map<number, number>()
  const low = new Map<number, number>()
  const stack: number[] = []
  const onStack = new Set<number>()
  const visit = (start: number): void => {
    const work: { readonly node: number; readonly successors: readonly number[]; at: number }[] = []
    const enter = (node: number): void => {
      index.set(node, index.size)
      low.set(node, index.get(node)!)
      stack.push(node)
      onStack.add(node)
      work.push({ node, successors: next(dependencies, node, kinds), at: 0 })
    }
    enter(start)
    for (let frame = work.at(-1); frame !== undefined; frame = work.at(-1)) {
      const { node, successors } = frame
      const successor = successors[frame.at++]
      if (successor !== undefined) {
        if (!index.has(successor)) enter(successor)
        else if (onStack.has(successor)) low.set(node, Math.min(low.get(node)!, index.get(successor)!))
        continue
      }
      work.pop()
      const parent = work.at(-1)
      if (parent !== undefined) low.set(parent.node, Math.min(low.get(parent.node)!, low.get(node)!))
      if (low.get(node) !== index.get(node)) continue
      const members = stack.splice(stack.indexOf(node))
      for (const member of members) onStack.delete(member)
      if (members.length > 1) found.push(new Set(members))
    }
  }
  for (const node of dependencies.keys()) if (!index.has(node)) visit(node)
  return found
}

/** The shortest way from one to the other inside of a knot, both included. */
export function pathBetween(
  dependencies: Dependencies,
  knot: ReadonlySet<number>,
  kinds: readonly DependencyKind[],
  from: number,
  to: number,
): number[] | undefined {
  const cameFrom = new Map<number, number>()
  const line = [from]
  for (const node of line) {
    for (const successor of next(dependencies, node, kinds)) {
      if (!knot.has(successor) || cameFrom.has(successor)) continue
      cameFrom.set(successor, node)
      if (successor !== to) {
        line.push(successor)
        continue
      }
      const path = [to]
      for (let at = node; ; at = cameFrom.get(at)!) {
        path.unshift(at)
        if (at === from) return path
      }
    }
  }
  return undefined
}

/** @returns who is in it, each once; undefined when there is none of these kinds */
export function cycleIn(
  dependencies: Dependencies,
  knot: ReadonlySet<number>,
  kinds: readonly DependencyKind[],
): number[] | undefined {
  const inside = new Map(
    [...knot].map((node) => [node, (dependencies.get(node) ?? []).filter(({ to }) => knot.has(to))]),
  )
  const [inner] = knots(inside, kinds)
  const [start] = inner ?? []
  return inner === undefined || start === undefined
    ? undefined
    : pathBetween(inside, inner, kinds, start, start)?.slice(0, -1)
}
