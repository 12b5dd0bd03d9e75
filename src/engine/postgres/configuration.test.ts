import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Configuration, configurationText, hbaText } from './configuration.ts'

const configuration: Configuration = {
  name: 'demo-1',
  address: '127.20.0.3',
  port: 5432,
  memoryBytes: 2 ** 30,
  parameters: { work_mem: '7MB', checkpoint_timeout: '5min' },
  certificate: { certificate: '', key: '' },
  tlsOnly: true,
}
const shape = { major: 17, memoryBytes: 2 ** 30 } as const
const folders = { run: '/home/x/run/demo-1', logs: '/home/x/logs/demo-1' }

/** As PostgreSQL reads it: the last line wins. */
function read(text: string): Map<string, string> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const [name = '', value = ''] = line.split(/ = (.*)/s)
      return [name, value.slice(1, -1).replaceAll("''", "'").replaceAll('\\\\', '\\')]
    }),
  )
}

describe("an instance's configuration", () => {
  it('has parameters above defaults, and what is of the instance above both', () => {
    const settings = read(
      configurationText({ ...configuration, parameters: { port: '1', work_mem: '7MB' } }, shape, folders),
    )
    assert.equal(settings.get('work_mem'), '7MB')
    assert.equal(settings.get('port'), '5432')
    assert.equal(settings.get('listen_addresses'), '127.20.0.3')
    assert.equal(settings.get('ssl'), 'on')
    assert.equal(read(configurationText(configuration, shape, folders)).get('checkpoint_timeout'), '5min')
  })

  it('names a primary that is followed, over TLS that is verified', () => {
    const primary = { host: 'db.example', port: 5432, user: 'r', password: "it's \\ so", authorityCertificate: 'x' }
    const settings = read(configurationText({ ...configuration, primary }, shape, folders))
    const connection = settings.get('primary_conninfo') ?? ''
    assert.match(connection, /host='db\.example' .*sslmode=verify-full/)
    assert.ok(connection.includes("password='it\\'s \\\\ so'"), connection)
    assert.equal(read(configurationText(configuration, shape, folders)).get('primary_conninfo'), undefined)
  })
})

describe('a standby', () => {
  const commandFor = (walFolder: string): string =>
    read(configurationText({ ...configuration, primary: null, walFolder }, shape, folders)).get('restore_command') ?? ''

  it('keeps no log for others, with a primary or without, and a primary does', () => {
    const kept = (parts: object): string | undefined =>
      read(configurationText({ ...configuration, ...parts }, shape, folders)).get('wal_keep_size')
    assert.equal(kept({ primary: null }), '0')
    assert.equal(kept({}), '512MB')
  })

  it('takes each file of the log once, and histories as often as it likes', () => {
    const folder = mkdtempSync(join(tmpdir(), "borealis %f it's "))
    try {
      const restore = (name: string): boolean => {
        // As PostgreSQL does: `%%` is a percent sign.
        const command = commandFor(folder).replaceAll(/%[%fp]/g, (each) =>
          each === '%%' ? '%' : each === '%f' ? name : join(folder, 'taken'),
        )
        return spawnSync('sh', ['-c', command]).status === 0
      }
      for (const name of ['000000010000000000000007', '00000002.history']) writeFileSync(join(folder, name), name)
      assert.deepEqual(
        [1, 2].map(() => restore('000000010000000000000007')),
        [true, false],
      )
      assert.equal(readFileSync(join(folder, 'taken'), 'utf8'), '000000010000000000000007')
      assert.deepEqual(
        [1, 2].map(() => restore('00000002.history')),
        [true, true],
      )
      assert.equal(restore('00000003.history'), false)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('who is let in', () => {
  it('is asked for a SCRAM password, over TLS, and the superuser over the socket only', () => {
    const lines = hbaText(true)
      .split('\n')
      .filter((line) => /^(host|local)/.test(line))
    assert.deepEqual(lines, [
      'local all rdsadmin peer map=instance',
      'local all all scram-sha-256',
      'host all rdsadmin all reject',
      'hostssl replication all all scram-sha-256',
      'hostssl all all all scram-sha-256',
    ])
  })

  it('may do without TLS where that is wished', () => assert.match(hbaText(false), /^host all all all scram-sha-256$/m))
})
