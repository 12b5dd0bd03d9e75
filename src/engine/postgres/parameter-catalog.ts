/**
 * What PostgreSQL itself says of its parameters: types, units, ranges, when a change takes effect. Asked of the server of
 * that version, alone on a copy of the template, which takes it a tenth of a second; kept beside its programs.
 */
import { chmod, chown, cp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Account, namedAccount, openFolders } from '../account.ts'
import { EngineError } from '../engine-error.ts'
import { runProgram } from '../program.ts'
import { type PostgresBinaries, temporaryBeside } from './binaries.ts'
import { preparedTemplate } from './template.ts'

/** A row of `pg_settings`. */
export interface EngineParameter {
  readonly name: string
  readonly description: string
  readonly type: 'bool' | 'integer' | 'real' | 'string' | 'enum'
  /** `kB`, `8kB`, `ms` ...: of a number without one. */
  readonly unit: string | null
  /** `postmaster`: at the next start. `internal`: never. */
  readonly context: 'internal' | 'postmaster' | 'sighup' | 'superuser-backend' | 'backend' | 'superuser' | 'user'
  readonly least: string | null
  readonly most: string | null
  /** Of an enumeration. */
  readonly choices: readonly string[] | null
  readonly defaultValue: string | null
}

// Changes of the form of the file make it be written again.
const FORMAT = 1
const DEADLINE_MS = 60_000

const QUESTION = `COPY (
  SELECT json_build_object(
    'name', name, 'description', short_desc, 'type', vartype, 'unit', unit, 'context', context,
    'least', min_val, 'most', max_val, 'choices', enumvals, 'defaultValue', boot_val)
  FROM pg_settings ORDER BY name
) TO STDOUT`.replaceAll('\n', ' ')

/** Backslashes as COPY writes them; a line break in a text becomes one of these as well. */
const unescaped = (text: string): string =>
  text.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter))

async function giveTo(folder: string, { uid, gid }: Account): Promise<void> {
  await chown(folder, uid, gid)
  for (const name of await readdir(folder, { recursive: true })) await chown(join(folder, name), uid, gid)
}

async function ask(binaries: PostgresBinaries, temporary: string): Promise<EngineParameter[]> {
  // The server wants a user with a name when it is alone.
  const account = await namedAccount()
  const data = join(temporary, 'data')
  await cp(await preparedTemplate(binaries), data, { recursive: true })
  await chmod(temporary, 0o711)
  await chmod(data, 0o700)
  if (account !== undefined) await giveTo(data, account)
  for (const path of [binaries.postgres, data]) await openFolders(path, account)
  const { status, output, errors } = await runProgram(
    binaries.postgres,
    ['--single', '-D', data, '-c', 'fsync=off', 'template1'],
    { account, environment: { PATH: process.env.PATH, TZ: 'UTC' }, input: `${QUESTION}\n`, deadlineMs: DEADLINE_MS },
  )
  const rows = output.split('\n').flatMap((line) => {
    const at = line.indexOf('{')
    return at < 0 ? [] : [JSON.parse(unescaped(line.slice(at))) as EngineParameter]
  })
  if (status !== 0 || rows.length === 0) {
    const line = errors.split('\n').find((text) => /error|fatal/i.test(text)) ?? `status ${status}`
    throw new EngineError('OperationFailed', `PostgreSQL ${binaries.version.name} did not list its parameters: ${line}`)
  }
  return rows
}

/** By name. */
export async function engineParameters(binaries: PostgresBinaries): Promise<readonly EngineParameter[]> {
  const folder = dirname(binaries.folder)
  const path = join(folder, `parameters-${binaries.version.packageVersion}-${FORMAT}.json`)
  const kept = await readFile(path, 'utf8').catch(() => undefined)
  if (kept !== undefined) return JSON.parse(kept) as EngineParameter[]
  const temporary = await temporaryBeside(path)
  try {
    const parameters = await ask(binaries, temporary)
    const file = join(temporary, 'parameters.json')
    await writeFile(file, `${JSON.stringify(parameters, null, 1)}\n`)
    await rename(file, path)
    return parameters
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}
