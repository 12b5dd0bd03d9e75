/**
 * Virtual time: a queue of what happens next, ordered by (microsecond, sequence), so that two events of the same
 * microsecond always run in the order in which they were scheduled.
 */
export interface Scheduled {
  readonly atUs: number
  readonly sequence: number
  /** Undefined once cancelled or run. */
  action: (() => void) | undefined
}

const before = (a: Scheduled, b: Scheduled): boolean =>
  a.atUs < b.atUs || (a.atUs === b.atUs && a.sequence < b.sequence)

export class EventQueue {
  readonly #heap: Scheduled[] = []
  #sequence = 0
  #nowUs = 0

  /** Microseconds since the simulation began. */
  get nowUs(): number {
    return this.#nowUs
  }

  /** Events not run yet, cancelled ones included until their time. */
  get length(): number {
    return this.#heap.length
  }

  /** Runs `action` at `atUs`, or at once (after what is due already) when that time has passed. */
  at(atUs: number, action: () => void): Scheduled {
    const event: Scheduled = { atUs: Math.max(atUs, this.#nowUs), sequence: this.#sequence++, action }
    this.#up(event)
    return event
  }

  after(delayUs: number, action: () => void): Scheduled {
    return this.at(this.#nowUs + delayUs, action)
  }

  cancel(event: Scheduled): void {
    event.action = undefined
  }

  /** Runs the next event. @returns false when there is none. */
  step(): boolean {
    for (;;) {
      const event = this.#pop()
      if (event === undefined) return false
      const action = event.action
      if (action === undefined) continue
      this.#nowUs = event.atUs
      event.action = undefined
      action()
      return true
    }
  }

  /** When the next event is due; undefined when there is none. */
  nextUs(): number | undefined {
    while (this.#heap.length > 0 && this.#heap[0]!.action === undefined) this.#pop()
    return this.#heap[0]?.atUs
  }

  #up(event: Scheduled): void {
    const heap = this.#heap
    let index = heap.length
    heap.push(event)
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(event, heap[parent]!)) break
      heap[index] = heap[parent]!
      index = parent
    }
    heap[index] = event
  }

  #pop(): Scheduled | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || heap.length === 0) return first
    let index = 0
    for (;;) {
      let child = 2 * index + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[index] = heap[child]!
      index = child
    }
    heap[index] = last
    return first
  }
}
