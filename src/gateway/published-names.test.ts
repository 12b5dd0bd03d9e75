import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { until } from '../../test/waiting.ts'
import type { DnsPlace } from './dns-server.ts'
import type { Endpoint } from './endpoint.ts'
import { type EndpointType, endpointName } from './endpoint-name.ts'
import { type NamesOptions, PublishedNames } from './published-names.ts'

const SPACE = { hash: 'k3j9x0q2m4zt', region: 'local-1', domain: 'rds.borealis.internal' }

const endpoint = (type: EndpointType, name: string, addresses: readonly string[], balancer: string | null = null) => ({
  dnsName: endpointName(type, name, SPACE),
  type,
  port: 5432,
  addresses,
  balancer,
})
const WRITER: Endpoint = endpoint('writer', 'demo', ['127.20.0.2'])
const INSTANCE: Endpoint = endpoint('instance', 'demo-1', ['127.20.0.2'])
const READER: Endpoint = endpoint('reader', 'demo', ['127.20.0.3', '127.20.0.4'], '127.20.0.9')
const HOSTS = '127.0.0.1 localhost\n'

describe('published names', () => {
  let folder: string
  let hosts: string
  let said: string[]
  let open: PublishedNames[]

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'borealis-names-'))
    hosts = join(folder, 'hosts')
    writeFileSync(hosts, HOSTS)
    said = []
    open = []
  })
  afterEach(async () => {
    for (const names of open) await names.close()
    rmSync(folder, { recursive: true })
  })

  /** As the C library does it: the system's own resolver only ever reads /etc/hosts. */
  const resolve = async (name: string): Promise<string[]> => {
    const lines = readFileSync(hosts, 'utf8').split('\n')
    return lines.flatMap((line) => (line.endsWith(` ${name}`) ? [line.split(' ')[0] ?? ''] : []))
  }

  async function publishing(more: Partial<NamesOptions> = {}): Promise<PublishedNames> {
    const say = (line: string) => said.push(line)
    const names = await PublishedNames.open({
      space: SPACE,
      home: '/home',
      hostsFile: hosts,
      dnsPlaces: [],
      say,
      resolve,
      ...more,
    })
    open.push(names)
    return names
  }

  async function publish(names: PublishedNames, endpoints: readonly Endpoint[]): Promise<void> {
    await names.publish(endpoints)
    await names.tried()
  }

  it('are in the hosts file, until they are closed', async () => {
    const names = await publishing()
    await publish(names, [WRITER, INSTANCE])
    assert.deepEqual([await resolve(WRITER.dnsName), await resolve(INSTANCE.dnsName)], [['127.20.0.2'], ['127.20.0.2']])
    assert.equal(names.hostOf(WRITER), WRITER.dnsName)
    assert.deepEqual(names.status(), { domain: SPACE.domain, hostsFile: hosts, dns: null, advice: null })
    await names.close()
    assert.equal(readFileSync(hosts, 'utf8'), HOSTS)
    assert.deepEqual(said, [])
  })

  it('follow their endpoints: to another address, and away', async () => {
    const names = await publishing()
    await publish(names, [WRITER, INSTANCE])
    const moved = { ...WRITER, addresses: ['127.20.0.3'] }
    await publish(names, [moved])
    assert.deepEqual([await resolve(WRITER.dnsName), await resolve(INSTANCE.dnsName)], [['127.20.0.3'], []])
    assert.deepEqual(
      [names.hostOf(moved), names.hostOf(WRITER), names.hostOf(INSTANCE)],
      [WRITER.dnsName, '127.20.0.2', '127.20.0.2'],
    )
  })

  it('of several addresses are those of their balancer, or of one of them', async () => {
    const names = await publishing()
    const without = { ...READER, balancer: null }
    await publish(names, [READER])
    assert.deepEqual(await resolve(READER.dnsName), ['127.20.0.9'])
    await publish(names, [without])
    assert.deepEqual(await resolve(READER.dnsName), ['127.20.0.3'])
    assert.equal(names.hostOf(without), READER.dnsName)
    assert.equal(names.hostOf({ ...without, addresses: ['127.20.0.4'] }), '127.20.0.4')
  })

  it('of several addresses may be found with any of them, and with no other', async () => {
    let found = ['127.20.0.4', '127.20.0.3']
    const names = await publishing({ hostsFile: null, resolve: async () => found })
    await publish(names, [READER])
    assert.equal(names.hostOf(READER), READER.dnsName)
    found = ['127.20.0.4']
    await publish(names, [{ ...READER }])
    assert.equal(names.hostOf(READER), READER.dnsName)
    found = ['127.20.0.4', '127.20.0.2']
    await names.publish([{ ...READER }])
    await until('it is the address', () => names.hostOf(READER) === '127.20.0.9')
  })

  it('with nobody behind them are in no file, and nobody is told that they do not resolve', async () => {
    const names = await publishing()
    const nobody = { ...READER, addresses: [], balancer: null }
    await publish(names, [nobody, WRITER])
    assert.deepEqual([await resolve(READER.dnsName), await resolve(WRITER.dnsName)], [[], ['127.20.0.2']])
    assert.equal(names.hostOf(nobody), READER.dnsName)
    assert.equal(names.status().advice, null)
  })

  it('follow at once, however long it takes to try whether they resolve', async () => {
    const names = await publishing({ resolve: () => new Promise(() => {}) })
    await names.publish([WRITER])
    for (const address of ['127.20.0.3', '127.20.0.4', '127.20.0.14']) {
      await names.publish([{ ...WRITER, addresses: [address] }])
      assert.deepEqual(await resolve(WRITER.dnsName), [address])
    }
  })

  it('that a resolver in between remembers for a moment are tried again before anybody is told', async () => {
    const answers = [['127.20.0.2'], ['127.20.0.2'], ['127.20.0.3']]
    const names = await publishing({ hostsFile: null, resolve: async () => answers.shift() ?? [] })
    await publish(names, [WRITER])
    const moved = { ...WRITER, addresses: ['127.20.0.3'] }
    await publish(names, [moved])
    assert.deepEqual([names.hostOf(moved), answers, said], [WRITER.dnsName, [], []])
  })

  it('are not trusted before they resolve to their address and to no other', async () => {
    writeFileSync(hosts, `${HOSTS}10.0.0.1 ${INSTANCE.dnsName}\n`)
    const names = await publishing()
    await publish(names, [WRITER, INSTANCE])
    assert.deepEqual([names.hostOf(WRITER), names.hostOf(INSTANCE)], [WRITER.dnsName, '127.20.0.2'])
    assert.match(names.status().advice ?? '', /has them, but programs here do not go by it/)
  })

  it('where the file cannot be written are addresses; one line says so, and what to do', async () => {
    const names = await publishing({ hostsFile: join(folder, 'none') })
    await publish(names, [WRITER])
    await publish(names, [WRITER, INSTANCE])
    assert.equal(names.hostOf(WRITER), '127.20.0.2')
    const { hostsFile, advice } = names.status()
    assert.equal(hostsFile, null)
    assert.match(
      advice ?? '',
      /^names do not resolve .*ENOENT.*connect to the address, with libpq to host=NAME hostaddr=ADDRESS$/,
    )
    assert.deepEqual(said, [advice])
  })

  it('are there when the file can be written after all', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const late = join(folder, 'late')
    const names = await publishing({ hostsFile: late })
    await publish(names, [WRITER])
    assert.equal(names.status().hostsFile, null)
    writeFileSync(late, HOSTS)
    t.mock.timers.tick(5000)
    await until('they are there', () => names.status().hostsFile !== null)
    assert.match(readFileSync(late, 'utf8'), /^127\.20\.0\.2 +demo\.cluster-/m)
  })

  it('come back into a file that somebody else has written anew, whose change stays', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const names = await publishing()
    await publish(names, [WRITER])
    for (const text of ['10.0.0.1 one\n', '10.0.0.2 two\n']) {
      writeFileSync(hosts, text)
      t.mock.timers.tick(5000)
      await until('they are there', async () => (await resolve(WRITER.dnsName)).length > 0)
      assert.ok(readFileSync(hosts, 'utf8').endsWith(text))
    }
    await names.close()
    assert.equal(readFileSync(hosts, 'utf8'), '10.0.0.2 two\n')
  })

  it('of a region that was killed are replaced by those of its next start', async () => {
    const killed = await publishing()
    await publish(killed, [WRITER, INSTANCE])
    const next = await publishing()
    await publish(next, [{ ...WRITER, addresses: ['127.20.0.9'] }])
    assert.deepEqual([await resolve(WRITER.dnsName), await resolve(INSTANCE.dnsName)], [['127.20.0.9'], []])
  })

  it('may resolve otherwise: then no hosts file is needed', async () => {
    const names = await publishing({ hostsFile: null, resolve: async () => ['127.20.0.2'] })
    await publish(names, [WRITER])
    assert.equal(names.hostOf(WRITER), WRITER.dnsName)
    assert.deepEqual(names.status(), { domain: SPACE.domain, hostsFile: null, dns: null, advice: null })
    assert.equal(readFileSync(hosts, 'utf8'), HOSTS)
  })

  it('are tried again, less and less often, while they do not resolve', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    let known = false
    const tries: number[] = []
    let looks = 0
    const names = await publishing({
      hostsFile: null,
      resolve: async () => {
        tries.push(looks)
        return known ? ['127.20.0.2'] : []
      },
    })
    await publish(names, [WRITER])
    const look = async () => {
      looks++
      t.mock.timers.tick(5000)
      await new Promise(setImmediate)
    }
    while (looks < 16) await look()
    assert.deepEqual(tries, [0, 1, 3, 7, 15])
    known = true
    while (names.hostOf(WRITER) !== WRITER.dnsName) await look()
    assert.equal(looks, 31)
    assert.equal(names.status().advice, null)
  })

  it('are not waited for when the resolver waits for servers of its own', async () => {
    let asked = 0
    const names = await publishing({
      resolve: () => {
        asked++
        return new Promise(() => {})
      },
    })
    await publish(names, [WRITER, INSTANCE])
    assert.deepEqual([asked, names.hostOf(WRITER)], [1, '127.20.0.2'])
  })
})

describe('the DNS server of published names', () => {
  const options = (dnsPlaces: readonly DnsPlace[], say: (line: string) => void = () => {}): NamesOptions => ({
    space: SPACE,
    home: '/home',
    hostsFile: null,
    dnsPlaces,
    say,
    resolve: async () => [],
  })

  it('knows them, from the moment on when they are published', async () => {
    const names = await PublishedNames.open(options([{ address: '127.0.0.1', port: 0 }]))
    try {
      const { dns } = names.status()
      assert(dns !== null)
      const resolver = new Resolver()
      resolver.setServers([dns])
      await assert.rejects(resolver.resolve4(WRITER.dnsName), { code: 'ENOTFOUND' })
      const published = names.publish([WRITER])
      assert.deepEqual(await resolver.resolve4(WRITER.dnsName), ['127.20.0.2'])
      await published
      await names.tried()
      assert.ok(names.status().advice?.endsWith(`, or let the system's resolver ask ${dns} for rds.borealis.internal`))
    } finally {
      await names.close()
    }
  })

  it('leads to each of the readers in turn, past the balancer', async () => {
    const names = await PublishedNames.open(options([{ address: '127.0.0.1', port: 0 }]))
    try {
      await names.publish([READER])
      const resolver = new Resolver()
      resolver.setServers([names.status().dns ?? ''])
      const firsts: (string | undefined)[] = []
      for (let i = 0; i < 4; i++) firsts.push((await resolver.resolve4(READER.dnsName))[0])
      assert.deepEqual(firsts, ['127.20.0.3', '127.20.0.4', '127.20.0.3', '127.20.0.4'])
    } finally {
      await names.close()
    }
  })

  it('takes the first place that is free, and says so where there is none', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const place = { address: '127.0.0.1', port: (taken.address() as DnsPlace).port }
    const said: string[] = []
    const none = await PublishedNames.open(options([place], (line) => said.push(line)))
    const other = await PublishedNames.open(options([place, { ...place, port: 0 }]))
    try {
      assert.equal(none.status().dns, null)
      assert.match(said.join('\n'), /^there is no DNS server: .*EADDRINUSE/)
      assert.match(other.status().dns ?? '', /^127\.0\.0\.1:\d+$/)
    } finally {
      await none.close()
      await other.close()
      taken.close()
    }
  })
})
