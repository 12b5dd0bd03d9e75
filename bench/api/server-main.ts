/** The API over a control plane in memory, as full as an account may be, in a process of its own: `server-main.ts CLUSTERS INSTANCES`. */
import { defaultClusterSettings, defaultInstanceSettings } from '../../src/cluster/defaults.ts'
import { selectVersion } from '../../src/engine/postgres/versions.ts'
import { startApi } from '../../test/api-server.ts'

const [clusters = 0, instances = 0] = process.argv.slice(2).map(Number)
const api = await startApi({ settleMs: 1 })
const { plane } = api

const { name: version } = selectVersion()
for (let i = 0; i < clusters; i++) {
  plane.createCluster({
    name: `cluster-${i}`,
    engine: 'aurora-postgresql',
    engineVersion: version,
    masterUser: 'postgres',
    masterPassword: 'correct-horse',
    databaseName: null,
    zones: null,
    settings: defaultClusterSettings(version, 5432),
    storageEncrypted: false,
  })
}
for (let i = 0; i < instances; i++) {
  const settings = defaultInstanceSettings(version)
  plane.createInstance({ name: `instance-${i}`, cluster: `cluster-${i % clusters}`, zone: null, settings })
}

process.on('message', () => process.send?.({ cpuMicros: cpuMicros() }))
process.on('disconnect', () => process.exit())

function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

process.send?.({ endpoint: api.endpoint, region: plane.region, credentials: api.credentials })
