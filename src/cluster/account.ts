/** The account that everything here belongs to, and its access keys: tables of the control plane's database. */
import { randomBytes, randomInt } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'

export interface AccessKey {
  /** `AKIA` and 16 upper-case letters and digits. */
  readonly id: string
  readonly secret: string
}

const KEY_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const KEY_CHARS = 16
/** 40 characters of base64. */
const SECRET_BYTES = 30

/** Makes the tables, the account and its first key, where they are not there. */
export function migrateAccount(database: DatabaseSync, nowMs: number): void {
  database.exec(`
    CREATE TABLE IF NOT EXISTS account (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS access_key (
      id TEXT PRIMARY KEY, secret TEXT NOT NULL, created_ms INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
  `)
  // Twelve digits, the first not 0, so that nobody takes it for a number that lost one.
  const id = `${randomInt(1e11, 1e12)}`
  database.prepare('INSERT INTO account VALUES (1, ?) ON CONFLICT DO NOTHING').run(id)
  if (accessKeys(database).length === 0) createAccessKey(database, nowMs)
}

/** Twelve digits, made once. */
export const accountId = (database: DatabaseSync): string =>
  String(database.prepare('SELECT id FROM account').get()?.id)

export function createAccessKey(database: DatabaseSync, nowMs: number): AccessKey {
  const letters = Array.from({ length: KEY_CHARS }, () => KEY_ALPHABET[randomInt(KEY_ALPHABET.length)])
  const key = { id: `AKIA${letters.join('')}`, secret: randomBytes(SECRET_BYTES).toString('base64') }
  database.prepare('INSERT INTO access_key VALUES (?, ?, ?)').run(key.id, key.secret, nowMs)
  return key
}

/** Oldest first. */
export const accessKeys = (database: DatabaseSync): AccessKey[] =>
  database
    .prepare('SELECT id, secret FROM access_key ORDER BY created_ms, id')
    .all()
    .map(({ id, secret }) => ({ id: String(id), secret: String(secret) }))

export function secretOf(database: DatabaseSync, accessKey: string): string | undefined {
  const row = database.prepare('SELECT secret FROM access_key WHERE id = ?').get(accessKey)
  return row === undefined ? undefined : String(row.secret)
}

export interface CredentialsPlace {
  readonly region: string
  /** `127.0.0.1:8200` */
  readonly address: string
}

/** A profile for `~/.aws/config`, or lines that a shell evaluates: key, secret, region and where the API is. */
export function credentialsText(
  format: 'profile' | 'env',
  { id, secret }: AccessKey,
  { region, address }: CredentialsPlace,
): string {
  return format === 'env'
    ? [
        `export AWS_ACCESS_KEY_ID=${id}`,
        `export AWS_SECRET_ACCESS_KEY=${secret}`,
        `export AWS_DEFAULT_REGION=${region}`,
        `export AWS_REGION=${region}`,
        `export AWS_ENDPOINT_URL=http://${address}`,
      ].join('\n')
    : [
        '[profile borealis]',
        `aws_access_key_id = ${id}`,
        `aws_secret_access_key = ${secret}`,
        `region = ${region}`,
        `endpoint_url = http://${address}`,
      ].join('\n')
}
