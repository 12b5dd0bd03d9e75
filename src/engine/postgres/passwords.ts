/** Passwords, and what PostgreSQL stores in their place. */
import { createHash, createHmac, pbkdf2Sync, randomBytes, randomInt } from 'node:crypto'
import { EngineError } from '../engine-error.ts'

/** Letters and digits only: RDS forbids `/`, `"`, `@` and spaces, and people paste passwords into addresses. */
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** 190 bits. */
const LENGTH = 32

export const generatePassword = (): string =>
  Array.from({ length: LENGTH }, () => LETTERS[randomInt(LETTERS.length)]).join('')

/** PostgreSQL's own default (`scram_iterations`). */
const ITERATIONS = 4096
const SALT_BYTES = 16

const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/**
 * The form of RFC 5803 that PostgreSQL keeps and takes in `PASSWORD '...'`: so the password itself is never in a
 * statement, and so in no log. ASCII only, which RDS demands too: other text would have to be prepared first (RFC 4013).
 */
export function scramVerifier(password: string, salt: Uint8Array = randomBytes(SALT_BYTES)): string {
  if (!/^[\x20-\x7e]+$/.test(password)) {
    throw new EngineError('BadParameter', 'a password has to be of printable ASCII characters')
  }
  const salted = pbkdf2Sync(password, salt, ITERATIONS, 32, 'sha256')
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64')
  const serverKey = hmac(salted, 'Server Key').toString('base64')
  return `SCRAM-SHA-256$${ITERATIONS}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`
}

/** Whether what PostgreSQL keeps is of this password. */
export function isVerifierOf(stored: unknown, password: string): boolean {
  const [, salt] = typeof stored === 'string' ? (/^SCRAM-SHA-256\$4096:([^$]+)\$/.exec(stored) ?? []) : []
  return salt !== undefined && scramVerifier(password, Buffer.from(salt, 'base64')) === stored
}
