/** A request of the query protocol, `Filters.Filter.1.Name=engine&...`, as the tree that its dotted names describe. */
import { malformed } from '../api-error.ts'

export type FormNode = Map<string, FormNode | string>

/** The longest names of the API have seven parts. */
const DEPTH_MAX = 16
/** Twenty parameters of a group have 60, a hundred filter values 100. */
const PARAMETERS_MAX = 4096

function put(root: FormNode, name: string, value: string): void {
  const parts = name.split('.')
  if (parts.length > DEPTH_MAX) throw malformed(`${name.slice(0, 80)} has too many parts.`)
  const last = parts.pop() ?? ''
  let node = root
  for (const part of parts) {
    let next = node.get(part)
    if (typeof next === 'string') throw malformed(`${part} is a value, and cannot have parts.`)
    if (next === undefined) {
      next = new Map()
      node.set(part, next)
    }
    node = next
  }
  if (node.has(last)) throw malformed(`Duplicate parameter: ${name.slice(0, 80)}.`)
  node.set(last, value)
}

/** @param text a form's body, or what stands behind the `?` of an address */
export function parseForm(text: string): FormNode {
  const root: FormNode = new Map()
  const parameters = new URLSearchParams(text)
  if (parameters.size > PARAMETERS_MAX) throw malformed(`A request has ${PARAMETERS_MAX} parameters at most.`)
  for (const [name, value] of parameters) put(root, name, value)
  return root
}

/** @returns undefined when it is not there, or has parts */
export function formValue(form: FormNode, name: string): string | undefined {
  const value = form.get(name)
  return typeof value === 'string' ? value : undefined
}
