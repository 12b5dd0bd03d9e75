/**
 * What Aurora has in `pg_catalog` and PostgreSQL does not, as functions of SQL and PL/pgSQL.
 *
 * What they know of the cluster is in `topology.json` beside the configuration, which the instance writes when it hears
 * of changes. Neither its path nor the instance's name is a setting of ours: anybody may set those in a session, and a
 * function with the rights of the superuser would read whatever file they name. `config_file` and `cluster_name` are the
 * server's for its life.
 *
 * No privilege is granted or revoked here, since `pg_dump` tells of those (`aurora-faults.ts` has to, and says how).
 */

export interface AuroraFunction {
  readonly name: string
  /** With their types, in brackets. */
  readonly parameters: string
  readonly returns: string
  /** Language, volatility, and whose rights it has. */
  readonly kind: string
  readonly body: string
  /** What `aurora_list_builtins` says of it. */
  readonly description: string
}

/** No operator or function of a schema that a caller puts in front. */
const PATH = 'SET search_path = pg_catalog, pg_temp'
const SQL = `LANGUAGE sql STABLE ${PATH}`
/** With the owner's rights, and nobody else's functions. Unsafe in parallel, as what catches errors has to be. */
const DEFINER = `SECURITY DEFINER ${PATH}`

/** A list of the members of a cluster, with their names, is some kilobytes. */
const TOPOLOGY_BYTES_MAX = 1 << 20

const MEMBER = 'name text, role text, run integer, "lagMs" float8, "walLsn" pg_lsn, "updatedAt" timestamptz, cpu float8'

/**
 * Who is the writer is known best to the instance itself: while roles change, lists are behind. A reader never calls
 * itself the writer, and a writer calls nobody else so.
 */
const MEMBERS: AuroraFunction = {
  name: 'borealis_members',
  parameters: `(OUT server_id text, OUT is_writer boolean, OUT run integer, OUT lag_ms float8, OUT wal_lsn pg_lsn,
    OUT updated_at timestamptz, OUT cpu float8)`,
  returns: 'SETOF record',
  kind: `LANGUAGE plpgsql STABLE ${DEFINER}`,
  body: `
DECLARE
  path text := regexp_replace(current_setting('config_file'), '[^/]*$', 'topology.json');
  me text := current_setting('cluster_name');
  members jsonb;
  writer text;
BEGIN
  BEGIN
    members := pg_read_file(path, 0, ${TOPOLOGY_BYTES_MAX}, true);
    -- Fails here when anything in it is not what it should be.
    SELECT min(m.name) INTO writer FROM jsonb_to_recordset(members) AS m(${MEMBER})
      WHERE m.role = 'writer' AND m.name <> me;
  EXCEPTION WHEN OTHERS THEN
    members := NULL;
  END;
  IF NOT pg_is_in_recovery() THEN writer := me; END IF;
  RETURN QUERY
    SELECT m.name, m.name IS NOT DISTINCT FROM writer, coalesce(m.run, 0), CASE WHEN m.name <> writer THEN m."lagMs" END,
        m."walLsn", CASE WHEN m.name = me THEN clock_timestamp() ELSE m."updatedAt" END, m.cpu
      FROM jsonb_to_recordset(coalesce(members, '[]')) AS m(${MEMBER})
      WHERE m.name IS NOT NULL
    UNION ALL
    SELECT me, me IS NOT DISTINCT FROM writer, 0, NULL, NULL, clock_timestamp(), NULL
      WHERE NOT coalesce(members, '[]') @> jsonb_build_array(jsonb_build_object('name', me));
END`,
  description: 'Members of the cluster, as this instance knows them',
}

/** Columns, and no row. */
const none = (...types: string[]): string => `SELECT ${types.map((type) => `NULL::${type}`).join(', ')} WHERE false`

/** A column that nobody here can tell of is null, as Aurora's are that are not used. */
const REPLICA_STATUS = `
SELECT server_id,
  CASE WHEN is_writer THEN 'MASTER_SESSION_ID' ELSE md5(server_id || '/' || run)::uuid::text END,
  (wal_lsn - '0/0')::bigint,
  CASE WHEN NOT is_writer THEN (wal_lsn - '0/0')::bigint END,
  CASE WHEN NOT is_writer THEN (wal_lsn - '0/0')::bigint END,
  NULL::integer, NULL::integer, true, 0, NULL::timestamptz, updated_at, NULL::bigint, NULL::bigint, lag_ms,
  NULL::float8, NULL::bigint, NULL::bigint, NULL::bigint, NULL::integer, NULL::bigint, NULL::integer, cpu
FROM pg_catalog.borealis_members()`

/** A volume has six copies, each on another storage node, and a node has one disk. */
export const STORAGE_NODES = 6

export const AURORA_FUNCTIONS: readonly AuroraFunction[] = [
  {
    name: 'aurora_version',
    parameters: '()',
    returns: 'text',
    kind: `${SQL} PARALLEL SAFE`,
    // Aurora appends the number of its own patch to PostgreSQL's number. We have none.
    body: `SELECT num / 10000 || '.' || num % 10000 || '.0' FROM (SELECT current_setting('server_version_num')::integer) AS v(num)`,
    description: 'Version of the Aurora that this is compatible with',
  },
  {
    name: 'aurora_db_instance_identifier',
    parameters: '()',
    returns: 'text',
    kind: `${SQL} PARALLEL SAFE`,
    body: `SELECT current_setting('cluster_name')`,
    description: 'Name of the instance of this session',
  },
  MEMBERS,
  {
    name: 'aurora_replica_status',
    parameters: `(OUT server_id text, OUT session_id text, OUT durable_lsn bigint, OUT highest_lsn_rcvd bigint,
    OUT current_read_lsn bigint, OUT cur_replay_latency_in_usec integer, OUT active_txns integer, OUT is_current boolean,
    OUT last_transport_error integer, OUT last_error_timestamp timestamptz, OUT last_update_timestamp timestamptz,
    OUT feedback_xmin bigint, OUT feedback_epoch bigint, OUT replica_lag_in_msec float8,
    OUT log_stream_speed_in_kib_per_second float8, OUT log_buffer_sequence_number bigint,
    OUT oldest_read_view_trx_id bigint, OUT oldest_read_view_lsn bigint, OUT pending_read_ios integer,
    OUT read_ios bigint, OUT iops integer, OUT cpu float8)`,
    returns: 'SETOF record',
    kind: `LANGUAGE sql VOLATILE ${PATH}`,
    body: REPLICA_STATUS,
    description: 'Replication status of all members of the cluster',
  },
  {
    name: 'aurora_global_db_status',
    parameters: `(OUT aws_region text, OUT highest_lsn_written bigint, OUT durability_lag_in_msec float8,
    OUT rpo_lag_in_msec float8, OUT last_lag_calculation_time timestamptz, OUT feedback_epoch bigint,
    OUT feedback_xmin bigint)`,
    returns: 'SETOF record',
    kind: `${SQL} PARALLEL SAFE`,
    body: none('text', 'bigint', 'float8', 'float8', 'timestamptz', 'bigint', 'bigint'),
    description: 'Replication status of the clusters of a global database: there are none',
  },
  {
    name: 'aurora_global_db_instance_status',
    parameters: `(OUT server_id text, OUT session_id text, OUT aws_region text, OUT durable_lsn bigint,
    OUT highest_lsn_rcvd bigint, OUT feedback_epoch bigint, OUT feedback_xmin bigint, OUT oldest_read_view_lsn bigint,
    OUT visibility_lag_in_msec float8)`,
    returns: 'SETOF record',
    kind: `${SQL} PARALLEL SAFE`,
    body: none('text', 'text', 'text', 'bigint', 'bigint', 'bigint', 'bigint', 'bigint', 'float8'),
    description: 'Replication status of the instances of a global database: there are none',
  },
  {
    name: 'aurora_show_volume_status',
    parameters: '(OUT disks integer, OUT nodes integer)',
    returns: 'SETOF record',
    kind: `${SQL} PARALLEL SAFE`,
    body: `SELECT ${STORAGE_NODES}, ${STORAGE_NODES}`,
    description: 'Storage nodes that have a copy of the volume, and their disks',
  },
  {
    name: 'aurora_list_builtins',
    parameters: `(OUT "Name" text, OUT "Result data type" text, OUT "Argument data types" text, OUT "Type" text,
    OUT "Volatility" text, OUT "Parallel" text, OUT "Security" text, OUT "Description" text)`,
    returns: 'SETOF record',
    kind: `${SQL} PARALLEL SAFE`,
    body: `
SELECT p.proname::text, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid), 'func',
  CASE p.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
  CASE p.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END,
  CASE WHEN p.prosecdef THEN 'definer' ELSE 'invoker' END,
  obj_description(p.oid, 'pg_proc')
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname LIKE 'aurora\\_%'
ORDER BY 1`,
    description: 'Functions that Aurora has and PostgreSQL does not',
  },
]

export const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** Statements that make a function, or replace it where it is there. */
export const functionText = ({ name, parameters, returns, kind, body, description }: AuroraFunction): string => `
CREATE OR REPLACE FUNCTION pg_catalog.${name}${parameters} RETURNS ${returns} ${kind} AS $borealis$${body}$borealis$;
COMMENT ON FUNCTION pg_catalog.${name} IS ${quoted(description)};`
