/** What nobody should send to a node: it answers with a typed error or closes the connection, lives on, and changes nothing. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { Random } from '../../sim/random.ts'
import type { GroupConfig } from '../../src/protocol/group.ts'
import { blockNumber, groupIndex, lsn, type VolumeId, volumeId } from '../../src/protocol/lsn.ts'
import { encodeCall, encodeRead, encodeResult, MessageType } from '../../src/protocol/message.ts'
import { preamble } from '../../src/storage/framing.ts'
import { readGroup } from '../../src/volume/registry-cells.ts'
import type { Fleet } from '../../src/volume/tcp-fleet.ts'
import type { VolumeWriter } from '../../src/volume/writer.ts'
import { Ledger, LedgerWriter } from '../ledger.ts'
import { checkCopies, checkLedger } from '../ledger-check.ts'
import { LEDGER_GEOMETRY, type LedgerImage, writtenBy } from '../ledger-image.ts'
import { ProcessFleet } from '../process-fleet.ts'
import { RawConnection } from '../raw-connection.ts'
import { printedSeed } from '../waiting.ts'

const GARBAGE_FRAMES = 200
/** More calls than a node makes to its peers in the time of this test. */
const ANSWERED_MAX = 5000
const U32_MAX = 0xffff_ffff

describe('bad input to a node', () => {
  const random = new Random(printedSeed('bad input'))
  let fleet: ProcessFleet
  let client: Fleet
  let volume: VolumeId
  let ledger: Ledger
  let image: LedgerImage
  let holder: VolumeWriter
  let config: GroupConfig
  let pids: readonly number[]

  before(async () => {
    fleet = await ProcessFleet.start('zones')
    client = fleet.client()
    volume = await client.volumes.create(LEDGER_GEOMETRY)
    ledger = new Ledger(random.u32())
    const writer = new LedgerWriter(ledger, fleet.registryPath, volume)
    await writer.opened()
    await writer.progress(200)
    await writer.stop()
    holder = await client.volumes.open(volume)
    image = ledger.image()
    ledger.advance(image, writtenBy(await holder.read(blockNumber(0))).number)
    const record = await client.volumes.get(volume)
    config = (await readGroup(client.context.registry, record.placement, groupIndex(0))).record
    pids = fleet.hosts.map(({ pid }) => pid)
  })
  after(() => fleet?.stop())

  afterEach(async () => {
    assert.deepEqual(
      fleet.hosts.map((host) => host.isUp && host.pid),
      pids,
      'a node has died',
    )
    // All full copies are what they were.
    await checkCopies(client, volume, image, holder.vdl)
  })

  const full = (): string => {
    const member = config.members.find(({ kind }) => kind === 'full')
    assert(member !== undefined)
    return member.address
  }
  const anyNode = (): string => random.pick(config.members).address

  async function withConnection<T>(use: (connection: RawConnection) => Promise<T>, hello?: Uint8Array): Promise<T> {
    const connection = await RawConnection.open(full(), hello)
    try {
      return await use(connection)
    } finally {
      connection.close()
    }
  }

  const isClosed = async (connection: RawConnection): Promise<void> => {
    assert.equal(await connection.next(), undefined)
    assert(connection.closed)
  }

  it('closes connections that do not begin as ours do', async () => {
    const other = preamble(99)
    for (const hello of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      other,
      new Uint8Array(8),
      random.fill(new Uint8Array(64)),
    ])
      await withConnection(isClosed, hello)
  })

  it('closes connections with messages of no bytes, or of too many', async () => {
    for (const length of [0, (64 << 20) + 1, U32_MAX]) {
      await withConnection(async (connection) => {
        const head = new Uint8Array(4)
        new DataView(head.buffer).setUint32(0, length, true)
        connection.write(head)
        await isClosed(connection)
      })
    }
  })

  it('a message that is announced and does not come costs nothing', async () => {
    const connections = await Promise.all(Array.from({ length: 50 }, () => RawConnection.open(full())))
    const head = new Uint8Array(5)
    new DataView(head.buffer).setUint32(0, 64 << 20, true)
    for (const connection of connections) connection.write(head)
    assert.notEqual(await withConnection((connection) => connection.call('status', {})), undefined)
    for (const connection of connections) connection.close()
  })

  it('lives on after garbage of every type', async () => {
    for (let i = 0; i < GARBAGE_FRAMES; i++) {
      const connection = await RawConnection.open(anyNode())
      for (let frames = random.between(1, 8); frames > 0; frames--) {
        const type = random.pick([...Object.values(MessageType), random.below(256)])
        connection.send(Uint8Array.of(type), random.fill(new Uint8Array(random.magnitude(1, 4096))))
      }
      assert.notEqual(await connection.call('status', {}).catch(() => 'another message'), undefined)
      connection.close()
    }
  })

  it('lives on after messages in which bytes were turned over', async () => {
    const calls = Object.entries(goodCalls()).map(([method, argument]) => encodeCall(7, method, argument))
    const originals = [...calls, [goodRead()], [goodAppend()], encodeResult(1, { report: null }), encodeResult(2, null)]
    for (let i = 0; i < GARBAGE_FRAMES; i++) {
      const message = Buffer.concat(random.pick(originals))
      for (let flips = random.between(1, 3); flips > 0; flips--) {
        message[random.between(1, message.length - 1)] = random.below(256)
      }
      const connection = await RawConnection.open(anyNode())
      connection.send(message)
      assert.notEqual(await connection.call('status', {}).catch(() => 'another message'), undefined)
      connection.close()
    }
  })

  it('lives on after answers that nobody asked for', async () => {
    const others = fleet.hosts.filter((host) => !host.names.some((name) => fleet.addressOf(name) === full()))
    try {
      // While its peers say nothing, the calls that it makes to them wait for an answer.
      for (const host of others) host.freeze()
      for (const value of [null, 0, {}, [], { report: null }, { report: {} }, { report: {}, vdl: -1, logFrom: 'x' }]) {
        await withConnection(async (connection) => {
          // To whatever number they have: they are counted from 1.
          for (let request = 0; request < ANSWERED_MAX; request++) connection.send(...encodeResult(request, value))
          assert.notEqual(await connection.call('status', {}), undefined)
        })
      }
    } finally {
      for (const host of others) host.thaw()
    }
  })

  /** Calls as they should be that change nothing; those that would are refused for their epochs. */
  const goodCalls = (): Record<string, unknown> => ({
    head: { volume },
    status: {},
    summaries: { volume, group: 0, above: 0 },
    pull: { volume, group: 0, volumeEpoch: 1, membershipEpoch: 1, from: 0, bytesMax: 1000 },
    layers: { volume, group: 0, volumeEpoch: 1, membershipEpoch: 1, atLeast: 0 },
    layerBytes: { volume, group: 0, layer: 1, offset: 0, length: 100 },
    lsnAt: { volume, wallClockMs: 1 },
    digest: { volume, group: 0, readPoint: 1, block: 0, count: 10 },
  })

  const goodRead = (): Uint8Array =>
    encodeRead({
      request: 1,
      volume,
      group: groupIndex(0),
      block: 1,
      volumeEpoch: 0,
      membershipEpoch: config.epoch,
      readPoint: holder.vdl,
      minScl: null,
    })

  /** An APPEND without records, of an epoch that is over. */
  const goodAppend = (): Uint8Array => {
    const message = new Uint8Array(33)
    const view = new DataView(message.buffer)
    message[0] = MessageType.APPEND
    view.setUint32(1, volume, true)
    view.setUint32(9, 1, true)
    view.setUint32(13, config.epoch, true)
    return message
  }

  it('answers calls that it does not know, or whose arguments are of the wrong kind, with BadRequest', async () => {
    await withConnection(async (connection) => {
      for (const method of ['', 'nothing', 'constructor', '__proto__', 'toString']) {
        assert.equal(await connection.call(method, {}), 'BadRequest', method)
      }
      for (const [method, good] of Object.entries(goodCalls())) {
        for (const argument of [null, 1, 'x', [], undefined]) {
          if (method === 'status' && typeof argument === 'object' && argument !== null) continue
          assert.equal(await connection.call(method, argument), 'BadRequest', `${method} of ${argument}`)
        }
        for (const name of Object.keys(good as object)) {
          for (const value of [undefined, null, -1, 0.5, 1e300, 'x', [], {}]) {
            const said = await connection.call(method, { ...(good as object), [name]: value })
            assert.equal(said, 'BadRequest', `${method} with ${name} ${JSON.stringify(value)}`)
          }
        }
      }
    })
  })

  it('takes no state, membership or grant that is not one', async () => {
    const { incarnation } = config.members.find(({ address }) => address === full()) as { incarnation: string }
    const state = { ...holder.volume, epoch: holder.volume.epoch + 1 }
    const wrong: readonly (readonly [string, unknown])[] = [
      ['seal', { state: {} }],
      ['seal', { state: { volume } }],
      ['seal', { state: { ...state, truncations: null } }],
      ['seal', { state: { ...state, truncations: [{}] } }],
      ['seal', { state: { ...state, epoch: 'x' } }],
      ['seal', { state: { ...state, pins: [null] } }],
      ['seal', { state: { ...state, cutoff: -1 } }],
      ['configure', { state, config: {}, incarnation, create: false, below: null }],
      ['configure', { state, config: { ...config, members: [{}] }, incarnation, create: false, below: null }],
      ['configure', { state, config: { ...config, sets: [[99]] }, incarnation, create: false, below: null }],
      ['configure', { state: {}, config, incarnation, create: false, below: null }],
      ['configure', { state, config, incarnation, create: false, below: 'x' }],
      ['grant', { volume, cutoff: 0, pins: ['x'], grantVersion: 999 }],
      ['grant', { volume, cutoff: 0, pins: [-1], grantVersion: 999 }],
    ]
    await withConnection(async (connection) => {
      for (const [method, argument] of wrong) {
        assert.equal(await connection.call(method, argument), 'BadRequest', `${method} ${JSON.stringify(argument)}`)
      }
    })
  })

  it('says what is wrong with reads that are out of range', async () => {
    const read = { ...goodReadFields(), readPoint: holder.vdl }
    const cases: readonly (readonly [string, Partial<typeof read>])[] = [
      ['BadRequest', { block: LEDGER_GEOMETRY.blocksPerGroup }],
      ['BadRequest', { block: U32_MAX }],
      ['UnknownSegment', { group: groupIndex(77) }],
      ['UnknownSegment', { volume: volumeId(volume ^ 1) }],
      ['ReadPointAhead', { readPoint: lsn(holder.vdl + 1_000_000) }],
      ['ReadPointAhead', { readPoint: lsn(Number.MAX_SAFE_INTEGER) }],
      ['StaleMembership', { membershipEpoch: 0 }],
      ['StaleVolumeEpoch', { volumeEpoch: 1 }],
    ]
    // Group 0 only: what is asked of it must not depend on which node the group's full copies are.
    await withConnection(async (connection) => {
      for (const [code, change] of cases) {
        connection.send(encodeRead({ ...read, ...change }))
        assert.equal(await connection.page(), code, JSON.stringify(change))
      }
    })
  })

  const goodReadFields = () => ({
    request: 1,
    volume,
    group: groupIndex(0),
    block: 1,
    volumeEpoch: 0,
    membershipEpoch: config.epoch,
    minScl: null,
  })

  it('refuses log of an old epoch, and log that is none', async () => {
    await withConnection(async (connection) => {
      connection.send(goodAppend())
      const message = await connection.next()
      assert.equal(message?.type, MessageType.ACK)
      // As many statuses as have a number begin with Ok.
      assert.notEqual(message?.body[24], 0)
      const now = goodAppend()
      new DataView(now.buffer).setUint32(9, holder.volume.epoch, true)
      for (const records of [new Uint8Array(1), new Uint8Array(60), random.fill(new Uint8Array(4096))]) {
        connection.send(now, records)
      }
    })
    assert.notEqual(await withConnection((connection) => connection.call('status', {})), undefined)
  })

  it('has lost nothing in the end, and takes writes', async () => {
    holder.close()
    const writer = new LedgerWriter(ledger, fleet.registryPath, volume)
    await writer.opened()
    await writer.progress(100)
    await writer.stop()
    await checkLedger(client, volume, ledger, random)
    fleet.checkThatNoneStopped()
    holder = await client.volumes.open(volume)
    image = ledger.image()
    ledger.advance(image, writtenBy(await holder.read(blockNumber(0))).number)
  })
})
