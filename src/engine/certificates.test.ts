import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, isIP } from 'node:net'
import { describe, it } from 'node:test'
import { connect, createServer } from 'node:tls'
import { createAuthority, issueServer } from './certificates.ts'
import { addressBytes, element, identifier, integer, time } from './der.ts'

const NOW_MS = Date.UTC(2026, 10, 20, 12)
const validity = { nowMs: NOW_MS, days: 30 }
const authority = createAuthority('Borealis test', validity)
const root = new X509Certificate(authority.certificate)

describe('the authority', () => {
  it('signs itself, and may sign others', () => {
    assert.equal(root.subject, 'CN=Borealis test')
    assert.ok(root.ca)
    assert.ok(root.checkIssued(root))
    assert.ok(root.verify(root.publicKey))
  })
})

describe('a server certificate', () => {
  const names = ['db.example', '127.1.2.3', '::1', 'fe80::1:2'] as const
  const leaf = new X509Certificate(issueServer(authority, [...names], validity).certificate)

  it('is signed by the authority and is none itself', () => {
    assert.ok(leaf.checkIssued(root))
    assert.ok(leaf.verify(root.publicKey))
    assert.ok(!leaf.ca)
  })

  it('holds for each of its names and addresses, and for no other', () => {
    for (const name of names) assert.ok(isIP(name) ? leaf.checkIP(name) : leaf.checkHost(name), name)
    assert.equal(leaf.checkHost('other.example'), undefined)
    assert.equal(leaf.checkIP('127.1.2.4'), undefined)
  })

  it('begins an hour ago and ends after its days', () => {
    assert.equal(Date.parse(leaf.validFrom), NOW_MS - 3_600_000)
    assert.equal(Date.parse(leaf.validTo), NOW_MS + 30 * 86_400_000)
  })

  it('has a serial number and a key of its own', () => {
    const other = new X509Certificate(issueServer(authority, ['db.example'], validity).certificate)
    assert.notEqual(other.serialNumber, leaf.serialNumber)
    assert.notEqual(other.fingerprint256, leaf.fingerprint256)
  })

  it('of a long name is in force for the whole of it', () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example`
    const wide = new X509Certificate(issueServer(authority, [long], validity).certificate)
    assert.ok(wide.checkHost(long))
  })

  it('is taken by a client that trusts the authority, and by no other', async () => {
    const now = { nowMs: Date.now(), days: 1 }
    const trusted = createAuthority('trusted', now)
    const { certificate, key } = issueServer(trusted, ['localhost', '127.0.0.1'], now)
    const server = createServer({ cert: certificate, key }, (socket) => socket.end()).listen(0, '127.0.0.1')
    server.on('tlsClientError', () => {})
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const outcome = async (ca: string): Promise<string> => {
      const socket = connect({ host: '127.0.0.1', port, ca })
      const answer = once(socket, 'secureConnect').then(
        () => 'secure',
        (error: NodeJS.ErrnoException) => error.code ?? '',
      )
      try {
        return await answer
      } finally {
        socket.destroy()
      }
    }
    try {
      assert.equal(await outcome(trusted.certificate), 'secure')
      assert.notEqual(await outcome(createAuthority('trusted', now).certificate), 'secure')
    } finally {
      server.close()
    }
  })
})

describe('DER', () => {
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

  it('lengths take one, two or three bytes', () => {
    assert.equal(hex(element(4, new Uint8Array(127))).slice(0, 4), '047f')
    assert.equal(hex(element(4, new Uint8Array(128))).slice(0, 6), '048180')
    assert.equal(hex(element(4, new Uint8Array(256))).slice(0, 8), '04820100')
  })

  it('integers have no zero in front but one that keeps them positive', () => {
    assert.equal(hex(integer(Buffer.of(0, 0, 1))), '020101')
    assert.equal(hex(integer(Buffer.of(0x80))), '02020080')
    assert.equal(hex(integer(Buffer.of(0))), '020100')
  })

  it('identifiers of more than one byte an arc', () => {
    assert.equal(hex(identifier('1.2.840.113549')), '06062a864886f70d')
  })

  it('years from 2050 on have four digits', () => {
    assert.equal(
      time(Date.UTC(2049, 11, 31))
        .subarray(2)
        .toString(),
      '491231000000Z',
    )
    assert.equal(
      time(Date.UTC(2050, 0, 1))
        .subarray(2)
        .toString(),
      '20500101000000Z',
    )
  })

  it('addresses', () => {
    assert.equal(hex(addressBytes('10.0.0.255')), '0a0000ff')
    assert.equal(hex(addressBytes('::')), '0'.repeat(32))
    assert.equal(hex(addressBytes('2001:db8::1')), '20010db8000000000000000000000001')
    assert.equal(hex(addressBytes('1:2:3:4:5:6:7:8')), '00010002000300040005000600070008')
    for (const other of ['example', '::ffff:1.2.3.4', 'fe80::1%lo']) assert.throws(() => addressBytes(other), other)
  })
})
