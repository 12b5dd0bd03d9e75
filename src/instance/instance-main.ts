/**
 * A process that is one DB instance, as a file says (`settings-file.ts`):
 *
 *   node src/instance/instance-main.ts --settings FILE
 *
 * It is the supervisor: the files of the instance are served by a process of their own, the engine is another. It tells
 * its state in lines of JSON (`instance-report.ts`) and takes commands (`instance-command.ts`): by a socket, when the
 * settings name one, and then it outlives who started it; else by its standard output and input, and it stops when the
 * input ends. SIGUSR2 replaces the server of the files, SIGTERM stops it all in order, status 0. Status 3: another
 * instance has taken the volume. Status 1: it failed, one line on stderr says why. Wrong usage is status 2.
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { parseLine, serveControl } from '../storage/real-control.ts'
import { Instance } from './instance.ts'
import { parseCommand } from './instance-command.ts'
import type { InstanceReport } from './instance-report.ts'
import { STATUS_FENCED } from './server-report.ts'
import { type InstanceSettingsFile, readSettings } from './settings-file.ts'

/** Everything that ends, ends in this time after it was asked to stop; then the process goes as it is. */
const STOP_MS_MAX = 90_000

class UsageError extends Error {}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function settingsOf(args: readonly string[]): InstanceSettingsFile {
  try {
    const { values } = parseArgs({ args: [...args], options: { settings: { type: 'string' } } })
    if (values.settings === undefined) throw new Error('--settings is needed')
    return readSettings(values.settings)
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error })
  }
}

/** Not through the event loop: the last line has to be out before the process is. */
function complain(what: string, error: unknown): void {
  const detail = process.env.BOREALIS_DEBUG === '1' && error instanceof Error ? `\n${error.stack}` : ''
  writeSync(2, `${new Date().toISOString()} ${what}: ${messageOf(error).split('\n', 1)[0]}${detail}\n`)
}

/** Of whoever started us, who is gone when our input ends. */
function serveParent(onCommand: (raw: unknown) => void, stop: () => void): (report: InstanceReport) => void {
  process.stdout.on('error', () => {})
  process.stdin.once('close', stop)
  process.stdin.once('error', stop)
  createInterface({ input: process.stdin }).on('line', (line) => onCommand(parseLine(line)))
  return (report) => process.stdout.write(`${JSON.stringify(report)}\n`)
}

async function run(settings: InstanceSettingsFile): Promise<number> {
  let tell: (report: InstanceReport) => void = () => {}
  const instance = new Instance(settings, (report) => tell(report), complain)
  const stop = (): void => {
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref()
    void instance.stop()
  }
  const onCommand = (raw: unknown): void => {
    try {
      const command = parseCommand(raw)
      if (command.do === 'stop') stop()
      else void instance.command(command)
    } catch (error) {
      complain('a command', error)
    }
  }
  process.on('SIGTERM', stop)
  process.on('SIGUSR2', () => void instance.replaceServer())
  // Ctrl-C in the terminal is for the supervisor, which stops us when it is our turn.
  process.on('SIGINT', () => {})
  const control =
    settings.control === null ? undefined : await serveControl(settings.control, onCommand, () => instance.report)
  tell = control === undefined ? serveParent(onCommand, stop) : (report) => control.broadcast(report)
  instance.start()
  const { name } = await instance.ended
  await control?.close()
  return name === 'stopped' ? 0 : name === 'fenced' ? STATUS_FENCED : 1
}

try {
  process.exit(await run(settingsOf(process.argv.slice(2))))
} catch (error) {
  complain('instance', error)
  process.exit(error instanceof UsageError ? 2 : 1)
}
