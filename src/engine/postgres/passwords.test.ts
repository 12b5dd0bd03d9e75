import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { generatePassword, isVerifierOf, scramVerifier } from './passwords.ts'

describe('passwords', () => {
  it('are 32 letters and digits, and no two alike', () => {
    const made = Array.from({ length: 100 }, generatePassword)
    for (const password of made) assert.match(password, /^[A-Za-z0-9]{32}$/)
    assert.equal(new Set(made).size, made.length)
  })

  it('are stored as SCRAM keys: the example of RFC 7677', () => {
    // Its salt, and a server signature that follows from the server key.
    const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')
    assert.equal(
      scramVerifier('pencil', salt),
      'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=',
    )
  })

  it('are known again in what is stored, and no others', () => {
    const stored = scramVerifier('pencil')
    assert.equal(isVerifierOf(stored, 'pencil'), true)
    for (const other of [scramVerifier('pen'), stored.slice(0, -1), 'md5abc', '', null]) {
      assert.equal(isVerifierOf(other, 'pencil'), false)
    }
  })

  it('of other than printable ASCII are refused', () => {
    for (const password of ['', 'pässword', 'a\nb']) assert.throws(() => scramVerifier(password), /printable ASCII/)
  })
})
