import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EngineError } from '../engine-error.ts'
import { checkParameters, parameterProblem, settingLine } from './parameters.ts'

describe('parameters', () => {
  it('are taken when they are only about the database', () => {
    checkParameters({
      work_mem: '8MB',
      Synchronous_Commit: 'off',
      wal_level: 'logical',
      'auto_explain.log_analyze': 'on',
    })
  })

  it('may be more careful than ours', () => assert.equal(parameterProblem('full_page_writes', 'on'), undefined))

  for (const [name, value] of [
    ['fsync', 'off'],
    ['FSYNC', 'off'],
    ['data_sync_retry', 'on'],
    ['zero_damaged_pages', 'on'],
    ['wal_level', 'minimal'],
    ['password_encryption', 'MD5'],
    ['archive_command', 'cp %p /elsewhere'],
    ['data_directory', '/elsewhere'],
    ['Listen_Addresses', '*'],
    ['recovery_target_time', '2026-01-01'],
    ['include', '/etc/passwd'],
    ['work_mem', "8MB'\nfsync = 'off"],
    ['work_mem\nfsync', 'off'],
    ["work_mem = '1MB' #", ''],
    ['a.b.c', 'x'],
  ] as const) {
    it(`are refused when they would break a promise: ${JSON.stringify(name)}`, () => {
      assert.throws(
        () => checkParameters({ work_mem: '8MB', [name]: value }),
        (error) =>
          error instanceof EngineError && error.code === 'BadParameter' && !error.message.includes('work_mem: 8'),
      )
    })
  }

  it('are told all at once, each with its reason', () => {
    assert.throws(
      () => checkParameters({ fsync: 'off', port: '1' }),
      /refused: fsync: commits would be acknowledged .*; port: the instance sets it$/,
    )
  })

  it('cannot leave their quotes', () => {
    assert.equal(settingLine('Search_Path', `"$user", o'neil\\`), `search_path = '"$user", o''neil\\\\'`)
  })
})
