/**
 * Keeps what Aurora has in SQL in every database of a writer. Readers get it by replication, dumps have none of it, and a
 * database made from `template0`, such as one that is restored, gets it at the next look.
 */
import { createHash } from 'node:crypto'
import { FAULT_FUNCTIONS, faultPrivileges } from './aurora-faults.ts'
import { AURORA_FUNCTIONS, functionText } from './aurora-functions.ts'
import { settingsView } from './aurora-settings.ts'
import { type Query, type SessionPlace, withSession } from './session.ts'

/** Whoever looks at `pg_settings` in a long transaction is not waited for: others would wait behind us. */
const LOCK_MS_MAX = 500
const LOOK_MS_MAX = 5_000
const INSTALL_MS_MAX = 30_000

/** Roles that scripts for Aurora grant. `rds_iam` is the gateway's to act upon. */
const ROLES = ['rds_iam', 'rds_password', 'rds_replication'] as const

/** A database's own settings apply to us, too: none may change whose names we speak of, or as whom. */
const OUR_SESSION = `
SET ROLE NONE;
SET search_path = pg_catalog, pg_temp;
SET transaction_read_only = off;
SET lock_timeout = ${LOCK_MS_MAX};
SET statement_timeout = 0;
SET allow_system_table_mods = on;`

const EVERYTHING = [
  settingsView(),
  ';',
  ...[...AURORA_FUNCTIONS, ...FAULT_FUNCTIONS].map(functionText),
  faultPrivileges(),
].join('')

/** Of all that is installed. What an older or newer Borealis has left differs, and is replaced. */
const STAMP = createHash('sha256').update(EVERYTHING).digest('hex').slice(0, 16)
const STAMP_BODY = `SELECT '${STAMP}'`
const STAMP_TEXT = `
CREATE OR REPLACE FUNCTION pg_catalog.borealis_surface() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  AS $borealis$${STAMP_BODY}$borealis$;
COMMENT ON FUNCTION pg_catalog.borealis_surface IS 'Which functions of Borealis there are in this database';`

/** One transaction, as all that is sent in one message. */
const INSTALLATION = `${OUR_SESSION}${EVERYTHING}${STAMP_TEXT}`

/**
 * A row of `pg_database` is another when the database is: one that was dropped and made again has another number, and what
 * was changed by `ALTER DATABASE` another transaction.
 */
const DATABASES = `
SELECT datname AS name, oid::text || '/' || xmin::text AS version
  FROM pg_catalog.pg_database
  WHERE datallowconn AND datconnlimit <> -2 AND NOT pg_catalog.pg_is_in_recovery()
    AND coalesce(pg_catalog.current_setting('borealis.aurora_surface', true), 'on') <> 'off'`

const CURRENT_STAMP = `
SELECT prosrc AS body FROM pg_catalog.pg_proc
  WHERE proname = 'borealis_surface' AND pronamespace = 'pg_catalog'::pg_catalog.regnamespace`

export class AuroraSurface {
  readonly #place: SessionPlace
  readonly #complain: (what: string, error: unknown) => void
  /** Databases that have all of it, by their names. */
  readonly #done = new Map<string, string>()
  #hasRoles = false
  #look: Promise<void> | undefined

  /** @param complain what could not be done, for the log; it is tried again at the next look */
  constructor(place: SessionPlace, complain: (what: string, error: unknown) => void) {
    this.#place = place
    this.#complain = complain
  }

  /**
   * Puts roles, functions and the view where they are missing. For a writer: after its start, when its master user is
   * there, and every ten seconds. Costs a session and a look at `pg_database` when nothing is missing; does nothing on a
   * reader, or where the parameter `borealis.aurora_surface` is `off`. Never throws.
   */
  look(): Promise<void> {
    this.#look ??= this.#lookOnce()
      .catch((error: unknown) => this.#complain('the functions of Aurora', error))
      .finally(() => {
        this.#look = undefined
      })
    return this.#look
  }

  async #lookOnce(): Promise<void> {
    const databases = await withSession(this.#place, LOOK_MS_MAX, async (query) => {
      const found = await query(DATABASES)
      if (found.length > 0 && !this.#hasRoles) {
        await ensureRoles(query)
        this.#hasRoles = true
      }
      return found.map(({ name, version }) => ({ name: `${name}`, version: `${version}` }))
    })
    const names = new Set(databases.map(({ name }) => name))
    for (const name of this.#done.keys()) if (!names.has(name)) this.#done.delete(name)
    for (const { name, version } of databases) {
      if (this.#done.get(name) === version) continue
      try {
        await withSession({ ...this.#place, database: name }, INSTALL_MS_MAX, install)
        this.#done.set(name, version)
      } catch (error) {
        this.#complain(`the functions of Aurora in database ${name}`, error)
      }
    }
  }
}

async function install(query: Query): Promise<void> {
  const [there] = await query(CURRENT_STAMP)
  if (there?.body !== STAMP_BODY) await query(INSTALLATION)
}

/**
 * Roles that one can be a member of, and that those who may create roles may grant. From 16 on that takes the right to
 * administer them; being a member, and so being told to log in by a token, must not come with it.
 */
async function ensureRoles(query: Query): Promise<void> {
  await query(`${OUR_SESSION}
DO $borealis$
DECLARE role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['${ROLES.join("', '")}'] LOOP
    CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role);
    EXECUTE format('CREATE ROLE %I NOLOGIN', role);
    CONTINUE WHEN current_setting('server_version_num')::integer < 160000;
    EXECUTE format('GRANT %I TO rds_superuser WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', role);
  END LOOP;
END
$borealis$`)
}
