/**
 * What the DNS server answers, without a socket: one query in, one answer out. It is authoritative for the domain alone
 * (RFC 1034, 1035), its negative answers carry the SOA that says how long they hold (RFC 2308), and it speaks as much of
 * EDNS as every server has to (RFC 6891). Whatever it is sent, it does not throw.
 */
import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, type Question, TRUNCATED_RESPONSE } from 'dns-packet'
import type { Endpoint } from './endpoint.ts'

type DnsEndpoint = Pick<Endpoint, 'dnsName' | 'addresses' | 'balancer'>

export interface DnsZone {
  readonly domain: string
  /** Of this server. */
  readonly address: string
  readonly endpoints: readonly DnsEndpoint[]
  /**
   * Counts the answers that have several addresses: clients take the first, so it has to be another each time. It is not
   * asked for other answers: whoever wants IPv6 addresses too must not skip every second one.
   */
  readonly turnOf: (dnsName: string) => number
}

export type DnsTransport = 'udp' | 'tcp'

/** Whoever asks again after it finds the writer that a failover has made. Zero would be obeyed by fewer resolvers. */
export const TTL_S = 1

const CODES = { ok: 0, malformed: 1, noSuchName: 3, notImplemented: 4, refused: 5 } as const
/** BADVERS is 16: its upper bits are in the OPT record. */
const BAD_VERSION_UPPER_BITS = 1

const HEADER_BYTES = 12
const RESPONSE = 0x80
const OPCODE = 0x78
/** Of the flags, what an answer repeats: RD, CD. */
const REPEATED = 0x0110
/** Without EDNS (RFC 1035); and with it, what crosses every network whole. */
const UDP_BYTES = 512
const UDP_BYTES_EDNS = 1232
const TCP_BYTES = 65_535

interface Reply {
  readonly code: number
  readonly question?: Question
  readonly answers?: Answer[]
  readonly authorities?: Answer[]
  readonly additionals?: Answer[]
}

function encodeReply(
  request: Buffer,
  { code, question, answers = [], authorities = [], additionals = [] }: Reply,
): Buffer {
  const isOurs = answers.length > 0 || authorities.length > 0
  const opcode = (request.readUInt8(2) & OPCODE) << 8
  return encode({
    type: 'response',
    id: request.readUInt16BE(0),
    flags: opcode | (request.readUInt16BE(2) & REPEATED) | (isOurs ? AUTHORITATIVE_ANSWER : 0) | code,
    questions: question === undefined ? [] : [question],
    answers,
    authorities,
    additionals,
  })
}

const soa = ({ domain }: DnsZone): Answer => ({
  type: 'SOA',
  name: domain,
  ttl: TTL_S,
  data: {
    mname: `ns.${domain}`,
    rname: `hostmaster.${domain}`,
    // Nobody copies this zone: it can stay.
    serial: 1,
    refresh: 3600,
    retry: 600,
    expire: 86_400,
    minimum: TTL_S,
  },
})

/**
 * Of the members, beginning with another one each time. While there is nobody the balancer's, which refuses: what has no
 * address at all is remembered by some clients for longer than the answer holds.
 */
function addressesOf({ dnsName, addresses, balancer }: DnsEndpoint, turnOf: DnsZone['turnOf']): readonly string[] {
  if (addresses.length === 0 && balancer !== null) return [balancer]
  if (addresses.length < 2) return addresses
  const first = turnOf(dnsName) % addresses.length
  return [...addresses.slice(first), ...addresses.slice(0, first)]
}

/** The records of a name in the domain, as they were asked for; undefined when there is no such name. */
function recordsOf(zone: DnsZone, { name: asked, type }: Question): Answer[] | undefined {
  const { domain } = zone
  const name = asked.toLowerCase()
  const endpoints = [...zone.endpoints, { dnsName: `ns.${domain}`, addresses: [zone.address], balancer: null }]
  const here = endpoints.find(({ dnsName }) => dnsName === name)
  // What has names below it exists, though it has nothing to tell.
  if (here === undefined && name !== domain && !endpoints.some(({ dnsName }) => dnsName.endsWith(`.${name}`)))
    return undefined
  const wanted = (of: string): boolean => type === of || (type as string) === 'ANY'
  const records: Answer[] = []
  if (wanted('A') && here !== undefined)
    for (const data of addressesOf(here, zone.turnOf)) records.push({ type: 'A', name: asked, ttl: TTL_S, data })
  if (name === domain && wanted('SOA')) records.push(soa(zone))
  if (name === domain && wanted('NS')) records.push({ type: 'NS', name: asked, ttl: TTL_S, data: `ns.${domain}` })
  return records
}

function replyTo(zone: DnsZone, question: Question): Reply {
  const name = question.name.toLowerCase()
  const isInZone = name === zone.domain || name.endsWith(`.${zone.domain}`)
  const type: string = question.type
  if (!isInZone || question.class !== 'IN' || type === 'AXFR' || type === 'IXFR')
    return { code: CODES.refused, question }
  const answers = recordsOf(zone, question)
  if (answers === undefined) return { code: CODES.noSuchName, question, authorities: [soa(zone)] }
  return { code: CODES.ok, question, answers, ...(answers.length === 0 ? { authorities: [soa(zone)] } : {}) }
}

const optRecord = (extendedRcode: number): Answer => ({
  type: 'OPT',
  name: '.',
  udpPayloadSize: UDP_BYTES_EDNS,
  extendedRcode,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
})

/** An answer has to repeat the question bit by bit. Names that are no text (RFC 2181) do not survive being one. */
function isRepeatable(request: Buffer, question: Question): boolean {
  const repeated = encode({ questions: [question] }).subarray(HEADER_BYTES)
  return repeated.equals(request.subarray(HEADER_BYTES, HEADER_BYTES + repeated.length))
}

function answerParsed(request: Buffer, zone: DnsZone, transport: DnsTransport): Buffer {
  const { questions = [], additionals = [] } = decode(request)
  const [question] = questions
  const [opt, ...moreOpts] = additionals.filter((record) => record.type === 'OPT')
  if (question === undefined || questions.length > 1 || moreOpts.length > 0 || !isRepeatable(request, question))
    return encodeReply(request, { code: CODES.malformed })
  if (opt !== undefined && opt.ednsVersion !== 0)
    return encodeReply(request, { code: CODES.ok, question, additionals: [optRecord(BAD_VERSION_UPPER_BITS)] })
  const edns = opt === undefined ? {} : { additionals: [optRecord(0)] }
  const reply = { ...replyTo(zone, question), ...edns }
  const udpBytes = opt === undefined ? UDP_BYTES : Math.min(Math.max(opt.udpPayloadSize, UDP_BYTES), UDP_BYTES_EDNS)
  const whole = encodeReply(request, reply)
  if (whole.length <= (transport === 'udp' ? udpBytes : TCP_BYTES)) return whole
  const cut = encodeReply(request, { ...edns, code: reply.code, question })
  cut.writeUInt16BE(cut.readUInt16BE(2) | AUTHORITATIVE_ANSWER | TRUNCATED_RESPONSE, 2)
  return cut
}

/** @returns undefined for what deserves no answer: a fragment, and an answer, which might be ours come back */
export function answerQuery(request: Buffer, zone: DnsZone, transport: DnsTransport): Buffer | undefined {
  if (request.length < HEADER_BYTES || (request.readUInt8(2) & RESPONSE) !== 0) return undefined
  if ((request.readUInt8(2) & OPCODE) !== 0) return encodeReply(request, { code: CODES.notImplemented })
  try {
    return answerParsed(request, zone, transport)
  } catch {
    // The library throws what it finds wrong as errors of several kinds.
    return encodeReply(request, { code: CODES.malformed })
  }
}
