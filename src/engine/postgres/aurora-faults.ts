/**
 * `aurora_inject_...`: SQL by which members of `rds_superuser` have faults made, on purpose, for a time. A function
 * checks what it is given, puts a request into the instance's mailbox (`aurora-requests.ts`), and waits until somebody
 * has taken it: a fault that did not happen is an error and not a silence.
 */
import { type AuroraFunction, quoted, STORAGE_NODES } from './aurora-functions.ts'

/** Who may. */
const GROUP = 'rds_superuser'

/** The control plane looks every second; who waits longer is better told. */
const ANSWER_SECONDS_MAX = 10
const LOOKS_PER_SECOND = 20

/** Faults are for tests. A longer one is a mistake in the unit. */
const FAULT_SECONDS_MAX = 86_400
/** Aurora's. */
const DELAY_MS_MAX = 100

const DEFINER = 'LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp'

const REQUEST: AuroraFunction = {
  name: 'borealis_request',
  parameters: '(fault jsonb)',
  returns: 'void',
  kind: DEFINER,
  body: `
DECLARE
  id text := gen_random_uuid();
  file text := regexp_replace(current_setting('config_file'), '[^/]*$', 'requests/') || id;
  request jsonb := jsonb_build_object('id', id, 'untilMs',
    floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + ${ANSWER_SECONDS_MAX * 1000}, 'fault', fault);
  answer jsonb;
BEGIN
  EXECUTE format('COPY (SELECT %L) TO %L', request, file || '.request');
  FOR look IN 1 .. ${ANSWER_SECONDS_MAX * LOOKS_PER_SECOND} LOOP
    PERFORM pg_sleep(1.0 / ${LOOKS_PER_SECOND});
    answer := pg_read_file(file || '.answer', 0, 65536, true);
    IF answer IS NOT NULL THEN
      IF answer ->> 'problem' IS NULL THEN RETURN; END IF;
      RAISE EXCEPTION '%', answer ->> 'problem' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
  END LOOP;
  RAISE EXCEPTION 'the fault was not injected: nobody took the request within ${ANSWER_SECONDS_MAX} s'
    USING ERRCODE = 'object_not_in_prerequisite_state';
END`,
  description: 'Asks whoever supervises the instance for a fault',
}

/** @param condition is null or true when it is right */
const check = (condition: string, problem: string): string => `
  IF (${condition}) IS NOT TRUE THEN
    RAISE EXCEPTION ${quoted(problem)} USING ERRCODE = 'invalid_parameter_value';
  END IF;`

const CHECK_PERCENTAGE = check(
  'percentage_of_failure BETWEEN 0 AND 100',
  'percentage_of_failure is a number between 0 and 100',
)
const CHECK_SECONDS = check(
  `time_interval BETWEEN 1 AND ${FAULT_SECONDS_MAX}`,
  `time_interval is a number of seconds between 1 and ${FAULT_SECONDS_MAX}`,
)
const CHECK_DISK = `${check(`index BETWEEN 0 AND ${STORAGE_NODES - 1}`, `index is between 0 and ${STORAGE_NODES - 1}: see aurora_show_volume_status()`)}${check('is_disk IS NOT NULL', 'is_disk is true or false')}`

const asking = (checks: string, fault: string): string =>
  `\nBEGIN${checks}\n  PERFORM borealis_request(jsonb_build_object(${fault}));\nEND`

export const FAULT_FUNCTIONS: readonly AuroraFunction[] = [
  REQUEST,
  {
    name: 'aurora_inject_crash',
    parameters: `(what text DEFAULT 'instance')`,
    returns: 'void',
    kind: DEFINER,
    body: asking(
      check(`lower(what) IN ('instance', 'dispatcher', 'node')`, 'what crashes is instance, dispatcher or node'),
      `'kind', 'crash', 'what', lower(what)`,
    ),
    description: 'Crashes the engine (instance), the server of its files (dispatcher), or all of the instance (node)',
  },
  {
    name: 'aurora_inject_replica_failure',
    parameters: `(percentage_of_failure float8, time_interval integer, replica_name text DEFAULT '')`,
    returns: 'void',
    kind: DEFINER,
    body: asking(
      `${CHECK_PERCENTAGE}${CHECK_SECONDS}${check(
        `replica_name ~ '^[A-Za-z0-9-]{0,63}$'`,
        'replica_name is the name of an instance, or empty for all readers',
      )}`,
      `'kind', 'replica-failure', 'percent', percentage_of_failure, 'seconds', time_interval,
    'replica', nullif(lower(replica_name), '')`,
    ),
    description: 'Keeps one reader, or all, from following the writer for a time',
  },
  {
    name: 'aurora_inject_disk_failure',
    parameters: '(percentage_of_failure float8, index integer, is_disk boolean, time_interval integer)',
    returns: 'void',
    kind: DEFINER,
    body: asking(
      `${CHECK_PERCENTAGE}${CHECK_DISK}${CHECK_SECONDS}`,
      `'kind', 'disk-failure', 'percent', percentage_of_failure, 'index', index, 'seconds', time_interval`,
    ),
    description: 'Makes operations of the disk of a storage node fail for a time',
  },
  {
    name: 'aurora_inject_disk_congestion',
    parameters: `(percentage_of_failure float8, index integer, is_disk boolean, time_interval integer,
    minimum float8, maximum float8)`,
    returns: 'void',
    kind: DEFINER,
    body: asking(
      `${CHECK_PERCENTAGE}${CHECK_DISK}${CHECK_SECONDS}${check(
        `minimum >= 0 AND maximum <= ${DELAY_MS_MAX} AND minimum <= maximum`,
        `minimum and maximum are milliseconds between 0 and ${DELAY_MS_MAX}, the lesser first`,
      )}`,
      `'kind', 'disk-congestion', 'percent', percentage_of_failure, 'index', index, 'seconds', time_interval,
    'msMin', minimum, 'msMax', maximum`,
    ),
    description: 'Makes operations of the disk of a storage node slow for a time',
  },
]

/**
 * The members of the group alone may call them. `pg_dump` puts into a dump what the privileges of a system function are
 * unless they are those that it began with, as `pg_init_privs` has them: so it has ours.
 */
export const faultPrivileges = (): string =>
  FAULT_FUNCTIONS.map(({ name }) => {
    const granted = name === REQUEST.name ? '' : `GRANT EXECUTE ON FUNCTION pg_catalog.${name} TO ${GROUP};`
    const ours = `classoid = 'pg_proc'::regclass AND objoid = 'pg_catalog.${name}'::regproc AND objsubid = 0`
    return `
REVOKE ALL ON FUNCTION pg_catalog.${name} FROM PUBLIC; ${granted}
DELETE FROM pg_init_privs WHERE ${ours};
INSERT INTO pg_init_privs (objoid, classoid, objsubid, privtype, initprivs)
  SELECT oid, 'pg_proc'::regclass, 0, 'i', proacl FROM pg_proc WHERE oid = 'pg_catalog.${name}'::regproc;`
  }).join('')
