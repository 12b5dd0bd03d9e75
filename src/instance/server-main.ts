/**
 * The process that serves an instance's files, started by its supervisor (`instance.ts`), which keeps the descriptors:
 *
 *   node src/instance/server-main.ts --role writer --registry FILE --volume vol-0a1b2c3d --cache-mib N --scratch-bytes N
 *
 * Status 75: it has left for its successor. Status 3: another instance has taken the volume.
 */
import { writeSync } from 'node:fs'
import { KeptServer } from '../fuse/kept-server.ts'
import { FileServer } from './file-server.ts'
import { parseServerArguments } from './server-command.ts'

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Not through the event loop: the last line has to be out before the process is. */
function complain(what: string, error: unknown): void {
  const detail = process.env.BOREALIS_DEBUG === '1' && error instanceof Error ? `\n${error.stack}` : ''
  writeSync(2, `${new Date().toISOString()} ${what}: ${messageOf(error).split('\n', 1)[0]}${detail}\n`)
}

function serverOf(args: readonly string[]): FileServer {
  const settings = parseServerArguments(args)
  const kept = KeptServer.fromKeeper()
  if (kept === undefined) throw new Error('it is started by its supervisor only')
  return new FileServer(settings, kept, complain)
}

try {
  process.exit(await serverOf(process.argv.slice(2)).run())
} catch (error) {
  complain('the server of the files', error)
  process.exit(1)
}
