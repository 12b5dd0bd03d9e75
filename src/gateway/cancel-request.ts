/**
 * PostgreSQL's request to cancel a query: a connection of its own, of which this message is all. It says which session is
 * meant and not on which server, so through a balancer it has to reach all of them; the others do not know its key.
 */
import { connect } from 'node:net'
import type { SocketAddress } from './gateway-command.ts'

const REQUEST_CODE = 80877102
/** Its own length, the code, the process; then the key, of 4 bytes, and since protocol 3.2 of up to 256. */
const BYTES_BEFORE_KEY = 12
const KEY_BYTES_MAX = 256
/** A server closes the connection when it has read the request. */
const ANSWER_MS_MAX = 1000

/** @param first what a client sent first */
export function isCancelRequest(first: Buffer): boolean {
  if (first.length <= BYTES_BEFORE_KEY || first.length > BYTES_BEFORE_KEY + KEY_BYTES_MAX) return false
  return first.readUInt32BE(0) === first.length && first.readUInt32BE(4) === REQUEST_CODE
}

/** Nobody waits for it: who cancels sees what comes of it in the session that is meant. */
export function sendCancelRequest(request: Buffer, { address, port }: SocketAddress): void {
  const socket = connect({ host: address, port, noDelay: true, timeout: ANSWER_MS_MAX })
  socket.on('error', () => {})
  socket.once('timeout', () => socket.destroy())
  socket.resume()
  socket.end(request)
}
