/** The roles of a new cluster. As in Aurora, the master user is no superuser: what it may is `rds_superuser`'s. */
import { EngineError } from '../engine-error.ts'
import { isVerifierOf, scramVerifier } from './passwords.ts'
import type { Query } from './session.ts'

export interface Login {
  readonly name: string
  readonly password: string
}

/** The role by which readers follow the writer. */
export const REPLICATION_ROLE = 'rdsrepladmin'
const MASTER_GROUP = 'rds_superuser'

/** Roles of PostgreSQL that let do without being a superuser; 14 has not all of them. */
const GRANTED = [
  'pg_monitor',
  'pg_signal_backend',
  'pg_checkpoint',
  'pg_create_subscription',
  'pg_use_reserved_connections',
]

const RESERVED = /^(pg_|rds)/i
const NAME = /^[a-z_][a-z0-9_]{0,62}$/i

/** RDS has the same rule. Quoted names of any other kind would be a trap for whoever types them. */
export function roleNameProblem(name: string): string | undefined {
  if (!NAME.test(name)) return `${name} is no name for a user: 1 to 63 letters, digits and _, the first no digit`
  return RESERVED.test(name) ? `${name} is reserved` : undefined
}

const quoted = (name: string): string => `"${name.toLowerCase()}"`
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

async function ensureRole(query: Query, name: string, options: string): Promise<void> {
  const there = await query('SELECT 1 FROM pg_roles WHERE rolname = $1', [name.toLowerCase()])
  await query(`${there.length > 0 ? 'ALTER' : 'CREATE'} ROLE ${quoted(name)} ${options}`)
}

/** Can be done again, also after half of it was. @param database that is to be there, theirs, besides `postgres` */
export async function ensureMaster(query: Query, { name, password }: Login, database?: string): Promise<void> {
  const problem = roleNameProblem(name)
  if (problem !== undefined) throw new EngineError('BadParameter', problem)
  await ensureRole(query, MASTER_GROUP, 'NOLOGIN CREATEDB CREATEROLE')
  const roles = await query('SELECT rolname FROM pg_roles WHERE rolname = ANY($1)', [GRANTED])
  for (const { rolname } of roles) await query(`GRANT ${rolname} TO ${MASTER_GROUP} WITH ADMIN OPTION`)
  await ensureRole(query, name, `LOGIN CREATEDB CREATEROLE PASSWORD ${literal(scramVerifier(password))}`)
  await query(`GRANT ${MASTER_GROUP} TO ${quoted(name)} WITH ADMIN OPTION`)
  if (database !== undefined) await ensureDatabase(query, database, name)
  await query(`ALTER DATABASE postgres OWNER TO ${quoted(name)}`)
}

async function ensureDatabase(query: Query, name: string, owner: string): Promise<void> {
  const there = await query('SELECT 1 FROM pg_database WHERE datname = $1', [name])
  if (there.length === 0) await query(`CREATE DATABASE "${name.replaceAll('"', '""')}" OWNER ${quoted(owner)}`)
}

/** At each start: nothing is written when it is as it should be. */
export async function ensureReplicationRole(query: Query, password: string): Promise<void> {
  const [role] = await query(
    'SELECT rolpassword FROM pg_authid WHERE rolname = $1 AND rolreplication AND rolcanlogin',
    [REPLICATION_ROLE],
  )
  if (isVerifierOf(role?.rolpassword, password)) return
  await ensureRole(query, REPLICATION_ROLE, `LOGIN REPLICATION PASSWORD ${literal(scramVerifier(password))}`)
}
