/** Processes that a test or benchmark starts: none of them outlives it, however it ends. */
import type { ChildProcess } from 'node:child_process'

const running = new Set<ChildProcess>()
const lastActions = new Set<() => void>()
let watching = false

function watch(): void {
  if (watching) return
  watching = true
  process.on('exit', () => {
    for (const child of running) child.kill('SIGKILL')
    // What was made last goes first: a file system before the folder that it is mounted on.
    for (const action of [...lastActions].reverse()) attempt(action)
  })
  // A signal's own way to end a process calls nobody on 'exit'.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))
}

function attempt(action: () => void): void {
  try {
    action()
  } catch (error) {
    console.error(error)
  }
}

/** Kills `child` when this process ends before it does. */
export function endWithUs(child: ChildProcess): ChildProcess {
  watch()
  running.add(child)
  child.once('exit', () => running.delete(child))
  return child
}

/** Runs `action` when this process ends. @returns what takes that back */
export function whenWeEnd(action: () => void): () => void {
  watch()
  lastActions.add(action)
  return () => lastActions.delete(action)
}
