/** Mounted file systems for tests: places, servers as processes of their own, and whether all this is allowed here. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { mountsAt, tryMounting, unmountHere } from '../src/fuse/real-mount.ts'

export const SERVER = join(import.meta.dirname, 'fuse-server.ts')

/** Why nothing can be mounted here; undefined when it can. */
export function whyNoMount(): string | undefined {
  const place = mkdtempSync(join(tmpdir(), 'borealis-fuse-'))
  try {
    tryMounting(place)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    rmSync(place, { recursive: true })
  }
}

/** A folder to mount on and one for what belongs to it; both go, and whatever is mounted, when it is disposed of. */
export class Place implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'borealis-fuse-'))
  readonly path = join(this.root, 'mounted')

  constructor() {
    mkdirSync(this.path)
  }

  /** Of a file beside the mount. */
  beside(name: string): string {
    return join(this.root, name)
  }

  get mounts(): number {
    return mountsAt(this.path)
  }

  [Symbol.dispose](): void {
    for (let mounts = this.mounts; mounts > 0; mounts--) unmountHere(this.path)
    rmSync(this.root, { recursive: true, force: true })
  }
}

export interface ServerEnd {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  /** What the server counted, when it ended in order. */
  readonly counts: Readonly<Record<string, unknown>> | undefined
}

/** A server that was started; its lines are kept. */
export class ServerProcess implements AsyncDisposable {
  readonly child: ChildProcess
  readonly lines: string[] = []
  readonly ended: Promise<ServerEnd>
  readonly #ready = Promise.withResolvers<void>()

  constructor(child: ChildProcess) {
    this.child = child
    const keep = (line: string) => {
      this.lines.push(line)
      if (line === 'ready') this.#ready.resolve()
    }
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', keep)
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', keep)
    this.ended = once(child, 'close').then(([status, signal]) => {
      this.#ready.reject(new Error(this.lines.join('\n')))
      const last = this.lines.findLast((line) => line.startsWith('{'))
      return { status, signal, counts: last === undefined ? undefined : JSON.parse(last) } as ServerEnd
    })
    this.#ready.promise.catch(() => {})
  }

  /** @throws what the server said instead */
  async ready(): Promise<this> {
    await this.#ready.promise
    return this
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<ServerEnd> {
    this.child.kill(signal)
    return this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }
}

export const startServer = (path: string, ...args: readonly string[]): Promise<ServerProcess> =>
  new ServerProcess(spawn(process.execPath, [SERVER, path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })).ready()

export interface Finished {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

/**
 * Runs a program to its end, without stopping this thread. In its folder a shell starts it: a child of ours would go
 * there before it becomes the program, and we would stand still until then, though we may be who keeps the folder alive.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  {
    cwd,
    ...options
  }: {
    readonly cwd?: string
    readonly env?: NodeJS.ProcessEnv
    readonly uid?: number
    readonly gid?: number
  } = {},
): Promise<Finished> {
  const [command, ...rest] =
    cwd === undefined ? [program, ...args] : ['/bin/sh', '-c', 'cd "$0" && exec "$@"', cwd, program, ...args]
  const child = spawn(command, rest, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  child.stderr.on('data', (text) => {
    output += text
  })
  const [status, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return { status, signal, output }
}

/** Whether the program is there. */
export const hasProgram = async (program: string): Promise<boolean> =>
  (await runProgram('/bin/sh', ['-c', `command -v ${program}`])).status === 0
