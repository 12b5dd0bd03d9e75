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

export function escapeXml(text: string): string {
  const escaped = /[&<>"\r]/.test(text) ? text.replace(/[&<>"\r]/g, (character) => ENTITIES[character] ?? '') : text
  return escaped.replace(UNWRITABLE, '\u{FFFD}')
}

/** What is undefined or null is left out; an empty list is an empty element. */
function content(shape: Shape, value: unknown): string {
  switch (shape.kind) {
    case 'structure':
      return members(shape, value as Readonly<Record<string, unknown>>)
    case 'list':
      return (value as readonly unknown[])
        .map((item) => `<${shape.itemName}>${content(shape.item, item)}</${shape.itemName}>`)
        .join('')
    case 'map':
      return Object.entries(value as object)
        .map(
          ([key, item]) =>
            `<entry><${shape.keyName}>${escapeXml(key)}</${shape.keyName}>` +
            `<${shape.valueName}>${content(shape.value, item)}</${shape.valueName}></entry>`,
        )
        .join('')
    case 'timestamp':
      return (value as Date).toISOString()
    case 'blob':
      return Buffer.from(value as Uint8Array).toString('base64')
    default:
      return escapeXml(String(value))
  }
}

function members(shape: Structure, value: Readonly<Record<string, unknown>>): string {
  let xml = ''
  for (const { name, shape: of } of shape.members) {
    const member = value[name]
    if (member !== undefined && member !== null) xml += `<${name}>${content(of, member)}</${name}>`
  }
  return xml
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
