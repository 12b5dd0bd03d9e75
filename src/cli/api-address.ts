/** BOREALIS_API: where the API listens. */
import { PlainError } from '../cluster/plain-error.ts'

export interface ApiAddress {
  readonly host: string
  readonly port: number
}

const DEFAULT = '127.0.0.1:8200'

/** @throws PlainError */
export function apiAddress(env: Readonly<Record<string, string | undefined>> = process.env): ApiAddress {
  const text = env.BOREALIS_API || DEFAULT
  const [, host = '', digits] = /^(?:\[?)([^[\]]+?)(?:\]?):(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (host === '' || !(port >= 0 && port < 65_536))
    throw new PlainError(`BOREALIS_API=${text}: it is ADDRESS:PORT, such as ${DEFAULT}`)
  return { host, port }
}
