import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PlainError } from '../cluster/plain-error.ts'
import { endpointName, nameSpaceProblem } from '../gateway/endpoint-name.ts'
import { MemoryRegistry } from '../volume/memory-registry.ts'
import { nameSettings, regionIdentity } from './region-names.ts'

const DOMAIN = 'rds.borealis.internal'

describe('the identity of a region', () => {
  it('is made once, and is another for each region', async () => {
    const registry = new MemoryRegistry()
    const [first, second] = await Promise.all([regionIdentity(registry), regionIdentity(registry)])
    assert.deepEqual(second, first)
    assert.deepEqual(await regionIdentity(registry), first)
    assert.notEqual((await regionIdentity(new MemoryRegistry())).hash, first.hash)
  })

  it('makes names of endpoints', async () => {
    const space = { ...(await regionIdentity(new MemoryRegistry())), domain: DOMAIN }
    assert.equal(nameSpaceProblem(space), undefined)
    assert.match(
      endpointName('writer', 'demo', space),
      /^demo\.cluster-[a-z0-9]{12}\.local-1\.rds\.borealis\.internal$/,
    )
  })
})

describe('settings for names', () => {
  it('have defaults that need no rights but one, and can be without', () => {
    const { domain, hostsFile, dnsPlaces } = nameSettings({})
    assert.deepEqual([domain, hostsFile, dnsPlaces[0]], [DOMAIN, '/etc/hosts', { address: '127.20.0.1', port: 5300 }])
    assert.deepEqual(nameSettings({ BOREALIS_DOMAIN: '', BOREALIS_HOSTS_FILE: '', BOREALIS_DNS: '' }), nameSettings({}))
  })

  it('are taken from the environment', () => {
    assert.deepEqual(
      nameSettings({ BOREALIS_DOMAIN: 'DB.example', BOREALIS_HOSTS_FILE: '/tmp/hosts', BOREALIS_DNS: '127.0.0.9:53' }),
      { domain: 'db.example', hostsFile: '/tmp/hosts', dnsPlaces: [{ address: '127.0.0.9', port: 53 }] },
    )
    assert.deepEqual(nameSettings({ BOREALIS_DNS: '[::1]:5300' }).dnsPlaces, [{ address: '::1', port: 5300 }])
    const none = nameSettings({ BOREALIS_HOSTS_FILE: 'none', BOREALIS_DNS: 'none' })
    assert.deepEqual([none.hostsFile, none.dnsPlaces], [null, []])
  })

  it('that make no sense are refused', () => {
    for (const dns of [
      '5300',
      '127.0.0.1',
      '127.0.0.1:0',
      '127.0.0.1:65536',
      '1.2.3:53',
      '::1:53',
      '[]:53',
      'host:53',
      ':53',
    ])
      assert.throws(() => nameSettings({ BOREALIS_DNS: dns }), PlainError, dns)
    for (const domain of ['.', 'a b', `${'a'.repeat(60)}.`.repeat(4), 'db.example.'])
      assert.throws(() => nameSettings({ BOREALIS_DOMAIN: domain }), PlainError, domain)
  })
})
