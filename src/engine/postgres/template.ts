/**
 * A data directory fresh from `initdb`, made once for each version and kept beside the binaries. A new cluster is a copy
 * of it: `initdb` takes seconds, insists on a user with a name, and would write everything twice to the volume.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { namedAccount, openFolders } from '../account.ts'
import { EngineError } from '../engine-error.ts'
import { runProgram } from '../program.ts'
import { moveIntoPlace, type PostgresBinaries, temporaryBeside } from './binaries.ts'
import type { Major } from './versions.ts'

/** The owner of the cluster, as in Aurora: nobody's login, used over the local socket only. */
export const SUPERUSER = 'rdsadmin'

/** From then on PostgreSQL brings a locale of its own. */
const FIRST_WITH_BUILTIN_LOCALE: Major = 17

/**
 * - Text sorts by code point in every version: an order that no library of the machine has a say in. Indexes on a volume
 *   outlive machines, and an index whose order has changed under it is corrupt. Other orders are there by name
 *   (`COLLATE "de-x-icu"`). Which characters are letters comes from C.UTF-8.
 * - Data checksums: the page's own, which PostgreSQL checks when it reads, tell of a block that the file system or the
 *   volume mixed up. Without full-page writes they cost 47 bytes of WAL for a page's first hint bit (README.md).
 * - The log's files are small: a recovery that ends by promotion copies one, page by page (docs/decisions/0012).
 * - Nothing is synced: a template that is lost is made again, and the copy has its own sync.
 */
export function initdbArguments(major: Major): string[] {
  const locale =
    major >= FIRST_WITH_BUILTIN_LOCALE
      ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', '--lc-ctype=C.UTF-8']
      : ['--locale=C', '--lc-ctype=C.UTF-8']
  const fixed = ['--encoding=UTF8', '--data-checksums', '--wal-segsize=4', '--no-sync', '--no-instructions']
  return [`--username=${SUPERUSER}`, ...locale, ...fixed]
}

/** Of an instance, not of the data: they come from the instance's own folder (`configuration.ts`). */
const REPLACED = ['pg_hba.conf', 'pg_ident.conf']
const STUB = '# Settings are kept outside of the data, with each instance: see SHOW config_file.\n'

const INITDB_DEADLINE_MS = 120_000

/** @param folder the temporary one, which an unprivileged user may pass through */
async function initialise(binaries: PostgresBinaries, folder: string): Promise<string> {
  const account = await namedAccount()
  const data = join(folder, 'data')
  await mkdir(data, { mode: 0o700 })
  await chmod(folder, 0o711)
  if (account !== undefined) await chown(data, account.uid, account.gid)
  for (const path of [binaries.initdb, data]) await openFolders(path, account)
  // Nothing of our environment: PGDATA, LC_ALL and the like would have a say.
  const { status, errors } = await runProgram(binaries.initdb, [...initdbArguments(binaries.version.major), data], {
    account,
    environment: { PATH: process.env.PATH, TZ: 'UTC' },
    deadlineMs: INITDB_DEADLINE_MS,
  })
  if (status !== 0) {
    const lines = errors.split('\n').filter((line) => /error|fatal/i.test(line))
    throw new EngineError('OperationFailed', `initdb failed: ${lines[0] ?? (errors.trim() || `status ${status}`)}`)
  }
  for (const name of REPLACED) await rm(join(data, name))
  await writeFile(join(data, 'postgresql.conf'), STUB)
  // What is in it stays as `initdb` left it, but nobody gets there any more.
  if (account !== undefined) await chown(data, 0, 0)
  return data
}

/** The folder of the template, made if it is not there. Several may ask at once, also in several processes. */
export async function preparedTemplate(binaries: PostgresBinaries): Promise<string> {
  const options = createHash('sha256').update(initdbArguments(binaries.version.major).join(' ')).digest('hex')
  const folder = join(dirname(binaries.folder), `template-${binaries.version.packageVersion}-${options.slice(0, 8)}`)
  if (existsSync(join(folder, 'PG_VERSION'))) return folder
  const temporary = await temporaryBeside(folder)
  try {
    await moveIntoPlace(await initialise(binaries, temporary), folder)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
  return folder
}
