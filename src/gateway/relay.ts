/**
 * Two connections made one: what comes in on either goes out on the other.
 *
 * Hot path: bytes pass through the streams of Node, and nothing is looked at. Who does not read stops who writes, as
 * between two sockets; so a relay holds what is in its four buffers at most, and that only while one of the two is slow.
 * Measured in `test/processes/gateway.test.ts`.
 */
import type { Socket, TcpNetConnectOpts } from 'node:net'

/** Of both sockets of a relay. */
export const SOCKET_OPTIONS = {
  // Each end is closed for itself.
  allowHalfOpen: true,
  // Queries and answers are small, and waited for.
  noDelay: true,
  // So that one whose machine is gone is noticed: Node asks ten times more, once a second.
  keepAlive: true,
  keepAliveInitialDelay: 10_000,
} as const satisfies Partial<TcpNetConnectOpts>

/** How one ends the other does: in order, by a reset, or cut off. */
function follow(from: Socket, to: Socket): void {
  // Ends `to` when `from` has ended.
  from.pipe(to)
  from.once('close', (hadError) => {
    if (hadError) to.resetAndDestroy()
    else if (!(from.readableEnded && from.writableFinished)) to.destroy()
  })
}

/** Both sockets have listeners of `error` already, and nothing was read from either. */
export function relay(client: Socket, member: Socket): void {
  follow(client, member)
  follow(member, client)
}
