/**
 * A process that is one DB instance:
 *
 *   node src/instance/instance-main.ts --name NAME --folder FOLDER --home HOME --registry FILE --volume vol-0a1b2c3d
 *     --version 17 --address IP --port PORT --memory-mib N --certificate FILE --key FILE --master NAME
 *     --password-file FILE [--server-memory-mib N]
 *
 * It is the supervisor: the files of the instance are served by a process of their own, the engine is another. SIGUSR2
 * replaces the server of the files. Prints its state as lines of JSON (`instance-report.ts`). SIGTERM and the end of its
 * standard input stop it in order, status 0. Status 3: another instance has taken the volume. Status 1: it failed, one
 * line on stderr says why. Wrong usage is status 2.
 */
import { readFileSync, writeSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { parseVolumeName } from '../protocol/lsn.ts'
import { Instance, type InstanceSettings } from './instance.ts'
import { STATUS_FENCED } from './server-report.ts'

const MIB = 1 << 20

/** Everything that ends, ends in this time after it was asked to stop; then the process goes as it is. */
const STOP_MS_MAX = 90_000

/**
 * What the server of the files takes besides its cache of blocks: Node itself, log that is not durable yet (twice 32 MiB),
 * writes that wait (64 MiB), what the collector has not come to.
 */
const SERVER_REST_MIB = 256
const CACHE_MIB_MIN = 16

/** A larger cache saves reads of what was just written (vacuum, index builds), and full images where a delta would do. */
const cacheMib = (memoryMib: number): number => Math.max(memoryMib - SERVER_REST_MIB, CACHE_MIB_MIN)

const NEEDED = [
  'name',
  'folder',
  'home',
  'registry',
  'volume',
  'version',
  'address',
  'port',
  'memory-mib',
  'certificate',
  'key',
  'master',
  'password-file',
] as const

class UsageError extends Error {}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

function positive(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 1)
    throw new UsageError(`--${name} ${text} is not a positive whole number`)
  return value
}

function parseSettings(args: readonly string[]): InstanceSettings {
  let values: Readonly<Record<string, string | undefined>>
  try {
    const options = Object.fromEntries(
      [...NEEDED, 'server-memory-mib'].map((name) => [name, { type: 'string' as const }]),
    )
    values = parseArgs({ args: [...args], options }).values as Readonly<Record<string, string | undefined>>
  } catch (error) {
    throw new UsageError(messageOf(error))
  }
  const given = (name: (typeof NEEDED)[number]): string => {
    const value = values[name]
    if (value === undefined) throw new UsageError(`--${name} is needed`)
    return value
  }
  const volume = parseVolumeName(given('volume'))
  if (volume === undefined) throw new UsageError(`${given('volume')} is no volume`)
  return {
    name: given('name'),
    folder: given('folder'),
    home: given('home'),
    registryPath: given('registry'),
    volume,
    version: given('version'),
    address: given('address'),
    port: positive('port', given('port')),
    memoryBytes: positive('memory-mib', given('memory-mib')) * MIB,
    cacheBytes: cacheMib(positive('server-memory-mib', values['server-memory-mib'] ?? '512')) * MIB,
    certificate: {
      certificate: readFileSync(given('certificate'), 'utf8'),
      key: readFileSync(given('key'), 'utf8'),
    },
    master: { name: given('master'), password: readFileSync(given('password-file'), 'utf8').trim() },
  }
}

/** Not through the event loop: the last line has to be out before the process is. */
function complain(what: string, error: unknown): void {
  const detail = process.env.BOREALIS_DEBUG === '1' && error instanceof Error ? `\n${error.stack}` : ''
  writeSync(2, `${new Date().toISOString()} ${what}: ${messageOf(error).split('\n', 1)[0]}${detail}\n`)
}

async function run(settings: InstanceSettings): Promise<number> {
  // A parent that is gone is noticed by the end of our input.
  process.stdout.on('error', () => {})
  const instance = new Instance(settings, (report) => process.stdout.write(`${JSON.stringify(report)}\n`), complain)
  const stop = (): void => {
    setTimeout(() => process.exit(1), STOP_MS_MAX).unref()
    void instance.stop()
  }
  process.on('SIGTERM', stop)
  process.on('SIGUSR2', () => void instance.replaceServer())
  // Ctrl-C in the terminal is for the supervisor, which stops us when it is our turn.
  process.on('SIGINT', () => {})
  process.stdin.once('close', stop)
  process.stdin.once('error', stop)
  process.stdin.resume()
  instance.start()
  const { name } = await instance.ended
  return name === 'stopped' ? 0 : name === 'fenced' ? STATUS_FENCED : 1
}

try {
  process.exit(await run(parseSettings(process.argv.slice(2))))
} catch (error) {
  complain('instance', error)
  process.exit(error instanceof UsageError ? 2 : 1)
}
