import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type DecodedPacket, decode, encode, type OptAnswer, type Packet, RECURSION_DESIRED } from 'dns-packet'
import fc from 'fast-check'
import { answerQuery, type DnsTransport, type DnsZone } from './dns-answer.ts'

const DOMAIN = 'rds.borealis.internal'
const WRITER = `demo.cluster-k3j9x0q2m4zt.local-1.${DOMAIN}`
const READER = `demo.cluster-ro-k3j9x0q2m4zt.local-1.${DOMAIN}`
const ZONE: DnsZone = {
  domain: DOMAIN,
  address: '127.20.0.1',
  endpoints: [
    { dnsName: WRITER, addresses: ['127.20.0.2'], balancer: null },
    { dnsName: `demo-1.k3j9x0q2m4zt.local-1.${DOMAIN}`, addresses: ['127.20.0.2'], balancer: null },
  ],
  turnOf: () => 0,
}

/** Of the library's types, only those for packets in the making lack these. */
type Parsed = DecodedPacket & { readonly rcode: string; readonly opcode: string }
type Type = NonNullable<Packet['questions']>[number]['type']

const query = (name: string, type: string = 'A', more: Packet = {}): Buffer =>
  encode({ type: 'query', id: 4711, flags: RECURSION_DESIRED, questions: [{ name, type: type as Type }], ...more })

function answer(request: Buffer, zone = ZONE, transport: DnsTransport = 'udp'): Parsed {
  const bytes = answerQuery(request, zone, transport)
  assert(bytes !== undefined)
  return decode(bytes) as Parsed
}

const opt = (more: Partial<OptAnswer> = {}): OptAnswer => ({
  type: 'OPT',
  name: '.',
  udpPayloadSize: 1232,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
  ...more,
})

const addresses = ({ answers = [] }: Packet) => answers.map((each) => (each.type === 'A' ? each.data : each.type))
const soaOf = ({ authorities = [] }: Packet) => authorities.map((each) => each.type === 'SOA' && each.data.minimum)

describe('an answer', () => {
  it('has the address of a name, for a second, with authority', () => {
    const { id, rcode, flag_aa, flag_ra, flag_rd, flag_tc, questions, answers, authorities } = answer(query(WRITER))
    assert.deepEqual(
      { id, rcode, flag_aa, flag_ra, flag_rd, flag_tc },
      {
        id: 4711,
        rcode: 'NOERROR',
        flag_aa: true,
        flag_ra: false,
        flag_rd: true,
        flag_tc: false,
      },
    )
    assert.deepEqual(questions, [{ name: WRITER, type: 'A', class: 'IN' }])
    assert.deepEqual(answers, [{ name: WRITER, type: 'A', ttl: 1, class: 'IN', flush: false, data: '127.20.0.2' }])
    assert.deepEqual(authorities, [])
  })

  it('is the same for upper and lower case, and in the case of the question', () => {
    const asked = WRITER.replace('demo', 'dEmO').replace('borealis', 'BOREALIS')
    const { questions, answers } = answer(query(asked))
    assert.deepEqual([questions?.[0]?.name, answers?.[0]?.name], [asked, asked])
    assert.deepEqual(addresses({ answers: answers ?? [] }), ['127.20.0.2'])
  })

  it('that there is nothing of this type holds as long as the SOA says', () => {
    for (const type of ['AAAA', 'TXT', 'UNKNOWN_65', 'SRV']) {
      const reply = answer(query(WRITER, type))
      assert.deepEqual([reply.rcode, reply.flag_aa, addresses(reply), soaOf(reply)], ['NOERROR', true, [], [1]], type)
    }
  })

  it('that there is no such name does so too', () => {
    for (const name of [`other.${DOMAIN}`, `x.${WRITER}`, READER]) {
      const reply = answer(query(name))
      assert.deepEqual([reply.rcode, reply.flag_aa, addresses(reply), soaOf(reply)], ['NXDOMAIN', true, [], [1]], name)
    }
  })

  it('says of what has names below it that it exists', () => {
    for (const name of [DOMAIN, `local-1.${DOMAIN}`, `k3j9x0q2m4zt.local-1.${DOMAIN}`])
      assert.deepEqual([answer(query(name)).rcode, soaOf(answer(query(name)))], ['NOERROR', [1]], name)
    assert.equal(answer(query(`1.${DOMAIN}`)).rcode, 'NXDOMAIN')
  })

  it('says who answers for the domain', () => {
    assert.deepEqual(addresses(answer(query(DOMAIN, 'SOA'))), ['SOA'])
    const [ns] = answer(query(DOMAIN, 'NS')).answers ?? []
    assert(ns?.type === 'NS')
    assert.deepEqual(addresses(answer(query(`${ns.data}`))), ['127.20.0.1'])
    assert.deepEqual(addresses(answer(query(WRITER, 'ANY'))), ['127.20.0.2'])
    assert.deepEqual(addresses(answer(query(DOMAIN, 'ANY'))), ['SOA', 'NS'])
  })

  it('is a refusal outside of the domain, of another class, and of a copy of it all', () => {
    for (const name of ['example.com', 'internal', '.', `not${DOMAIN}`, 'rds.borealis.internal.example'])
      assert.deepEqual([answer(query(name)).rcode, answer(query(name)).flag_aa], ['REFUSED', false], name)
    assert.equal(answer(query(DOMAIN, 'AXFR')).rcode, 'REFUSED')
    assert.equal(answer(query(WRITER, 'A', { questions: [{ name: WRITER, type: 'A', class: 'CH' }] })).rcode, 'REFUSED')
  })

  it('of a zone without names is that there are none', () => {
    const empty = { ...ZONE, endpoints: [] }
    assert.equal(answer(query(WRITER), empty).rcode, 'NXDOMAIN')
    assert.equal(answer(query(DOMAIN), empty).rcode, 'NOERROR')
  })
})

describe('a name with several addresses', () => {
  const READERS = ['127.20.0.3', '127.20.0.4', '127.20.0.5']
  const several = (addresses = READERS, balancer: string | null = '127.20.0.9'): DnsZone => {
    let turn = 0
    return { ...ZONE, endpoints: [...ZONE.endpoints, { dnsName: READER, addresses, balancer }], turnOf: () => turn++ }
  }

  it('has all of them in each answer, and another one first each time', () => {
    const zone = several()
    const answers = Array.from({ length: 6 }, () => addresses(answer(query(READER), zone)))
    for (const each of answers) assert.deepEqual([...each].sort(), READERS)
    assert.deepEqual(
      answers.map(([first]) => first),
      [...READERS, ...READERS],
    )
  })

  it('goes on to the next one also for clients that ask for IPv6 addresses as well, or for other names', () => {
    const zone = several()
    const firsts = READERS.map(() => {
      for (const asked of [query(READER, 'AAAA'), query(WRITER), query(DOMAIN), query(`x.${READER}`)])
        answer(asked, zone)
      return addresses(answer(query(READER), zone))[0]
    })
    assert.deepEqual(firsts, READERS)
  })

  it('has that of its balancer, which refuses, while there is nobody', () => {
    assert.deepEqual(addresses(answer(query(READER), several([]))), ['127.20.0.9'])
  })

  it('is there, with none, while there is nobody and no balancer', () => {
    const reply = answer(query(READER), several([], null))
    assert.deepEqual([reply.rcode, reply.flag_aa, addresses(reply), soaOf(reply)], ['NOERROR', true, [], [1]])
  })
})

describe('EDNS', () => {
  it('is answered with what we take, whatever options come with it', () => {
    const plain = answer(query(WRITER, 'A', { additionals: [opt()] }))
    assert.deepEqual(
      plain.additionals?.map(({ type, name }) => [type, name]),
      [['OPT', '.']],
    )
    assert.deepEqual(addresses(plain), ['127.20.0.2'])
    // A cookie (RFC 7873) and one that is not assigned: the last two bytes of the record are the length of its options.
    const options = Buffer.from('000a0008' + '0102030405060708' + 'fff00003' + '010203', 'hex')
    const bytes = query(WRITER, 'A', { additionals: [opt()] })
    bytes.writeUInt16BE(options.length, bytes.length - 2)
    assert.deepEqual(addresses(answer(Buffer.concat([bytes, options]))), ['127.20.0.2'])
    assert.equal(answer(query(WRITER)).additionals?.length, 0)
  })

  it('of a version that is not there yet is told so', () => {
    const { rcode, additionals, answers } = answer(query(WRITER, 'A', { additionals: [opt({ ednsVersion: 1 })] }))
    assert.deepEqual([rcode, answers], ['NOERROR', []])
    const [reply] = additionals ?? []
    assert(reply?.type === 'OPT')
    assert.deepEqual([reply.extendedRcode, reply.ednsVersion], [1, 0])
  })

  it('is there once', () => {
    assert.equal(answer(query(WRITER, 'A', { additionals: [opt(), opt()] })).rcode, 'FORMERR')
  })
})

describe('an answer that is too long', () => {
  const many = (count: number) => ({
    ...ZONE,
    endpoints: [
      { dnsName: WRITER, addresses: Array.from({ length: count }, (_, i) => `127.20.1.${i}`), balancer: null },
    ],
  })
  const cut = (request: Buffer, count: number, transport: DnsTransport = 'udp') => {
    const { flag_tc, flag_aa, rcode, answers } = answer(request, many(count), transport)
    assert.deepEqual([flag_aa, rcode], [true, 'NOERROR'])
    return flag_tc ? 'cut' : answers?.length
  }

  it('for UDP is cut, so that it is asked for again by TCP', () => {
    assert.deepEqual([cut(query(WRITER), 6), cut(query(WRITER), 7)], [6, 'cut'])
    assert.equal(cut(query(WRITER), 7, 'tcp'), 7)
    assert.equal(cut(query(WRITER), 200, 'tcp'), 200)
  })

  it('is so by what the client takes, between 512 and 1232 bytes', () => {
    const with_ = (udpPayloadSize: number) => query(WRITER, 'A', { additionals: [opt({ udpPayloadSize })] })
    assert.deepEqual([cut(with_(100), 6), cut(with_(100), 7), cut(with_(600), 7)], [6, 'cut', 7])
    assert.deepEqual([cut(with_(1232), 16), cut(with_(65_535), 16), cut(with_(65_535), 17)], [16, 16, 'cut'])
    for (let count = 1; count < 40; count++)
      assert.ok((answerQuery(with_(65_535), many(count), 'udp')?.length ?? 0) <= 1232)
  })
})

describe('what is no query', () => {
  it('gets no answer when it is an answer or a fragment', () => {
    const reply = answerQuery(query(WRITER), ZONE, 'udp')!
    assert.equal(answerQuery(reply, ZONE, 'udp'), undefined)
    for (let length = 0; length < 12; length++)
      assert.equal(answerQuery(query(WRITER).subarray(0, length), ZONE, 'udp'), undefined)
  })

  it('is told that it is malformed when it ends early, asks nothing, or asks twice', () => {
    const whole = query(WRITER)
    for (let length = 12; length < whole.length; length++)
      assert.equal(answer(whole.subarray(0, length)).rcode, 'FORMERR', `${length}`)
    assert.equal(answer(query(WRITER, 'A', { questions: [] })).rcode, 'FORMERR')
    const question = { name: WRITER, type: 'A' } as const
    assert.equal(answer(query(WRITER, 'A', { questions: [question, question] })).rcode, 'FORMERR')
  })

  it('is told so too when its name is no text, or points to itself', () => {
    const binary = query('aXa.example')
    binary[14] = 0xff
    assert.deepEqual([answer(binary).rcode, answer(binary).questions], ['FORMERR', []])
    const loop = Buffer.concat([query('a').subarray(0, 12), Buffer.from('c00c00010001', 'hex')])
    assert.equal(answer(loop).rcode, 'FORMERR')
  })

  it('of another operation is not implemented', () => {
    for (const opcode of [1, 2, 4, 5, 15]) {
      const request = query(WRITER)
      request.writeUInt8(opcode << 3, 2)
      const reply = answerQuery(request, ZONE, 'udp')
      assert.deepEqual([reply?.readUInt8(2), reply?.readUInt8(3)], [0x80 | (opcode << 3), 4])
    }
  })
})

describe('any bytes', () => {
  /** Queries with some bytes changed, cut or added: nearly right ones go further than random ones. */
  const damaged = fc
    .record({
      type: fc.constantFrom('A', 'AAAA', 'ANY', 'TXT', 'AXFR', 'UNKNOWN_65'),
      name: fc.constantFrom(WRITER, DOMAIN, 'example.com', '.'),
      edns: fc.boolean(),
      changes: fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 6 }),
      tail: fc.uint8Array({ maxLength: 40 }),
      length: fc.nat(300),
    })
    .map(({ type, name, edns, changes, tail, length }) => {
      const bytes = Buffer.concat([query(name, type, edns ? { additionals: [opt()] } : {}), tail])
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value
      return bytes.subarray(0, length)
    })
  const random = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes))

  it('get no answer, or one to the same question that is no longer than allowed', () => {
    fc.assert(
      fc.property(fc.oneof(damaged, random), fc.constantFrom<DnsTransport>('udp', 'tcp'), (request, transport) => {
        const before = Buffer.from(request)
        const reply = answerQuery(request, ZONE, transport)
        assert.deepEqual(request, before)
        if (request.length < 12 || (request.readUInt8(2) & 0x80) !== 0) return assert.equal(reply, undefined)
        assert(reply !== undefined)
        assert.ok(transport === 'tcp' || reply.length <= 1232)
        const parsed = decode(reply) as Parsed
        assert.equal(parsed.type, 'response')
        assert.equal(parsed.id, request.readUInt16BE(0))
        const { questions: [question] = [] } = parsed
        if (question !== undefined) {
          const { questions } = decode(request)
          assert.deepEqual([question], questions)
          const repeated = encode({ questions: [question] }).subarray(12)
          assert.deepEqual(reply.subarray(12, 12 + repeated.length), request.subarray(12, 12 + repeated.length))
        }
        for (const { name } of parsed.answers ?? []) assert.equal(name.toLowerCase(), question?.name.toLowerCase())
      }),
      { numRuns: 2000 },
    )
  })
})
