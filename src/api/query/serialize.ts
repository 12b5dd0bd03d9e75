/** Answers of the query protocol, in XML. */
import type { ApiError } from '../api-error.ts'
import type { Shape, Structure } from './shapes.ts'

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#xD;',
}

// XML 1.0 has no way to write most control characters: what a log line may hold becomes the replacement character.
const UNWRITABLE = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu
/** Nearly every text: nothing in it has to be looked at twice. */
const PLAIN = /^[\w .,:;/@+*(){}=-]*$/

export function escapeXml(text: string): string {
  if (PLAIN.test(text)) return text
  const escaped = text.replace(/[&<>"\r]/g, (character) => ENTITIES[character] ?? '')
  return escaped.replace(UNWRITABLE, '\u{FFFD}')
}

/**
 * One growing text, since an answer may have ten thousand elements: this is where the API spends its time
 * (`npm run bench -- api`). What is undefined or null is left out; an empty list is an empty element.
 */
class XmlWriter {
  text = ''

  put(shape: Shape, value: unknown): void {
    switch (shape.kind) {
      case 'structure':
        this.putMembers(shape, value as Readonly<Record<string, unknown>>)
        return
      case 'list':
        for (const item of value as readonly unknown[]) this.#element(shape.itemName, shape.item, item)
        return
      case 'map':
        for (const [key, item] of Object.entries(value as object)) {
          this.text += `<entry><${shape.keyName}>${escapeXml(key)}</${shape.keyName}>`
          this.#element(shape.valueName, shape.value, item)
          this.text += '</entry>'
        }
        return
      case 'timestamp':
        this.text += (value as Date).toISOString()
        return
      case 'blob':
        this.text += Buffer.from(value as Uint8Array).toString('base64')
        return
      case 'string':
        this.text += escapeXml(value as string)
        return
      default:
        this.text += value
    }
  }

  putMembers({ members }: Structure, value: Readonly<Record<string, unknown>>): void {
    for (const { name, shape } of members) {
      const member = value[name]
      if (member !== undefined && member !== null) this.#element(name, shape, member)
    }
  }

  #element(name: string, shape: Shape, value: unknown): void {
    this.text += `<${name}>`
    this.put(shape, value)
    this.text += `</${name}>`
  }
}

function members(shape: Structure, value: Readonly<Record<string, unknown>>): string {
  const writer = new XmlWriter()
  writer.putMembers(shape, value)
  return writer.text
}

export interface Envelope {
  /** `http://rds.amazonaws.com/doc/2014-10-31/` */
  readonly namespace: string
  readonly requestId: string
}

/** @param output null when the operation has none */
export function answerXml(
  operation: string,
  shape: Structure | null,
  output: Readonly<Record<string, unknown>> | null,
  { namespace, requestId }: Envelope,
): string {
  const result = shape === null ? '' : `<${operation}Result>${members(shape, output ?? {})}</${operation}Result>`
  return (
    `<${operation}Response xmlns="${namespace}">${result}` +
    `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${operation}Response>`
  )
}

export function errorXml({ code, status, message }: ApiError, { namespace, requestId }: Envelope): string {
  const type = status < 500 ? 'Sender' : 'Receiver'
  return (
    `<ErrorResponse xmlns="${namespace}"><Error><Type>${type}</Type><Code>${code}</Code>` +
    `<Message>${escapeXml(message)}</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`
  )
}
