/** A registry that lives as long as its process. */
import type { Cell, Registry } from './registry.ts'

export class MemoryRegistry implements Registry {
  readonly #cells = new Map<string, Cell>()
  #version = 0

  get(key: string): Promise<Cell | undefined> {
    return Promise.resolve(this.#cells.get(key))
  }

  cas(key: string, expected: number, value: string | null): Promise<boolean> {
    return Promise.resolve(this.#cas(key, expected, value))
  }

  #cas(key: string, expected: number, value: string | null): boolean {
    if ((this.#cells.get(key)?.version ?? 0) !== expected) return false
    if (value === null) this.#cells.delete(key)
    else this.#cells.set(key, { value, version: ++this.#version })
    return true
  }

  list(prefix: string): Promise<string[]> {
    return Promise.resolve([...this.#cells.keys()].filter((key) => key.startsWith(prefix)).sort())
  }
}
