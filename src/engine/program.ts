/** A program that is run to its end, with its output kept. */
import { spawn } from 'node:child_process'
import type { Account } from './account.ts'
import { EngineError } from './engine-error.ts'

export interface ProgramOptions {
  readonly account?: Account | undefined
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly folder?: string
  /** What it reads; nothing when it is not given. */
  readonly input?: string
  readonly deadlineMs: number
}

export interface ProgramEnd {
  /** null when a signal ended it. */
  readonly status: number | null
  readonly output: string
  readonly errors: string
}

/** More than any of these programs says; past it the output is cut. */
const OUTPUT_CHARS_MAX = 1 << 20

/** Resolves however the program ends. Throws `MachineNotReady` when there is no such program, `TimedOut` after the deadline. */
export function runProgram(program: string, args: readonly string[], options: ProgramOptions): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...options.account,
      ...(options.folder === undefined ? {} : { cwd: options.folder }),
      ...(options.environment === undefined ? {} : { env: options.environment }),
    })
    let output = ''
    let errors = ''
    // One that does not read its input to the end says why in its own way.
    child.stdin.on('error', () => {}).end(options.input ?? '')
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < OUTPUT_CHARS_MAX) output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (errors.length < OUTPUT_CHARS_MAX) errors += text
    })
    let late = false
    const deadline = setTimeout(() => {
      late = true
      child.kill('SIGKILL')
    }, options.deadlineMs)
    child.on('error', (cause) => {
      clearTimeout(deadline)
      reject(new EngineError('MachineNotReady', `${program} cannot be started: ${cause.message}`, { cause }))
    })
    child.on('close', (status) => {
      clearTimeout(deadline)
      if (late) reject(new EngineError('TimedOut', `${program} did not end within ${options.deadlineMs / 1000} s`))
      else resolve({ status, output, errors })
    })
  })
}
