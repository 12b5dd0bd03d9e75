/**
 * A program that connects as applications for Aurora do: through AWS's wrapper of `pg`, by the cluster's name, with the
 * plugins that know the topology. It inserts until it was failed over, and prints what it saw, a line of JSON each.
 *
 *   node test/wrapper-client.ts '{"host","suffix","dns","password","authority"}'
 *
 * Names are asked of the region's DNS server, so that the machine's own files stay as they are.
 */
import dns, { type LookupAddress, type LookupOptions, Resolver } from 'node:dns'
import { readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const { host, suffix, dns: server, password, authority } = JSON.parse(process.argv[2] ?? '{}')
/** More than a failover takes on a machine that has other work. */
const GIVE_UP_MS = 120_000

const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

const resolver = new Resolver()
resolver.setServers([server])
type Answer = (error: Error | null, address?: string | LookupAddress[], family?: number) => void
const lookup = (name: string, options: LookupOptions | Answer, answer?: Answer): void => {
  const done = typeof options === 'function' ? options : (answer as Answer)
  const all = typeof options === 'object' && options.all === true
  resolver.resolve4(name, (error, [first = ''] = []) => {
    if (error !== null) done(error)
    else if (all) done(null, [{ address: first, family: 4 }])
    else done(null, first, 4)
  })
}
Object.assign(dns, { lookup })
syncBuiltinESMExports()

// Only now: it keeps the functions that it finds.
const { AwsPGClient } = await import('aws-advanced-nodejs-wrapper/pg')

const client = new AwsPGClient({
  host,
  port: 5432,
  user: 'postgres',
  password,
  database: 'postgres',
  ssl: { ca: readFileSync(authority, 'utf8') },
  plugins: 'initialConnection,readWriteSplitting,failover2,efm2',
  clusterId: 'test',
  clusterInstanceHostPattern: `?.${suffix}`,
  failoverTimeoutMs: GIVE_UP_MS,
  failureDetectionTime: 2000,
  failureDetectionInterval: 1000,
  failureDetectionCount: 3,
})

async function whoAnswers(): Promise<{ id: string; isReader: boolean }> {
  const { rows } = await client.query(
    'SELECT pg_catalog.aurora_db_instance_identifier() AS id, pg_catalog.pg_is_in_recovery() AS "isReader"',
  )
  return rows[0]
}

await client.connect()
say({ connected: await whoAnswers() })
await client.setReadOnly(true)
say({ readOnly: await whoAnswers() })
await client.setReadOnly(false)
say({ readWrite: await whoAnswers() })

await client.query('CREATE TABLE inserted (n int)')
let acknowledged = 0
for (const end = performance.now() + GIVE_UP_MS; performance.now() < end; ) {
  try {
    await client.query('INSERT INTO inserted VALUES ($1)', [acknowledged])
    acknowledged++
    if (acknowledged === 10) say({ inserting: acknowledged })
  } catch (error) {
    const name = error instanceof Error ? error.constructor.name : String(error)
    if (name !== 'FailoverSuccessError') say({ error: name, why: String(error) })
    else {
      const failedOver = await whoAnswers()
      await client.query('INSERT INTO inserted VALUES (-1)')
      const { rows } = await client.query('SELECT count(DISTINCT n)::int AS there FROM inserted WHERE n >= 0')
      say({ error: name, failedOver, acknowledged, there: rows[0].there })
    }
    break
  }
}
// Monitors of the wrapper would go on.
process.exit(0)
