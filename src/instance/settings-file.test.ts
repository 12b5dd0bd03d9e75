import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { parseCommand } from './instance-command.ts'
import { type InstanceSettingsFile, parseSettings, readSettings, writeSettings } from './settings-file.ts'

const SETTINGS: InstanceSettingsFile = {
  name: 'demo-2',
  cluster: 'demo',
  run: 4,
  role: 'reader',
  folder: '/somewhere/demo-2',
  home: '/somewhere',
  registry: '/somewhere/registry.sqlite',
  volume: 'vol-0000002a',
  version: '17',
  address: '127.20.0.4',
  port: 5432,
  memoryMib: 256,
  serverMemoryMib: 512,
  certificate: 'a certificate',
  key: 'a key',
  authorityCertificate: 'another',
  master: { name: 'postgres', password: 'secret' },
  replicationPassword: 'secret, too',
  primary: { host: '127.20.0.3', port: 5432 },
  parameters: { work_mem: '8MB', search_path: '' },
  control: null,
}

describe('the settings of an instance', () => {
  const folder = mkdtempSync(join(tmpdir(), 'borealis-settings-'))
  after(() => rmSync(folder, { recursive: true }))

  it('are read as they were written, by their owner alone, and leave nothing else', () => {
    const path = join(folder, 'settings.json')
    for (const settings of [SETTINGS, { ...SETTINGS, overlayMib: 64, primary: null, control: '/a/socket' }]) {
      writeSettings(path, settings)
      assert.deepEqual(readSettings(path), settings)
    }
    assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(folder), ['settings.json'])
  })

  it('are refused with the field that is missing or wrong', () => {
    const { name: _, ...nameless } = SETTINGS
    assert.throws(() => parseSettings(nameless), /settings\.name is not there/)
    assert.throws(() => parseSettings({ ...SETTINGS, role: 'observer' }), /settings\.role is not one of writer, reader/)
    assert.throws(() => parseSettings({ ...SETTINGS, port: 70_000 }), /settings\.port/)
    assert.throws(() => parseSettings({ ...SETTINGS, primary: { host: 'a' } }), /settings\.primary\.port/)
    assert.throws(() => parseSettings({ ...SETTINGS, volume: 'demo' }), /settings\.volume/)
    assert.throws(() => parseSettings({ ...SETTINGS, parameters: { work_mem: 8 } }), /parameters\.work_mem/)
    assert.throws(() => parseSettings({ ...SETTINGS, memory: 1 }), /settings\.memory is not a known field/)
  })
})

describe('what an instance is asked', () => {
  it('is understood as it was meant', () => {
    for (const command of [
      { do: 'stop' },
      { do: 'replace' },
      { do: 'follow', primary: { host: '127.20.0.3', port: 5432 } },
      { do: 'follow', primary: null },
      { do: 'configure', certificate: 'c', key: 'k' },
      { do: 'configure', certificate: 'c', key: 'k', parameters: { work_mem: '8MB' } },
      { do: 'topology', members: [{ name: 'demo-1' }] },
      { do: 'crash', what: 'dispatcher' },
    ]) {
      assert.deepEqual(parseCommand(command), command)
    }
  })

  it('is refused when it is no command, or not all of one', () => {
    for (const command of [
      null,
      'stop',
      {},
      { do: 'explode' },
      { do: 'follow' },
      { do: 'follow', primary: 'demo-1' },
      { do: 'configure', certificate: 'c' },
      { do: 'topology', members: [{}] },
      { do: 'crash', what: 'zone' },
    ]) {
      assert.throws(() => parseCommand(command), /command/)
    }
  })
})
