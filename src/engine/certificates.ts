/**
 * Certificates for TLS between clients and engines: an authority of our own, and what it signs. X.509 v3 as in RFC 5280,
 * with keys on the curve P-256. Node's crypto makes keys and signatures but no certificates; the libraries that do are
 * twenty packages or bring a cryptography of their own (docs/dependencies.md).
 */
import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { isIP } from 'node:net'
import {
  addressBytes,
  bits,
  element,
  identifier,
  integer,
  octets,
  sequence,
  set,
  tagged,
  text,
  time,
  yes,
} from './der.ts'

export interface Certified {
  readonly certificate: string
  /** PKCS 8, not encrypted: for a file with mode 0600. */
  readonly key: string
}

export interface Validity {
  readonly nowMs: number
  readonly days: number
}

const DAY_MS = 86_400_000
/** Clocks of clients that are behind ours do not refuse a certificate that was just made. */
const EARLIER_MS = 3_600_000

/** ecdsa-with-SHA256 */
const SIGNATURE = sequence(identifier('1.2.840.10045.4.3.2'))
const COMMON_NAME = identifier('2.5.4.3')
const EXTENSION = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const
const SERVER_AUTHENTICATION = identifier('1.3.6.1.5.5.7.3.1')
const CLIENT_AUTHENTICATION = identifier('1.3.6.1.5.5.7.3.2')
/** Bits 0, and 5 and 6, of KeyUsage. */
const DIGITAL_SIGNATURE = bits(Buffer.of(0x80), 7)
const SIGN_CERTIFICATES = bits(Buffer.of(0x06), 1)

const extension = (name: keyof typeof EXTENSION, value: Uint8Array, critical = false): Buffer =>
  sequence(identifier(EXTENSION[name]), ...(critical ? [yes()] : []), octets(value))

const nameOf = (commonName: string): Buffer => sequence(set(sequence(COMMON_NAME, text(commonName))))

/** Any 20 bytes that are the same for the same key (RFC 7093, method 1, over the whole of the key's information). */
const keyIdentifier = (key: KeyObject): Buffer =>
  createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest()
    .subarray(0, 20)

interface Contents {
  readonly issuer: Uint8Array
  readonly issuerKey: KeyObject
  readonly subject: Uint8Array
  readonly publicKey: KeyObject
  readonly validity: Validity
  readonly extensions: readonly Uint8Array[]
}

function signed({ issuer, issuerKey, subject, publicKey, validity, extensions }: Contents): string {
  const { nowMs, days } = validity
  const body = sequence(
    tagged(0, 'constructed', integer(Buffer.of(2))), // version 3
    integer(randomBytes(16)),
    SIGNATURE,
    issuer,
    sequence(time(nowMs - EARLIER_MS), time(nowMs + days * DAY_MS)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(
      3,
      'constructed',
      sequence(extension('subjectKeyIdentifier', octets(keyIdentifier(publicKey))), ...extensions),
    ),
  )
  const certificate = sequence(body, SIGNATURE, bits(sign('sha256', body, issuerKey)))
  return new X509Certificate(certificate).toString()
}

const newKeys = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()

export function createAuthority(commonName: string, validity: Validity): Certified {
  const { publicKey, privateKey } = newKeys()
  const subject = nameOf(commonName)
  const certificate = signed({
    issuer: subject,
    issuerKey: privateKey,
    subject,
    publicKey,
    validity,
    extensions: [
      // Signs servers' certificates, and no other authority's.
      extension('basicConstraints', sequence(yes(), integer(Buffer.of(0))), true),
      extension('keyUsage', SIGN_CERTIFICATES, true),
    ],
  })
  return { certificate, key: pem(privateKey) }
}

/** The subject as it stands in the authority's certificate, byte by byte: it has to be the issuer of what it signs. */
function commonNameOf({ certificate }: Certified): string {
  const { subject } = new X509Certificate(certificate)
  if (!subject.startsWith('CN=') || subject.includes('\n')) throw new TypeError(`${subject} is no authority of ours`)
  return subject.slice('CN='.length)
}

/** @param names host names and IP addresses by which clients know the server; the first is its common name */
export const issueServer = (
  authority: Certified,
  names: readonly [string, ...string[]],
  validity: Validity,
): Certified => issue(authority, names, validity, [SERVER_AUTHENTICATION])

/** For a part of the region that is a server to some of the others, and a client of some. @param names as of a server */
export const issuePeer = (authority: Certified, names: readonly [string, ...string[]], validity: Validity): Certified =>
  issue(authority, names, validity, [SERVER_AUTHENTICATION, CLIENT_AUTHENTICATION])

function issue(
  authority: Certified,
  names: readonly [string, ...string[]],
  validity: Validity,
  purposes: readonly Uint8Array[],
): Certified {
  const { publicKey, privateKey } = newKeys()
  const alternatives = names.map((name) =>
    isIP(name) === 0 ? tagged(2, 'primitive', Buffer.from(name, 'ascii')) : tagged(7, 'primitive', addressBytes(name)),
  )
  const issuerKey = createPrivateKey(authority.key)
  const authorityKey = new X509Certificate(authority.certificate).publicKey
  const certificate = signed({
    issuer: nameOf(commonNameOf(authority)),
    issuerKey,
    // 64 characters are the most that a common name may have; clients go by the alternatives.
    subject: nameOf(names[0].slice(0, 64)),
    publicKey,
    validity,
    extensions: [
      extension('authorityKeyIdentifier', sequence(tagged(0, 'primitive', keyIdentifier(authorityKey)))),
      extension('basicConstraints', element(0x30), true),
      extension('keyUsage', DIGITAL_SIGNATURE, true),
      extension('extendedKeyUsage', sequence(...purposes)),
      extension('subjectAlternativeName', sequence(...alternatives)),
    ],
  })
  return { certificate, key: pem(privateKey) }
}
