import assert from 'node:assert/strict'
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
