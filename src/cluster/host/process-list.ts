/** Which processes the region has started, in a file: whoever comes after a supervisor that was killed ends them first. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts'

/** A server of an instance's files is started by the instance, and ended by whoever comes after both. */
export type ProcessKind = 'instance' | 'server' | 'zone' | 'gateway'

export interface ListedProcess extends ProcessIdentity {
  readonly kind: ProcessKind
  readonly name: string
  /** Where it listens, for people who look into the file. */
  readonly ports: readonly number[]
}

const FORMAT = 1

export class ProcessList {
  readonly #path: string
  readonly #processes = new Map<string, ListedProcess>()

  /** What the one before has left running stays in it until it is adopted, replaced or ended: we may be killed before that. */
  constructor(path: string) {
    this.#path = path
    for (const each of ProcessList.read(path)) if (isAlive(each)) this.#processes.set(`${each.kind} ${each.name}`, each)
  }

  /** What was written last; empty when nothing was, or when that cannot be read. */
  static read(path: string): readonly ListedProcess[] {
    try {
      const raw = JSON.parse(readFileSync(path, 'utf8')) as { format: number; processes: ListedProcess[] }
      return raw.format === FORMAT ? raw.processes : []
    } catch {
      return []
    }
  }

  add(kind: ProcessKind, name: string, pid: number, ports: readonly number[]): void {
    const identity = identify(pid)
    if (identity === undefined) return
    this.#processes.set(`${kind} ${name}`, { kind, name, ...identity, ports })
    this.#write()
  }

  /** What was added last, if it was not removed. */
  get(kind: ProcessKind, name: string): ListedProcess | undefined {
    return this.#processes.get(`${kind} ${name}`)
  }

  remove(kind: ProcessKind, name: string): void {
    if (this.#processes.delete(`${kind} ${name}`)) this.#write()
  }

  #write(): void {
    const temporary = `${this.#path}.tmp`
    const content = { format: FORMAT, supervisor: identify(process.pid), processes: [...this.#processes.values()] }
    writeFileSync(temporary, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 })
    renameSync(temporary, this.#path)
  }
}
