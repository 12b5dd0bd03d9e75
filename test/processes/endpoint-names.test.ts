/**
 * Endpoints have names: clients reach the engine by them, over TLS that is verified against them, whether the machine's
 * hosts file, the region's DNS server or the client itself says where that is.
 *
 * The region runs in a mount namespace in which a file of ours lies over /etc/hosts, as a container's runtime does it.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { Resolver } from 'node:dns/promises'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import type { EndpointStatus } from '../../src/cli/region-status.ts'
import { runProgram, whyNoMount } from '../fuse-mounts.ts'
import { RegionHome } from '../region-home.ts'
import { until } from '../waiting.ts'

const HOSTS = '127.0.0.1 localhost\n# the last line has no end'
const NAMES = {
  writer: /^demo\.cluster-([a-z0-9]{12})\.local-1\.rds\.borealis\.internal$/,
  reader: /^demo\.cluster-ro-([a-z0-9]{12})\.local-1\.rds\.borealis\.internal$/,
  instance: /^demo-([12])\.[a-z0-9]{12}\.local-1\.rds\.borealis\.internal$/,
}

const withHosts = (file: string) =>
  ['unshare', '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', file] as const

/** Why /etc/hosts cannot be another one for some processes. */
function whyNoNamespace(): string | false {
  const [program, ...args] = [...withHosts('/dev/null'), 'true']
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  return status === 0 ? false : (error?.message ?? stderr)
}

const skip = whyNoMount() ?? whyNoNamespace()
const noPsql = spawnSync('psql', ['--version']).status === 0 ? false : 'there is no psql'

describe('the names of endpoints', { skip }, () => {
  let home: RegionHome
  let hosts: string
  let writer: EndpointStatus
  let reader: EndpointStatus
  let all: readonly EndpointStatus[]

  const run = async (...args: readonly string[]): Promise<string> => {
    const { status, output } = await home.borealisThrough(withHosts(hosts), ...args)
    assert.equal(status, 0, output)
    return output
  }
  const up = () => run('up', '--detach', '--memory-mib', '128')

  async function look(): Promise<void> {
    const { endpoints } = await home.status()
    const found = (wanted: string) => endpoints.find(({ type }) => type === wanted)
    const [one, other] = [found('writer'), found('reader')]
    assert(one !== undefined && other !== undefined)
    writer = one
    reader = other
    all = endpoints
  }

  /** In the region's namespace, where its names are. */
  async function psql(connection: string): Promise<string> {
    const { pid } = await home.status()
    const { output: password } = await home.borealis('cluster', 'password', 'demo')
    const { output } = await runProgram(
      'nsenter',
      [
        `--mount=/proc/${pid}/ns/mnt`,
        'psql',
        '-XAtc',
        'SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
        connection,
      ],
      { env: { ...process.env, PGPASSWORD: password.trim(), LC_ALL: 'C' } },
    )
    return output.trim()
  }

  const tls = () =>
    `port=${writer.port} user=postgres dbname=postgres sslmode=verify-full sslrootcert=${home.root}/authority.crt`

  before(async () => {
    home = await RegionHome.make([])
    home.environment.BOREALIS_HOSTS_FILE = ''
    hosts = join(home.root, 'hosts')
    writeFileSync(hosts, HOSTS)
  })
  after(async () => {
    await home?.[Symbol.asyncDispose]()
  })

  /** Then the reader's name leads to it, and to the writer no more. */
  const readerAvailable = () =>
    until(
      'there is a reader',
      async () => (await home.status()).instances.some(({ role, state }) => role === 'reader' && state === 'available'),
      120_000,
    )

  it('are printed when the region is up, and resolve there', async () => {
    const output = await up()
    await look()
    assert.match(writer.dnsName, NAMES.writer)
    assert.match(reader.dnsName, NAMES.reader)
    const instances = all.filter(({ type }) => type === 'instance')
    assert.deepEqual(
      instances.map(({ dnsName }) => NAMES.instance.exec(dnsName)?.[1]),
      ['1', '2'],
    )
    assert.deepEqual(
      all.map(({ host }) => host),
      all.map(({ dnsName }) => dnsName),
    )
    assert.match(output, new RegExp(`host +${writer.dnsName}\\n +address +${writer.address}\\n`))
    const { names } = await home.status()
    assert.deepEqual([names.hostsFile, names.advice], ['/etc/hosts', null])
    const text = readFileSync(hosts, 'utf8')
    assert.ok(text.endsWith(HOSTS))
    for (const { address, dnsName } of all) assert.ok(text.includes(`\n${address?.padEnd(15)} ${dnsName}\n`), dnsName)
    // The reader's is its balancer's.
    assert.deepEqual(
      instances.map(({ address }) => [address === writer.address, address === reader.address]),
      [
        [true, false],
        [false, false],
      ],
    )
  })

  it('are what psql connects to, verifying them', { skip: noPsql }, async () => {
    await readerAvailable()
    for (const { host } of all) assert.equal(await psql(`host=${host} ${tls()}`), 't', host)
    // The address alone is right as well; a name that is not the server's is not.
    assert.equal(await psql(`host=${writer.address} ${tls()}`), 't')
    const wrong = writer.host.replace('demo.', 'other.')
    assert.match(await psql(`host=${wrong} hostaddr=${writer.address} ${tls()}`), /does not match host name/)
  })

  it('are what the DNS server answers', async () => {
    const { dns } = (await home.status()).names
    assert(dns !== null)
    await readerAvailable()
    const resolver = new Resolver()
    resolver.setServers([dns])
    const second = all.find(({ name, type }) => name === 'demo-2' && type === 'instance')
    for (const { dnsName, type, address } of all) {
      // Past the balancer, to the one reader that there is.
      const leadsTo = type === 'reader' ? second?.address : address
      assert.deepEqual(await resolver.resolve4(dnsName, { ttl: true }), [{ address: leadsTo, ttl: 1 }])
    }
    await assert.rejects(resolver.resolve4(writer.dnsName.replace('demo.', 'other.')), { code: 'ENOTFOUND' })
  })

  it('can be given with the address, where nothing resolves them', async () => {
    const { output: password } = await home.borealis('cluster', 'password', 'demo')
    for (const { dnsName, address, port } of all) {
      const client = new pg.Client({
        host: address ?? '',
        port,
        user: 'postgres',
        password: password.trim(),
        database: 'postgres',
        ssl: { ca: readFileSync(join(home.root, 'authority.crt'), 'utf8'), servername: dnsName },
      })
      await client.connect()
      await client.end()
    }
    if (noPsql === false) assert.equal(await psql(`host=${writer.dnsName} hostaddr=${writer.address} ${tls()}`), 't')
  })

  it('of a cluster that is made and deleted come and go', async () => {
    await run('cluster', 'create', 'second')
    const text = () => readFileSync(hosts, 'utf8')
    assert.match(text(), / second\.cluster-.*\n.* second-1\./)
    await run('cluster', 'delete', 'second')
    await until('it is gone', () => !text().includes('second'), 120_000)
    assert.ok(text().includes(writer.dnsName))
  })

  async function kill(): Promise<void> {
    process.kill((await home.status()).pid, 'SIGKILL')
    await until('the region is gone', async () => (await home.borealis('status')).status !== 0)
  }

  let atKill = ''

  it('stay the same after the region was killed; a stop takes them out of the file', async () => {
    const names = all.map(({ dnsName }) => dnsName)
    await kill()
    atKill = readFileSync(hosts, 'utf8')
    assert.ok(atKill.includes(writer.dnsName))
    await up()
    await look()
    assert.deepEqual(
      all.map(({ host }) => host),
      names,
    )
    assert.equal(readFileSync(hosts, 'utf8').split(`${writer.dnsName}\n`).length, 2)
    await run('down')
    assert.equal(readFileSync(hosts, 'utf8'), HOSTS)
  })

  it('that do not resolve are addresses, and it is said what to do', async () => {
    home.environment.BOREALIS_HOSTS_FILE = 'none'
    const output = await up()
    await look()
    assert.deepEqual(
      all.map(({ host }) => host),
      all.map(({ address }) => address),
    )
    assert.match(output, new RegExp(`host +${writer.address}\\n +name +${writer.dnsName}\\n`))
    assert.match(output, /^names do not resolve on this machine .*hostaddr=ADDRESS, or let the system's resolver ask/m)
    const { output: shown } = await home.borealis('status')
    assert.match(shown, /^names do not resolve on this machine/m)
    assert.equal(readFileSync(hosts, 'utf8'), HOSTS)
  })

  it('of a region that was killed are taken out by down, too', async () => {
    await kill()
    writeFileSync(hosts, atKill)
    home.environment.BOREALIS_HOSTS_FILE = ''
    await run('down')
    assert.equal(readFileSync(hosts, 'utf8'), HOSTS)
  })
})
