/**
 * The process that balances connections: it goes on while regions come and go, PostgreSQL is reached through it as without
 * it, and it costs little. Figures are printed; only processor time and memory are asserted, as others use the machine too.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import pg from 'pg'
import { Daemon } from '../../src/cluster/host/daemon.ts'
import { isAlive, type ProcessIdentity } from '../../src/cluster/host/process-identity.ts'
import { issueServer } from '../../src/engine/certificates.ts'
import type { BalancedEndpointSettings, GatewayReport, SocketAddress } from '../../src/gateway/gateway-command.ts'
import { endWithUs, whenWeEnd } from '../child-processes.ts'
import { authority, MASTER, PostgresInstance } from '../postgres-instance.ts'
import { until } from '../waiting.ts'

const PROGRAM = join(import.meta.dirname, '..', '..', 'src', 'gateway', 'gateway-main.ts')
const PARENT = join(import.meta.dirname, '..', 'gateway-parent.ts')
const PORT = 15_434
const place = (i: number): SocketAddress => ({
  address: `127.${192 + (process.pid % 32)}.${(process.pid >> 5) % 256}.${i}`,
  port: PORT,
})
const [READERS, OTHERS, MEMBER, SECOND] = [place(100), place(101), place(1), place(2)]
const NAME = 'demo.cluster-ro-k3j9x0q2m4zt.local-1.rds.borealis.internal'
const MIB = 1 << 20

/** A request: what is to come back as it is, or how many bytes are wanted. */
const ECHO = 1
const SEND = 2
const CHUNK = Buffer.alloc(1 << 16, 7)

function answer(socket: Socket, request: Buffer): void {
  if (request[0] === ECHO) return void socket.write(request)
  let left = request.readUInt32BE(1)
  const send = (): void => {
    for (; left > 0; left -= CHUNK.length) if (!socket.write(CHUNK)) return void socket.once('drain', send)
  }
  send()
}

async function serve({ address, port }: SocketAddress): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (request: Buffer) => answer(socket, request))
  })
  server.listen({ port, host: address, backlog: 4096 })
  await once(server, 'listening')
  return server
}

async function opened({ address, port }: SocketAddress): Promise<Socket> {
  const socket = connect({ host: address, port, noDelay: true })
  await once(socket, 'connect')
  return socket
}

async function echo(socket: Socket): Promise<void> {
  socket.write(Buffer.alloc(100, ECHO))
  await once(socket, 'data')
}

describe('the gateway', () => {
  let folder: string
  let control: string
  let gateway: ProcessIdentity
  let daemon: Daemon
  let report: GatewayReport
  let reports = 0
  let gone: string | undefined

  const endpoint = (members: readonly SocketAddress[], more: Partial<BalancedEndpointSettings> = {}) => ({
    name: NAME,
    listen: READERS,
    members,
    ...more,
  })
  const state = (name: string) => report.endpoints.find((each) => each.name === name)?.state

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'borealis-gateway-'))
    control = join(folder, 'control')
  })
  after(async () => {
    daemon?.signal('SIGKILL')
    await daemon?.gone
    rmSync(folder, { recursive: true })
  })

  it('goes on when the region that has started it is killed, and is adopted by the next', async () => {
    const server = await serve(MEMBER)
    const args = [PARENT, PROGRAM, control, join(folder, 'log'), JSON.stringify([endpoint([MEMBER])])]
    const parent = endWithUs(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }))
    for await (const line of createInterface({ input: parent.stdout! })) {
      const { message, ...identity } = JSON.parse(line) as ProcessIdentity & { message: GatewayReport }
      gateway = identity
      if (message.endpoints[0]?.state === 'listening') break
    }
    whenWeEnd(() => {
      if (isAlive(gateway)) process.kill(gateway.pid, 'SIGKILL')
    })
    const socket = await opened(READERS)
    await echo(socket)
    parent.kill('SIGKILL')
    await once(parent, 'close')
    const next = await opened(READERS)
    for (const each of [socket, next]) await echo(each)

    daemon = Daemon.adopt(gateway, {
      socket: control,
      onMessage: (message) => {
        report = message as GatewayReport
        reports++
      },
      onGone: (why) => {
        gone = why
      },
    })
    await until('it tells what it does', () => reports > 0)
    assert.deepEqual(
      [report.pid, report.endpoints[0]?.listen, report.endpoints[0]?.members],
      [gateway.pid, READERS, [{ ...MEMBER, connections: 2 }]],
    )
    await until('it tells so again and again', () => reports > 3)
    for (const each of [socket, next]) {
      await echo(each)
      each.destroy()
    }
    server.close()
  })

  it('is told endpoints, says where it cannot listen, and does not mind what it does not understand', async () => {
    const taken = await serve(OTHERS)
    daemon.send({ do: 'endpoints', endpoints: [endpoint([MEMBER]), endpoint([], { name: 'other', listen: OTHERS })] })
    await until('one has failed', () => state('other') === 'failed')
    assert.match(report.endpoints.find(({ name }) => name === 'other')?.problem ?? '', /EADDRINUSE/)
    assert.equal(state(NAME), 'listening')
    daemon.send({ do: 'endpoints', endpoints: [{ name: 'half' }] })
    daemon.send({ do: 'dance' })
    taken.close()
    await until('it listens', () => state('other') === 'listening')
    assert.equal(state(NAME), 'listening')
    assert.match(readFileSync(join(folder, 'log'), 'utf8'), /^\S+ control: command\.do is not one of endpoints, stop$/m)
  })

  it('serves PostgreSQL as if it were not there: TLS by the name of the endpoint, large results, requests to cancel', async () => {
    const instance = await PostgresInstance.empty('gateway')
    const { engine, configuration } = instance
    await instance.create()
    const { address, port } = configuration
    const validity = { nowMs: Date.now(), days: 1 }
    await engine.start({ ...configuration, certificate: issueServer(authority, [NAME, address], validity) })
    await instance.ensureUsers()
    // One more, so that a request to cancel goes elsewhere than the session that it is about.
    const idle = await serve(SECOND)
    daemon.send({ do: 'endpoints', endpoints: [endpoint([{ address, port }, SECOND])] })
    await until('it has its members', () => report.endpoints[0]?.members.length === 2)
    const client = (servername: string) =>
      new pg.Client({
        host: READERS.address,
        port: PORT,
        user: MASTER,
        password: instance.masterPassword,
        database: 'postgres',
        ssl: { ca: authority.certificate, servername },
      })
    try {
      const session = client(NAME)
      await session.connect()
      const { rows } = await session.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()')
      assert.deepEqual(rows, [{ ssl: true }])
      const text = (await session.query("SELECT repeat('borealis ', 5000000) AS text")).rows[0].text as string
      assert.equal(text.length, 45_000_000)
      const sleeping = session.query('SELECT pg_sleep(600)')
      const cancelled = assert.rejects(sleeping, { code: '57014' })
      const superuser = await instance.superuser()
      await until('it sleeps', async () => {
        const active = await superuser.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        return active.rowCount === 1
      })
      await superuser.end()
      assert.deepEqual(
        report.endpoints[0]?.members.map(({ connections }) => connections),
        [1, 0],
      )
      const { processID, secretKey } = session as unknown as { processID: number; secretKey: number }
      const request = Buffer.from('0000001004d2162e0000000000000000', 'hex')
      request.writeInt32BE(processID, 8)
      request.writeInt32BE(secretKey, 12)
      ;(await opened(READERS)).end(request).resume()
      await cancelled
      await session.end()
      const wrong = client(NAME.replace('demo', 'other'))
      wrong.on('error', () => {})
      daemon.send({ do: 'endpoints', endpoints: [endpoint([{ address, port }])] })
      await until('it has its member', () => report.endpoints[0]?.members.length === 1)
      await assert.rejects(wrong.connect(), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    } finally {
      await engine.stop('fast', 30_000)
      idle.close()
      rmSync(instance.folder, { recursive: true })
    }
  })

  describe('costs', () => {
    let server: Server
    const CONNECTIONS = 5000
    const STALLED = 100

    before(async () => {
      server = await serve(MEMBER)
      daemon.send({ do: 'endpoints', endpoints: [endpoint([MEMBER])] })
      await until('it has its member', () => report.endpoints[0]?.members[0]?.address === MEMBER.address)
    })
    after(() => {
      server.close()
    })

    /** User and system time: fields 14 and 15 of proc(5), in hundredths of a second. */
    function processorMs(): number {
      const text = readFileSync(`/proc/${gateway.pid}/stat`, 'utf8')
      const [user, system] = text
        .slice(text.lastIndexOf(')') + 2)
        .split(' ')
        .slice(11, 13)
      return (Number(user) + Number(system)) * 10
    }
    const residentMib = (): number =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))?.[1]) / 1024

    async function measured(what: string, unit: string, work: (to: SocketAddress) => Promise<number>): Promise<number> {
      const direct = await work(MEMBER)
      const start = processorMs()
      const through = await work(READERS)
      const spentMs = processorMs() - start
      const ratio = (through / direct).toFixed(2)
      console.log(`${what}: ${direct.toFixed(0)} ${unit} direct, ${through.toFixed(0)} through it, ratio ${ratio}`)
      return spentMs
    }

    it('little time for a round trip', async () => {
      const ROUNDS = 2000
      const spentMs = await measured('round trip', 'us', async (to) => {
        const socket = await opened(to)
        const times: number[] = []
        for (let i = 0; i < ROUNDS; i++) {
          const start = performance.now()
          await echo(socket)
          times.push((performance.now() - start) * 1000)
        }
        socket.destroy()
        return times.sort((a, b) => a - b)[ROUNDS / 2] ?? 0
      })
      const each = (spentMs * 1000) / ROUNDS
      console.log(`round trip: ${each.toFixed(0)} us of a processor`)
      assert.ok(each < 250, `${each} us`)
    })

    it('little time for many bytes', async () => {
      const bytes = 256 * MIB
      const spentMs = await measured('one stream', 'MiB/s', async (to) => {
        const socket = await opened(to)
        const request = Buffer.alloc(5, SEND)
        request.writeUInt32BE(bytes, 1)
        const start = performance.now()
        socket.write(request)
        let received = 0
        for await (const part of socket) {
          received += (part as Buffer).length
          if (received >= bytes) break
        }
        return bytes / MIB / ((performance.now() - start) / 1000)
      })
      console.log(`one stream: ${(spentMs * 4).toFixed(0)} ms of a processor for a GiB`)
      assert.ok(spentMs * 4 < 6000, `${spentMs * 4} ms`)
    })

    it(`little memory for ${CONNECTIONS} connections`, async () => {
      const before = residentMib()
      const sockets: Socket[] = []
      while (sockets.length < CONNECTIONS)
        sockets.push(...(await Promise.all(Array.from({ length: 100 }, () => opened(READERS)))))
      for (const socket of sockets) await echo(socket)
      const idle = residentMib()
      assert.equal(report.endpoints[0]?.refused, 0)
      // Each is sent more than it takes: what is on its way waits where it is.
      const request = Buffer.alloc(5, SEND)
      request.writeUInt32BE(8 * MIB, 1)
      for (const socket of sockets.slice(0, STALLED)) {
        socket.pause()
        socket.write(request)
      }
      let last = -1
      await until('everybody waits', async () => {
        const now = processorMs()
        const isStill = now - last < 20
        last = now
        await new Promise((resolve) => setTimeout(resolve, 500))
        return isStill
      })
      const stalled = residentMib()
      console.log(
        `memory: ${before.toFixed(0)} MiB; with ${CONNECTIONS} connections ${idle.toFixed(0)}; ${STALLED} of them stalled ${stalled.toFixed(0)}`,
      )
      for (const socket of sockets) socket.destroy()
      await until('all are gone', () => report.endpoints[0]?.members[0]?.connections === 0, 120_000)
      assert.ok(idle - before < 200, `${idle - before} MiB`)
      assert.ok(stalled - idle < 150, `${stalled - idle} MiB`)
    })
  })

  it('ends when it is asked to, and its socket with it', async () => {
    daemon.signal('SIGTERM')
    await until('it is gone', () => gone)
    assert.ok(!isAlive(gateway))
    assert.ok(!existsSync(control))
    // Its last thread may be a moment later.
    await until('nobody listens', () =>
      opened(READERS).then(
        (socket) => {
          // By its last thread: it is cut off in a moment.
          socket.on('error', () => {})
          socket.destroy()
          return false
        },
        ({ code }) => code === 'ECONNREFUSED',
      ),
    )
  })

  it('says how it is used', async () => {
    for (const args of [[], ['--control'], ['--other', 'x']]) {
      const child = endWithUs(spawn(process.execPath, [PROGRAM, ...args], { stdio: 'ignore' }))
      assert.deepEqual(await once(child, 'exit'), [2, null], args.join(' '))
    }
  })
})
