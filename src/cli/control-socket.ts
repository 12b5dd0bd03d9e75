/**
 * How commands reach the region: a socket in the home, one command for each connection. A line of JSON is asked, lines of
 * JSON are answered: `{"say"}` as often as there is something to tell, then one `{"result"}` or `{"error"}`.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { Home } from '../cluster/host/home.ts'
import { messageOf, PlainError } from '../cluster/plain-error.ts'
import type { NewBranch, NewCluster, NewInstance } from './region-commands.ts'
import type { RegionStatus } from './region-status.ts'

/** What can be asked, and what is answered. */
export interface Commands {
  status: { argument: Record<string, never>; result: RegionStatus }
  /** Answers when the region is up: with what is not available. */
  ready: { argument: Record<string, never>; result: readonly string[] }
  create: { argument: NewCluster; result: null }
  branch: { argument: NewBranch; result: null }
  delete: { argument: { readonly name: string }; result: null }
  /** Answers when it accepts connections: its name. */
  createInstance: { argument: NewInstance; result: string }
  deleteInstance: { argument: { readonly name: string }; result: null }
  reboot: { argument: { readonly name: string }; result: null }
  /** Answers when there is another writer, and it is available: which. */
  failover: { argument: { readonly name: string; readonly to: string | null }; result: string }
  /** Answers when another server serves the cluster's files: for how many milliseconds clients had to wait. */
  patch: { argument: { readonly name: string }; result: number }
  /** Answers when everything has stopped. */
  down: { argument: Record<string, never>; result: null }
}

export type Command = keyof Commands
type Say = (line: string) => void

export type Handlers = {
  readonly [C in Command]: (argument: Commands[C]['argument'], say: Say) => Promise<Commands[C]['result']>
}

/** A command is a line of a few names. */
const COMMAND_CHARS_MAX = 10_000

async function serve(socket: Socket, handlers: Handlers): Promise<void> {
  const answer = (message: object): void => {
    if (socket.writable) socket.write(`${JSON.stringify(message)}\n`)
  }
  socket.on('error', () => socket.destroy())
  for await (const line of createInterface({ input: socket })) {
    try {
      if (line.length > COMMAND_CHARS_MAX) throw new PlainError('the command is too long')
      const { command, ...argument } = JSON.parse(line) as { command: string }
      if (!Object.hasOwn(handlers, command)) throw new PlainError(`the region knows no command ${command}`)
      const handler = handlers[command as Command] as (argument: object, say: Say) => Promise<unknown>
      answer({ result: await handler(argument, (say) => answer({ say })) })
    } catch (error) {
      answer({ error: messageOf(error) })
    }
    break
  }
  socket.end()
}

/** The caller holds the lock of the home: a socket that is there is a dead one. */
export async function serveCommands(home: Home, handlers: Handlers): Promise<Server> {
  rmSync(home.socket, { force: true })
  const server = createServer((socket) => void serve(socket, handlers).catch(() => socket.destroy()))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(home.socket, resolve)
  })
  chmodSync(home.socket, 0o600)
  return server
}

export class NotRunning extends PlainError {}

/** @throws NotRunning when there is no region; PlainError with what it answered */
export async function ask<C extends Command>(
  home: Home,
  command: C,
  argument: Commands[C]['argument'],
  say: Say = () => {},
): Promise<Commands[C]['result']> {
  const socket = createConnection(home.socket)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
  } catch (cause) {
    throw new NotRunning(`no region runs in ${home.root}: start it with borealis up`, { cause })
  }
  socket.on('error', () => {})
  socket.write(`${JSON.stringify({ command, ...argument })}\n`)
  for await (const line of createInterface({ input: socket })) {
    const message = JSON.parse(line) as { say?: string; error?: string; result?: Commands[C]['result'] }
    if (message.say !== undefined) say(message.say)
    else if (message.error !== undefined) throw new PlainError(message.error)
    else return message.result as Commands[C]['result']
  }
  throw new PlainError(`the region ended before it had answered: see ${home.logs}`)
}
