import { spawn } from 'node:child_process'
import { ONE_FAILED, ONE_PASSED, parseTallyLine, type Tally } from './tally.ts'

interface Ended {
  readonly status: number | null
  /** The last line with text on it that the program wrote to stdout. */
  readonly lastLine: string
  readonly timedOut: boolean
}

/** After SIGTERM a program has this long to end by itself. */
const KILL_AFTER_MS = 5_000

/** Runs a program with its output shown; stops it, and what it started, when it takes longer than the limit. */
function show(command: readonly string[], limitMs: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const [program = '', ...args] = command
    // A process group of its own: npm does not pass signals on to what it runs.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
    const signalGroup = (signal: NodeJS.Signals): void => {
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, signal)
      } catch (error) {
        // ESRCH: it has ended already.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
      }
    }
    let timedOut = false
    const limit = setTimeout(() => {
      timedOut = true
      signalGroup('SIGTERM')
      setTimeout(() => signalGroup('SIGKILL'), KILL_AFTER_MS).unref()
    }, limitMs)
    const stop = (): void => signalGroup('SIGTERM')
    process.once('exit', stop)
    let lastLine = ''
    let pending = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      process.stdout.write(text)
      const lines = (pending + text).split('\n')
      pending = lines.pop() ?? ''
      lastLine = lines.findLast((line) => line.trim() !== '') ?? lastLine
    })
    child.on('error', reject)
    child.on('close', (status) => {
      clearTimeout(limit)
      process.removeListener('exit', stop)
      resolve({ status, lastLine: pending.trim() === '' ? lastLine : pending, timedOut })
    })
  })
}

/** A tool that is right or wrong as a whole, such as the type checker. */
export async function checkWithTool(command: readonly string[], limitMs: number): Promise<Tally> {
  const ended = await show(command, limitMs)
  if (ended.timedOut) console.log(`${command.join(' ')} was stopped after ${limitMs / 1000} s`)
  return ended.status === 0 ? ONE_PASSED : ONE_FAILED
}

/** A program of ours that closes with `N passed, N failed`. Ending badly without saying so counts as one failure. */
export async function checkWithTally(command: readonly string[], limitMs: number): Promise<Tally> {
  const ended = await show(command, limitMs)
  if (ended.timedOut) console.log(`${command.join(' ')} was stopped after ${limitMs / 1000} s`)
  const tally = parseTallyLine(ended.lastLine)
  if (tally === undefined) {
    console.log(`${command.join(' ')} ended with status ${ended.status} and without a count of what passed`)
    return ONE_FAILED
  }
  return ended.status === 0 || tally.failed > 0 ? tally : { ...tally, failed: 1 }
}
