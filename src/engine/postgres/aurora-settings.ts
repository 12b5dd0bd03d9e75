/**
 * `rds.extensions`, by which clients tell Aurora from other PostgreSQLs: they look for `aurora_stat_utils` in the row that
 * `pg_settings` has of it.
 *
 * A setting that PostgreSQL does not know itself can stand in its configuration and be shown by name, but `pg_settings`
 * leaves it out, and its clients ask for nothing else, with the name of the schema in front. Only a library that is loaded
 * into the engine could make it a real one. So the view gets a second half of one row. What is asked of the other settings
 * comes out as before, and so does `UPDATE pg_settings`, which is a rule of the view and stays; the
 * second half is not run where the name that is asked for is another. In a dump there is no system view.
 */
import type { Setting } from './settings.ts'

/** Extensions that come with all five versions; the last is Aurora's: its functions are there without being created. */
const EXTENSIONS = [
  ...['amcheck', 'bloom', 'btree_gin', 'btree_gist', 'citext', 'cube', 'dblink', 'dict_int', 'dict_xsyn'],
  ...['earthdistance', 'fuzzystrmatch', 'hstore', 'intagg', 'intarray', 'isn', 'lo', 'ltree', 'moddatetime'],
  ...['pageinspect', 'pg_buffercache', 'pg_freespacemap', 'pg_prewarm', 'pg_stat_statements', 'pg_trgm'],
  ...['pg_visibility', 'pgcrypto', 'pgrowlocks', 'pgstattuple', 'plpgsql', 'postgres_fdw', 'refint', 'seg'],
  ...['sslinfo', 'tablefunc', 'tcn', 'tsm_system_rows', 'tsm_system_time', 'unaccent', 'uuid-ossp', 'xml2'],
  'aurora_stat_utils',
]

/** What every instance's configuration has so that clients recognise it. */
export const AURORA_SETTINGS: readonly Setting[] = [
  { name: 'rds.extensions', value: EXTENSIONS.join(', '), reason: 'clients recognise Aurora by it' },
]

/** The columns of `pg_settings`, the same in 14 to 18, and what they are of `rds.extensions`. */
const ROW = {
  name: `'rds.extensions'`,
  setting: `current_setting('rds.extensions', true)`,
  unit: 'NULL',
  category: `'Customized Options'`,
  short_desc: `'Extensions that there are.'`,
  extra_desc: 'NULL',
  context: `'postmaster'`,
  vartype: `'string'`,
  source: `'configuration file'`,
  min_val: 'NULL',
  max_val: 'NULL',
  enumvals: 'NULL',
  boot_val: 'NULL',
  reset_val: `current_setting('rds.extensions', true)`,
  sourcefile: 'NULL',
  sourceline: 'NULL',
  pending_restart: 'false',
}

/** Needs `allow_system_table_mods`. Columns keep their names and types, as PostgreSQL sees to. */
export const settingsView = (): string => `
CREATE OR REPLACE VIEW pg_catalog.pg_settings AS
  SELECT ${Object.keys(ROW).join(', ')} FROM pg_show_all_settings()
  UNION ALL
  SELECT ${Object.values(ROW).join(', ')} WHERE current_setting('rds.extensions', true) IS NOT NULL`
